"""Marks of what is not in the index of words yet, and whether they can be relied on.

A mark is a row of its own for each commit that said something, so that nobody who
writes waits for who indexes: who indexes takes away the marks that it has seen, and no
others. A database that lets one transaction write at a time needs one mark a session:
what is said and who indexes cannot meet. Where something may have been written without
marks, the epoch grows, and the sessions of each tenant are looked through once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from convstore.db import models
from convstore.db.dialects import dialect_of
from convstore.db.session_ids import KEY, about_keys, of_sessions, same_session
from convstore.db.session_locks import Key
from convstore.db.statements import BOUND, Prepared
from convstore.search.words import VERSION
from convstore.vocabulary.policy import SearchMode
from convstore.vocabulary.record import Value

M = models.search_marks.c
S = models.sessions.c
X = models.search_sessions.c
T = models.search_state.c

Mark: TypeAlias = tuple[str, str, int]

_WHOLE = ""
_COUNTED = 1_000
_STANDING = 0
"""The number of the one mark of a session where nobody else writes meanwhile: whoever
finds everything of it indexed takes the mark away in the same transaction. To look for
one that is there costs an append half of what to add one does."""
_ADD = Prepared(lambda dialect: dialect.insert_ignore(models.search_marks))


class Waiting(Value, frozen=True):
    """How much of a tenant is not in the index yet.

    `marks` counts up to a thousand; `looked_through` is whether everything that is not
    in the index has a mark; `usable` whether the index is of these rules of words.
    """

    marks: int
    looked_through: bool
    usable: bool

    @property
    def nothing(self) -> bool:
        """Whether the index has everything."""
        return not self.marks and self.looked_through and self.usable


def add(connection: Connection, marks: Iterable[Mark]) -> None:
    """Mark sessions, each by a number that no other commit gives it where several
    write."""
    if not dialect_of(connection).has_row_locks:
        marks = {(*mark[:2], _STANDING) for mark in marks}
    rows = _rows(sorted(marks))
    if rows:
        _ADD.many(connection, rows)


def remove(connection: Connection, marks: Sequence[Mark]) -> None:
    """Take away marks whose sessions have been indexed up to them."""
    rows = _rows(marks)
    if rows:
        _REMOVE.many(connection, rows)


def some(
    connection: Connection, tenant: str | None, after: Key | None, limit: int
) -> list[Mark]:
    """Marks behind a session, in the order of sessions; of one tenant, or of all."""
    statement = select(M.tenant_id, M.session_id, M.number)
    if tenant is not None:
        statement = statement.where(M.tenant_id == tenant)
    if after is not None:
        statement = statement.where(
            or_(
                M.tenant_id > after[0],
                and_(M.tenant_id == after[0], M.session_id > after[1]),
            )
        )
    rows = connection.execute(
        statement.order_by(M.tenant_id, M.session_id, M.number).limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def of(connection: Connection, keys: Sequence[Key]) -> list[Mark]:
    """The marks of sessions."""
    found = _OF.all(connection, about_keys(keys))
    return [(row[0], row[1], row[2]) for row in found]


def waiting(connection: Connection, tenant: str) -> Waiting:
    """How much of a tenant waits."""
    ((rules_, epoch, mine, count),) = _WAITING.all(connection, {"tenant": tenant})
    return Waiting(int(count), epoch is not None and mine == epoch, rules_ == VERSION)


def oldest(connection: Connection, tenant: str) -> int | None:
    """Microseconds before which nothing was said that has a mark; None where too many
    sessions have one to be looked at."""
    keys = (
        select(M.tenant_id, M.session_id)
        .where(M.tenant_id == tenant)
        .distinct()
        .limit(_COUNTED + 1)
        .subquery()
    )
    turns = models.turns.c
    first = func.coalesce(X.turn_count, 0) + 1
    said = func.coalesce(turns.created_at, S.created_at)
    row = connection.execute(
        select(func.count(), func.min(said)).select_from(
            keys.join(models.sessions, same_session(keys.c, S))
            .outerjoin(models.search_sessions, same_session(keys.c, X))
            .outerjoin(
                models.turns, and_(same_session(keys.c, turns), turns.seq == first)
            )
        )
    ).one()
    return None if row[0] > _COUNTED or row[1] is None else int(row[1])


def begin(connection: Connection, mode: SearchMode) -> None:
    """Note at the opening of a store what it means for the marks.

    One that marks nothing makes everything that is written from now on doubtful.
    """
    whole = _whole(connection)
    if mode == "off":
        if whole is not None and _relied_on(connection):
            doubt(connection)
    elif whole is None:
        row = {"tenant_id": _WHOLE, "rules": VERSION, "epoch": 1, "after": None}
        connection.execute(
            dialect_of(connection).insert_ignore(models.search_state), row
        )


def needs_note(connection: Connection, mode: SearchMode) -> bool:
    """Whether `begin` has something to write."""
    whole = _whole(connection)
    if mode == "off":
        return whole is not None and _relied_on(connection)
    return whole is None


def doubt(connection: Connection) -> None:
    """Have the sessions of every tenant looked through again."""
    connection.execute(
        update(models.search_state)
        .where(T.tenant_id == _WHOLE)
        .values(epoch=T.epoch + 1)
    )


def spoil(connection: Connection) -> None:
    """Have the whole index made anew: what is in it cannot be told any more."""
    connection.execute(
        update(models.search_state).where(T.tenant_id == _WHOLE).values(rules=0)
    )


def rules(connection: Connection) -> int | None:
    """The version of the rules of the words in the index; 0 where it must be made anew,
    None where there never was one."""
    whole = _whole(connection)
    return None if whole is None else int(whole[0])


def set_rules(connection: Connection) -> None:
    """The index is empty, and from now on of the rules of this code."""
    connection.execute(
        update(models.search_state)
        .where(T.tenant_id == _WHOLE)
        .values(rules=VERSION, epoch=T.epoch + 1)
    )


def look_through(connection: Connection, tenant: str, limit: int) -> bool:
    """Mark those of the next sessions of a tenant that have something that is not in
    the index; whether there are more."""
    whole = _whole(connection)
    if whole is None:
        return False
    rows = dialect_of(connection).insert_ignore(models.search_state)
    begun = {"tenant_id": tenant, "rules": 0, "epoch": 0, "after": ""}
    connection.execute(rows, begun)
    mine = connection.execute(
        select(T.epoch, T.after, T.rules).where(T.tenant_id == tenant)
    ).one()
    if mine.epoch == whole[1]:
        return False
    # `rules` of a tenant's row is the epoch for which it is looked through now.
    after = mine.after or "" if mine.rules == whole[1] else ""
    found = connection.execute(
        select(S.session_id)
        .where(S.tenant_id == tenant, S.session_id > after)
        .order_by(S.session_id)
        .limit(limit)
    ).scalars().all()  # fmt: skip
    if found:
        connection.execute(
            dialect_of(connection)
            .insert_ignore(models.search_marks)
            .from_select(
                ["tenant_id", "session_id", "number"],
                _unmarked(tenant, after, found[-1]),
            )
        )
    more = len(found) == limit
    connection.execute(
        update(models.search_state)
        .where(T.tenant_id == tenant)
        .values(
            rules=whole[1],
            epoch=T.epoch if more else whole[1],
            after=found[-1] if more else None,
        )
    )
    return more


def next_tenant(connection: Connection, after: str) -> str | None:
    """The next tenant that has sessions, by name."""
    found: str | None = connection.execute(
        select(func.min(S.tenant_id)).where(S.tenant_id > after)
    ).scalar_one()
    return found


def _unmarked(tenant: str, after: str, last: str) -> Select[Any]:
    return (
        select(S.tenant_id, S.session_id, S.version)
        .select_from(
            models.sessions.outerjoin(models.search_sessions, same_session(S, X))
        )
        .where(
            S.tenant_id == tenant,
            S.session_id > after,
            S.session_id <= last,
            models.LISTED,
            or_(
                X.tenant_id.is_(None),
                S.turn_count > X.turn_count,
                S.interaction_count > X.interaction_count,
                func.coalesce(S.user_id, "") != func.coalesce(X.user_id, ""),
            ),
        )
    )


def _rows(marks: Iterable[Mark]) -> list[dict[str, Any]]:
    return [dict(zip((*KEY, "number"), mark, strict=True)) for mark in marks]


def _whole(connection: Connection) -> tuple[int, int] | None:
    """Rules and epoch of the whole index."""
    row = connection.execute(
        select(T.rules, T.epoch).where(T.tenant_id == _WHOLE)
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def _relied_on(connection: Connection) -> bool:
    """Whether any tenant's sessions were looked through for this epoch."""
    whole = models.search_state.alias("whole").c
    found = select(1).where(
        T.tenant_id != _WHOLE, whole.tenant_id == _WHOLE, T.epoch == whole.epoch
    )
    return connection.execute(found.limit(1)).one_or_none() is not None


def _waiting(_: Any) -> Select[Any]:
    """One statement, and a row whatever there is: each search asks it."""
    mine: ColumnElement[str] = bindparam("tenant")
    marked = select(1).where(M.tenant_id == mine).limit(_COUNTED).subquery()
    return select(
        select(T.rules).where(T.tenant_id == _WHOLE).scalar_subquery(),
        select(T.epoch).where(T.tenant_id == _WHOLE).scalar_subquery(),
        select(T.epoch).where(T.tenant_id == mine).scalar_subquery(),
        select(func.count()).select_from(marked).scalar_subquery(),
    )


def _named(*names: str) -> Any:
    return (M[name] == bindparam(BOUND + name) for name in names)


_WAITING = Prepared(_waiting)
_REMOVE = Prepared(lambda _: delete(models.search_marks).where(*_named(*KEY, "number")))
_OF = Prepared(
    lambda dialect: select(M.tenant_id, M.session_id, M.number).where(
        of_sessions(dialect, models.search_marks)
    )
)
