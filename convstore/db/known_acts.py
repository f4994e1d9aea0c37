"""What a transaction knows of the acts of its sessions: looked up once, for many.

Nothing here can change behind the transaction's back: it holds the sessions' locks, and
what it records itself is noted. Which act stands is `vocabulary.feedback`'s to say;
here the same is kept so that one act more costs no walk over the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import LargeBinary, Select, and_, bindparam, cast, func, select

from convstore.db import models
from convstore.db.acts import KnownAct, KnownActs
from convstore.db.codec.records import INTERACTION_COLUMNS, choice_from_text
from convstore.db.dialects.base import Dialect
from convstore.db.statements import Prepared
from convstore.db.unit import Key, Row, Unit
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.feedback import RETRACT

I = models.interactions.c  # noqa: E741
# From the index to the rows by a join: asked for a column that the index lacks, SQLite
# prefers the key, and reads every interaction of the session for each judgement.
_T = models.interactions.alias("of_target")
_KEY = ("tenant_id", "session_id")


_KNOWN = [I[name] for name in KnownAct._fields]


def act_of_row(row: Row) -> KnownAct:
    """What is to be known of a row that is about to be written."""
    values = {name: row[name] for name in KnownAct._fields}
    return _act(values.values())


def look_up_acts(unit: Unit, acts: Collection[tuple[Key, Row]]) -> None:
    """Find what recording these rows asks for, with a few statements for all of them.

    Rows are as they will be written, with their `target_hash`.
    """
    if not acts:
        return
    for key in {key for key, _ in acts}:
        unit.acts.setdefault(key, KnownActs())
    names = [
        (*key, row["external_id"])
        for key, row in acts
        if not unit.acts[key].knows_external(row["external_id"])
    ]
    earlier = [
        (*key, row["supersedes"])
        for key, row in acts
        if not unit.acts[key].knows_act(row["supersedes"])
    ]
    targets = {(*key, row["target_hash"]) for key, row in acts if _judges(row)}
    if (
        names
        or earlier
        or any(not unit.acts[t[:2]].knows_target(t[2]) for t in targets)
    ):
        unit.flush()  # what waits to be written is to be found, too
    _look_up_names(unit, names)
    targets |= _look_up_earlier(unit, earlier)
    for key, row in acts:
        removed = unit.acts[key].by_seq.get(row["supersedes"] or 0)
        if removed is not None:
            targets.add((*key, removed.target_hash))
    _look_up_targets(
        unit, sorted(t for t in targets if not unit.acts[t[:2]].knows_target(t[2]))
    )


def _judges(row: Row) -> bool:
    """Whether an act can change which labels count: also by replacing one."""
    return row["action"] != RETRACT or row["supersedes"] is not None


def _look_up_names(unit: Unit, names: Sequence[tuple[str, str, str]]) -> None:
    if not names:
        return
    for tenant, session_id, name in names:
        unit.acts[tenant, session_id].external[name] = None
    for row in _EXTERNAL.all(unit.connection, {"bound": dumps(names).decode()}):
        stored = dict(zip(_EXTERNAL_NAMES, row, strict=True))
        known = unit.acts[stored["tenant_id"], stored["session_id"]]
        known.external[stored["external_id"]] = stored


def _look_up_earlier(
    unit: Unit, earlier: Sequence[tuple[str, str, int]]
) -> set[tuple[str, str, bytes]]:
    """The targets of the acts that are to be superseded."""
    if not earlier:
        return set()
    found = _BY_SEQ.all(unit.connection, {"bound": dumps(earlier).decode()})
    return {(row[0], row[1], bytes(row[2])) for row in found}


def _look_up_targets(unit: Unit, targets: Sequence[tuple[str, str, bytes]]) -> None:
    if not targets:
        return
    for row in _of_targets(unit, targets):
        unit.acts[row[0], row[1]].add(_act(row[3:]), removed=row[2] is not None)
    for tenant, session_id, target in targets:
        unit.acts[tenant, session_id].note_target(target)


def _of_targets(
    unit: Unit, targets: Sequence[tuple[str, str, bytes]]
) -> Iterable[Sequence[Any]]:
    if unit.dialect.has_far_server:
        bound = [(tenant, sid, target.hex()) for tenant, sid, target in targets]
        return _OF_TARGETS.all(unit.connection, {"bound": dumps(bound).decode()})
    # Bytes cannot be bound within a text, and a statement more costs no way to go.
    return [
        row
        for tenant, sid, target in targets
        for row in _OF_TARGET.all(
            unit.connection, {"tenant": tenant, "id": sid, "target": target}
        )
    ]


def _act(values: Iterable[Any]) -> KnownAct:
    act = KnownAct(*values)
    choice: Any = act.choice
    return act._replace(
        choice=None if choice is None else choice_from_text(choice),
        target_hash=bytes(act.target_hash),
    )


_EXTERNAL_COLUMNS = [I.tenant_id, I.session_id, I.digest, *INTERACTION_COLUMNS]
_EXTERNAL_NAMES = [column.name for column in _EXTERNAL_COLUMNS]


def _external(dialect: Dialect) -> Select[Any]:
    bound = dialect.bound_rows(*_KEY, "external_id")
    same = and_(*(I[name] == bound.c[name] for name in (*_KEY, "external_id")))
    return select(*_EXTERNAL_COLUMNS).select_from(bound.join(models.interactions, same))


def _by_seq(dialect: Dialect) -> Select[Any]:
    bound = dialect.bound_rows(*_KEY, "seq")
    same = and_(
        *(I[name] == bound.c[name] for name in _KEY),
        I.seq == cast(bound.c.seq, models.interactions.c.seq.type),
    )
    return select(I.tenant_id, I.session_id, I.target_hash).select_from(
        bound.join(models.interactions, same)
    )


_LATER = models.interactions.alias("later")
# As a value and not as a condition, which PostgreSQL may answer by reading everything.
_REMOVED_BY = (
    select(_LATER.c.seq)
    .where(
        *(_LATER.c[name] == I[name] for name in _KEY),
        _LATER.c.supersedes == I.seq,
    )
    .limit(1)
    .scalar_subquery()
)
_GIVEN = (_T.c.tenant_id, _T.c.session_id, _REMOVED_BY.label("removed_by"), *_KNOWN)
_TO_ROWS = _T.join(
    models.interactions,
    and_(*(I[name] == _T.c[name] for name in (*_KEY, "seq"))),
)


def _of_bound_targets(dialect: Dialect) -> Select[Any]:
    bound = dialect.bound_rows(*_KEY, "target")
    same = and_(
        *(_T.c[name] == bound.c[name] for name in _KEY),
        _T.c.target_hash == func.decode(bound.c.target, "hex", type_=LargeBinary),
    )
    return (
        select(*_GIVEN)
        .select_from(
            bound.join(_T, same).join(
                models.interactions,
                and_(*(I[name] == _T.c[name] for name in (*_KEY, "seq"))),
            )
        )
        .order_by(_T.c.seq)
    )


_EXTERNAL = Prepared(_external)
_BY_SEQ = Prepared(_by_seq)
_OF_TARGETS = Prepared(_of_bound_targets)
_OF_TARGET = Prepared(
    lambda _: (
        select(*_GIVEN)
        .select_from(_TO_ROWS)
        .where(
            _T.c.tenant_id == bindparam("tenant"),
            _T.c.session_id == bindparam("id"),
            _T.c.target_hash == bindparam("target"),
        )
        .order_by(_T.c.seq)
    )
)
