"""Who has done something in other people's sessions, for the erasure of one of them.

Acts are found by their index, holds among those of the tenant; see `archived_actors`
for what lies in the archive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    update,
)

from convstore.db import models
from convstore.db.codec.interactions import renamed_row
from convstore.db.codec.records import INTERACTION_COLUMNS
from convstore.db.dialects.base import Dialect
from convstore.db.session_ids import about_keys, of_sessions, same_session
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import Key, Unit
from convstore.vocabulary.actors import Renaming
from convstore.vocabulary.clock import to_micros

A = models.archived_actors.c
H = models.legal_holds.c
I = models.interactions.c  # noqa: E741
S = models.sessions.c


MOST_ACTS = 500
"""Acts that are read, and written, in one transaction: their texts are held, and their
sessions locked."""


class Renamed(NamedTuple):
    """How many rows have got another name; `through` is the last session, by id, in
    which all have."""

    interactions: int
    legal_holds: int
    through: str


def of_acts(connection: Connection, tenant: str, after: str, limit: int) -> list[str]:
    """Actors of a tenant's acts in rows, in order, beyond `after`."""
    return each_actor(connection, models.interactions, tenant, after, limit)


def of_holds(connection: Connection, tenant: str, after: str, limit: int) -> list[str]:
    """Those who have placed or released legal holds."""
    found: set[str] = set()
    for column in (H.placed_by, H.released_by):
        found |= set(
            connection.scalars(
                select(column)
                .where(H.tenant_id == tenant, column > after)
                .distinct()
                .order_by(column)
                .limit(limit)
            )
        )
    return sorted(found)[:limit]


def last_act(connection: Connection, tenant: str, actor: str) -> int:
    """The time of the latest act or hold of an actor in rows; 0 where there is none.

    It may lie ahead: another worker's clock said so, or whoever recorded the act."""
    times = (
        (I.created_at, I.actor_id, I.tenant_id),
        (H.placed_at, H.placed_by, H.tenant_id),
        (H.released_at, H.released_by, H.tenant_id),
    )
    found = (
        connection.scalar(select(func.max(at)).where(of_tenant == tenant, by == actor))
        for at, by, of_tenant in times
    )
    return max((at for at in found if at is not None), default=0)


def held(connection: Connection, tenant: str, actor: str) -> list[str]:
    """Sessions under legal hold in which an actor has done something, archived or not,
    or placed or released a hold."""
    named = or_(
        exists().where(I.actor_id == actor, same_session(I, S)),
        exists().where(A.actor_id == actor, same_session(A, S)),
        exists().where(
            or_(H.placed_by == actor, H.released_by == actor), same_session(H, S)
        ),
    )
    # From the holds, of which there are few, and not from what the actor has done.
    of_tenant = select(H.session_id).where(
        H.tenant_id == tenant, H.released_at.is_(None)
    )
    return list(
        connection.scalars(
            select(S.session_id)
            .where(S.tenant_id == tenant, S.session_id.in_(of_tenant), S.hold_count > 0)
            .where(named)
            .order_by(S.session_id)
        )
    )


def sessions_of(
    connection: Connection, renaming: Renaming, after: str, limit: int
) -> list[str]:
    """Sessions with acts or holds in rows that are to get another name, by id."""
    tenant, was = renaming.tenant_id, renaming.was
    until = to_micros(renaming.until)
    found: set[str] = set()
    for session, conditions in (
        (
            I.session_id,
            (I.tenant_id == tenant, I.actor_id == was, I.created_at <= until),
        ),
        (H.session_id, (H.tenant_id == tenant, or_(*_holds(was, until)))),
    ):
        found |= set(
            connection.scalars(
                select(session)
                .where(*conditions, session > after)
                .distinct()
                .order_by(session)
                .limit(limit)
            )
        )
    return sorted(found)[:limit]


def rename(unit: Unit, keys: Sequence[Key], renaming: Renaming, now: int) -> Renamed:
    """Give an actor another name in the rows of sessions whose heads are locked, in
    `MOST_ACTS` at most. To be flushed.

    `keys` are of the renaming's tenant, in order, and some.
    """
    connection, until = unit.connection, to_micros(renaming.until)
    given = {**about_keys(keys), "was": renaming.was, "until": until}
    acts = [
        renamed_row(dict(zip(_ACT_NAMES, row, strict=True)), renaming.name)
        for row in _ACTS.all(connection, given)
    ]
    through = keys[-1][1]
    if len(acts) == MOST_ACTS:  # perhaps there are more in the last one
        last = acts[-1]["session_id"]
        through = max((key[1] for key in keys if key[1] < last), default="")
    if acts:
        _RENAME_ACT.many(connection, acts)
    touched = {(row["tenant_id"], row["session_id"]) for row in acts}
    held_rows = _HOLDS.all(connection, given)
    if held_rows:
        _RENAME_HOLDS.run(connection, {**given, "name": renaming.name})
        touched |= {(row[0], row[1]) for row in held_rows}
    touch(unit, touched, now)
    return Renamed(len(acts), len(held_rows), through)


def each_actor(
    connection: Connection, table: Table, tenant: str, after: str, limit: int
) -> list[str]:
    """The actors in a table, in order, from each to the next one: no act of the same
    is read twice."""
    c = table.c
    of_tenant = select(func.min(c.actor_id).label("actor_id")).where(
        c.tenant_id == tenant
    )
    found = of_tenant.where(c.actor_id > after).cte("found", recursive=True)
    beyond = of_tenant.where(c.actor_id > found.c.actor_id).scalar_subquery()
    found = found.union_all(select(beyond).where(found.c.actor_id.is_not(None)))
    named = select(found.c.actor_id).where(found.c.actor_id.is_not(None))
    return list(connection.scalars(named.limit(limit)))


def touch(unit: Unit, keys: Iterable[Key], now: int) -> None:
    """Raise the versions of sessions of which something has another name."""
    for key in sorted(keys):
        head = unit.find(key)
        if head is not None:
            head.cold = True
            head.touch(now, activity=False)


def _holds(was: Any, until: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """That a hold was placed, or released, by somebody until a moment."""
    return (
        and_(H.placed_by == was, H.placed_at <= until),
        and_(H.released_by == was, H.released_at <= until),
    )


_ACT_COLUMNS = [I.tenant_id, I.session_id, *INTERACTION_COLUMNS]
_ACT_NAMES = [str.__str__(column.name) for column in _ACT_COLUMNS]
_WAS: BindParameter[str] = bindparam("was")
_UNTIL: BindParameter[int] = bindparam("until")
_ACTS = Prepared(
    lambda dialect: (
        select(*_ACT_COLUMNS)
        .where(
            of_sessions(dialect, models.interactions),
            I.actor_id == _WAS,
            I.created_at <= _UNTIL,
        )
        .order_by(I.session_id, I.seq)
        .limit(MOST_ACTS)
    )
)
_RENAME_ACT = Prepared(
    lambda _: (
        update(models.interactions)
        .where(
            *(
                models.interactions.c[name] == bindparam(BOUND + name)
                for name in ("tenant_id", "session_id", "seq")
            )
        )
        .values(
            {
                name: bindparam(BOUND + name)
                for name in ("actor_id", "target_hash", "digest")
            }
        )
    )
)
_HOLDS = Prepared(
    lambda dialect: select(H.tenant_id, H.session_id).where(
        of_sessions(dialect, models.legal_holds), or_(*_holds(_WAS, _UNTIL))
    )
)


def _rename_holds(dialect: Dialect) -> Any:
    placed, released = _holds(_WAS, _UNTIL)
    name = bindparam("name", type_=H.placed_by.type)
    return (
        update(models.legal_holds)
        .where(of_sessions(dialect, models.legal_holds), or_(placed, released))
        .values(
            placed_by=case((placed, name), else_=H.placed_by),
            released_by=case((released, name), else_=H.released_by),
        )
    )


_RENAME_HOLDS = Prepared(_rename_holds)
