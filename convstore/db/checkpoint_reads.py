"""Checkpoints read back, with their values, many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import BigInteger, Connection, and_, bindparam, cast, select, tuple_

from convstore.db import models, sessions
from convstore.db.codec.checkpoints import CHECKPOINTS, ELEMENTS, VALUES, WRITES
from convstore.db.codec.records import SelectedRow
from convstore.db.codec.row_types import RowType
from convstore.db.dialects.base import Dialect
from convstore.db.documents import selected
from convstore.db.statements import Prepared
from convstore.db.unit import Key, check_usable
from convstore.vocabulary.checkpoints import (
    Checkpoint,
    CheckpointValue,
    CheckpointWrite,
    StoredCheckpoint,
)
from convstore.vocabulary.codec import bytes_from_json, dumps
from convstore.vocabulary.errors import RowCorruptError
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Json, JsonObject

C = models.checkpoints.c
S = models.sessions.c
_ROW = selected(models.checkpoints, CHECKPOINTS.columns)
T = TypeVar("T")
_ATTEMPTS = 3
_Known: TypeAlias = dict[tuple[Any, ...], CheckpointValue]


def _by_bound_rows(kind: RowType[Any], *names: str) -> Prepared:
    """Rows of a tenant by the columns `names` of their keys."""

    def word(dialect: Dialect) -> Any:
        bound, table = dialect.bound_rows(*names), kind.table
        same = and_(*(table.c[name] == bound.c[name] for name in names))
        return (
            select(*selected(table, kind.columns))
            .select_from(bound.join(table, same))
            .where(table.c.tenant_id == bindparam("tenant"))
        )

    return Prepared(word)


def _stretches(dialect: Dialect) -> Any:
    bound = dialect.bound_rows("session_id", "log", "first", "end")
    table = models.checkpoint_logs
    log, first, end = (
        cast(bound.c[name], BigInteger) for name in ("log", "first", "end")
    )
    within = and_(
        table.c.session_id == bound.c.session_id,
        table.c.log == log,
        table.c.idx >= first,
        table.c.idx < end,
    )
    return (
        select(*selected(table, ELEMENTS.columns))
        .select_from(bound.join(table, within))
        .where(table.c.tenant_id == bindparam("tenant"))
    )


def _writes_of_those_there(dialect: Dialect) -> Any:
    """A row at least for each checkpoint that is there: who finds none of one knows
    that it went since it was read, and does not take it for one without writes."""
    bound, table = dialect.bound_rows(*_PLACE), models.checkpoint_writes
    asked = and_(*(C[name] == bound.c[name] for name in _PLACE))
    written = and_(
        table.c.tenant_id == C.tenant_id, *(table.c[n] == C[n] for n in _PLACE)
    )
    return (
        select(*(C[name] for name in _PLACE), *selected(table, WRITES.columns))
        .select_from(bound.join(models.checkpoints, asked).outerjoin(table, written))
        .where(C.tenant_id == bindparam("tenant"))
    )


_OF_GRAPH = (
    C.tenant_id == bindparam("tenant"),
    C.session_id == bindparam("id"),
    C.namespace == bindparam("namespace"),
)


def _of_session(column: Any) -> Any:
    of_it = S.tenant_id == bindparam("tenant"), S.session_id == bindparam("id")
    return select(column).where(*of_it).scalar_subquery()


# With what the session is: one statement is of one moment.
_FOUND = select(
    _of_session(S.state).label("session_state"),
    _of_session(S.user_id).label("owner"),
    *_ROW,
).where(*_OF_GRAPH)
_LATEST = Prepared(lambda _: _FOUND.order_by(C.checkpoint_id.desc()).limit(1))
_ONE = Prepared(lambda _: _FOUND.where(C.checkpoint_id == bindparam("checkpoint")))
_PLACE = ("session_id", "namespace", "checkpoint_id")
_VALUES = _by_bound_rows(VALUES, "session_id", "hash")
_WRITES = Prepared(lambda dialect: _writes_of_those_there(dialect))
_ELEMENTS = Prepared(_stretches)
# The order in which a run applies what its tasks have written.
_APPLIED = attrgetter("task_path", "task_id", "idx")


class Wanted(Value, frozen=True):
    """Which checkpoints of a tenant: all of these conditions that are there."""

    session_id: str | None = None
    namespace: str | None = None
    checkpoint_id: str | None = None
    before: str | None = None
    run_id: str | None = None


def find(
    connection: Connection,
    key: Key,
    namespace: str,
    checkpoint_id: str | None,
    user_id: str | None,
) -> Checkpoint | None:
    """One checkpoint of a live session with all its values, or the latest of a graph.

    Raises:
        SessionNotFoundError, SessionArchivedError, SessionDeletedError,
        SessionErasedError: As `check_usable`.
    """
    row = _found(connection, key, namespace, checkpoint_id)
    if row is None:
        # Whether the session has none, or was somewhere else just then.
        row = sessions.read_live(
            *(connection, key, user_id),
            lambda _: _found(connection, key, namespace, checkpoint_id),
        )
        if row is None:
            return None
    state, owner, *of_checkpoint = row
    check_usable(state, owner, key[1], user_id)
    return filled(connection, key[0], [stored(of_checkpoint)])[0]


def _found(
    connection: Connection, key: Key, namespace: str, checkpoint_id: str | None
) -> SelectedRow | None:
    given = {"tenant": key[0], "id": key[1], "namespace": namespace}
    if checkpoint_id is None:
        found = _LATEST.all(connection, given)
    else:
        found = _ONE.all(connection, {**given, "checkpoint": checkpoint_id})
    return found[0] if found else None


def whole(read: Callable[[], T]) -> T:
    """What `read` gives where nothing goes from under it.

    Values are read after the row that names them, by a statement of its own. Of a
    checkpoint that is deleted in between some are missing; next time it is not there.
    One snapshot for all would cost every read two journeys more to a server.

    Raises:
        RowCorruptError: It is so time and again.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return read()
        except RowCorruptError:
            continue
    return read()


def rows(
    connection: Connection,
    tenant: str,
    wanted: Wanted,
    limit: int,
    after: tuple[str, str, str] | None = None,
) -> list[SelectedRow]:
    """Rows of live sessions, newest first: greatest id, then session and namespace.

    Args:
        after: Id, session and namespace of the last one before.
    """
    statement = select(*_ROW).where(C.tenant_id == tenant)
    for name in ("session_id", "namespace", "checkpoint_id", "run_id"):
        value = getattr(wanted, name)
        if value is not None:
            statement = statement.where(C[name] == value)
    if wanted.before is not None:
        statement = statement.where(C.checkpoint_id < wanted.before)
    order = (C.checkpoint_id, C.session_id, C.namespace)
    if after is not None:
        statement = statement.where(tuple_(*order) < tuple_(*after))
    statement = statement.order_by(*(column.desc() for column in order)).limit(limit)
    return [list(row) for row in connection.execute(statement)]


def stored(row: SelectedRow) -> StoredCheckpoint:
    """The record of one of `rows`, its checksum compared."""
    record: StoredCheckpoint
    (record,) = CHECKPOINTS.records(row[0], [row])
    return record


def filled(
    connection: Connection, tenant: str, found: Sequence[StoredCheckpoint]
) -> list[Checkpoint]:
    """The checkpoints with all their values.

    Raises:
        RowCorruptError: A value is not there, or not as it was.
    """
    values = _values(connection, tenant, found)
    elements = _elements(connection, tenant, found)
    writes = _writes(connection, tenant, found)
    checkpoints = []
    for one in found:
        sid = one.session_id
        scalars: dict[str, CheckpointValue] = {}
        lists: dict[str, tuple[CheckpointValue, ...]] = {}
        try:
            for name, where in one.channels.items():
                if "list" in where:
                    lists[name] = tuple(
                        elements[sid, log, idx]
                        for log, first, end in where["list"]
                        for idx in range(first, end)
                    )
                elif "value" in where:
                    scalars[name] = values[sid, where["value"]]
                else:
                    data = bytes_from_json(where["data"])
                    scalars[name] = CheckpointValue(where["type"], data)
            written = writes[sid, one.namespace, one.checkpoint_id]
        except KeyError:
            raise RowCorruptError(sid, "the values of a checkpoint") from None
        checkpoints.append(
            Checkpoint(
                sid,
                one.namespace,
                one.checkpoint_id,
                one.parent_id,
                one.run_id,
                one.metadata,
                CheckpointValue(one.type, one.body),
                scalars,
                lists,
                written,
                one.created_at,
            )
        )
    return checkpoints


def _values(
    connection: Connection, tenant: str, found: Iterable[StoredCheckpoint]
) -> _Known:
    bound = {
        (one.session_id, where["value"])
        for one in found
        for where in one.channels.values()
        if "value" in where
    }
    return {
        (each.session_id, each.hash): CheckpointValue(each.type, each.data)
        for each in _bound(connection, _VALUES, VALUES, tenant, bound)
    }


def _elements(
    connection: Connection, tenant: str, found: Iterable[StoredCheckpoint]
) -> _Known:
    # What versions of a list share is read once.
    reach: dict[tuple[str, int], tuple[int, int]] = {}
    for one in found:
        for where in one.channels.values():
            for log, first, end in where.get("list", ()):
                low, high = reach.get((one.session_id, log), (first, end))
                reach[one.session_id, log] = min(low, first), max(high, end)
    bound = [
        (session_id, str(log), str(low), str(high))
        for (session_id, log), (low, high) in reach.items()
    ]
    return {
        (each.session_id, each.log, each.idx): CheckpointValue(each.type, each.data)
        for each in _bound(connection, _ELEMENTS, ELEMENTS, tenant, bound)
    }


def _writes(
    connection: Connection, tenant: str, found: Iterable[StoredCheckpoint]
) -> dict[tuple[str, str, str], tuple[CheckpointWrite, ...]]:
    places = [(one.session_id, one.namespace, one.checkpoint_id) for one in found]
    if not places:
        return {}
    given = {"tenant": tenant, "bound": dumps(places).decode()}
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for session_id, namespace, checkpoint_id, *row in _WRITES.all(connection, given):
        group = groups.setdefault((session_id, namespace, checkpoint_id), [])
        if row[0] is not None:  # one without writes
            group += WRITES.records(session_id, [row])
    return {
        place: tuple(
            CheckpointWrite(
                one.task_id,
                one.idx,
                one.channel,
                CheckpointValue(one.type, one.data),
                one.task_path,
            )
            for one in sorted(group, key=_APPLIED)
        )
        for place, group in groups.items()
    }


def _bound(
    connection: Connection,
    statement: Prepared,
    kind: RowType[Any],
    tenant: str,
    bound: Iterable[tuple[str, ...]],
) -> list[Any]:
    rows = sorted(bound)
    if not rows:
        return []
    given = {"tenant": tenant, "bound": dumps(rows).decode()}
    return [
        record
        for row in statement.all(connection, given)
        for record in kind.records(row[0], [row])
    ]


def meets(metadata: JsonObject, wanted: JsonObject) -> bool:
    """Whether metadata has every key of `wanted`, with an equal value."""
    return all(
        key in metadata and _same(metadata[key], value) for key, value in wanted.items()
    )


def _same(one: Json, other: Json) -> bool:
    # As JSON has it, where true is not 1.
    return dumps(one) == dumps(other) or (
        type(one) is not bool and type(other) is not bool and bool(one == other)
    )
