"""Checkpoints read back, with their values, many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    bindparam,
    cast,
    null,
    select,
    tuple_,
    union_all,
)

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
    StoredWrite,
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
_Place: TypeAlias = tuple[str, str, str]


# The tenant is among what is bound. One beside it, the same for all rows, leads SQLite
# to walk all that the tenant has, and to look for each among the bound.
def _by_bound_rows(kind: RowType[Any], *names: str) -> Prepared:
    """Rows by the columns `names` of their keys, behind the tenant."""

    def word(dialect: Dialect) -> Any:
        bound, table = dialect.bound_rows("tenant_id", *names), kind.table
        same = and_(*(table.c[n] == bound.c[n] for n in ("tenant_id", *names)))
        return select(*selected(table, kind.columns)).select_from(
            bound.join(table, same)
        )

    return Prepared(word)


def _stretches(dialect: Dialect) -> Any:
    bound = dialect.bound_rows("tenant_id", "session_id", "log", "first", "end")
    table = models.checkpoint_logs
    log, first, end = (
        cast(bound.c[name], BigInteger) for name in ("log", "first", "end")
    )
    within = and_(
        table.c.tenant_id == bound.c.tenant_id,
        table.c.session_id == bound.c.session_id,
        table.c.log == log,
        table.c.idx >= first,
        table.c.idx < end,
    )
    return select(*selected(table, ELEMENTS.columns)).select_from(
        bound.join(table, within)
    )


def _writes_of_those_there(dialect: Dialect) -> Any:
    """A row at least for each checkpoint that is there: who finds none of one knows
    that it went since it was read, and does not take it for one without writes."""
    place = ("tenant_id", *_PLACE)
    bound, table = dialect.bound_rows(*place), models.checkpoint_writes
    asked = and_(*(C[name] == bound.c[name] for name in place))
    written = and_(*(table.c[name] == C[name] for name in place))
    return select(
        *(C[name] for name in _PLACE), *selected(table, WRITES.columns)
    ).select_from(bound.join(models.checkpoints, asked).outerjoin(table, written))


_OF_GRAPH = (
    C.tenant_id == bindparam("tenant"),
    C.session_id == bindparam("id"),
    C.namespace == bindparam("namespace"),
)


def _of_session(column: Any) -> Any:
    of_it = S.tenant_id == bindparam("tenant"), S.session_id == bindparam("id")
    return select(column).where(*of_it).scalar_subquery()


def _found_by(chosen: Callable[[Select[Any]], Select[Any]]) -> Prepared:
    """A checkpoint with what its session is, and as further rows, behind nulls, what
    tasks have written to it: one statement is of one moment, and one trip."""
    found = chosen(
        select(
            _of_session(S.state).label("session_state"),
            _of_session(S.user_id).label("owner"),
            *_ROW,
        ).where(*_OF_GRAPH)
    ).cte("found")
    table = models.checkpoint_writes
    columns = selected(table, WRITES.columns)
    whole = select(*found.c, *(null() for _ in columns))
    # By constants as far as they go, and a look: a join might begin at the wrong end.
    writes = select(*(null() for _ in found.c), *columns).where(
        table.c.tenant_id == bindparam("tenant"),
        table.c.session_id == bindparam("id"),
        table.c.namespace == bindparam("namespace"),
        table.c.checkpoint_id == select(found.c.checkpoint_id).scalar_subquery(),
    )
    both: Any = union_all(whole, writes)
    return Prepared(lambda _: both)


_PLACE = ("session_id", "namespace", "checkpoint_id")
_FOUND_COLUMNS = 2 + len(_ROW)
_LATEST = _found_by(lambda found: found.order_by(C.checkpoint_id.desc()).limit(1))
_ONE = _found_by(lambda found: found.where(C.checkpoint_id == bindparam("checkpoint")))
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
    found = _found(connection, key, namespace, checkpoint_id)
    if found is None:
        # Whether the session has none, or was somewhere else just then.
        found = sessions.read_live(
            *(connection, key, user_id),
            lambda _: _found(connection, key, namespace, checkpoint_id),
        )
        if found is None:
            return None
    (state, owner, *of_checkpoint), written = found
    check_usable(state, owner, key[1], user_id)
    one = stored(of_checkpoint)
    place = one.session_id, one.namespace, one.checkpoint_id
    writes = {place: _in_order(WRITES.records(key[1], written))}
    return filled(connection, key[0], [one], writes)[0]


def _found(
    connection: Connection, key: Key, namespace: str, checkpoint_id: str | None
) -> tuple[SelectedRow, list[SelectedRow]] | None:
    given = {"tenant": key[0], "id": key[1], "namespace": namespace}
    if checkpoint_id is None:
        rows = _LATEST.all(connection, given)
    else:
        rows = _ONE.all(connection, {**given, "checkpoint": checkpoint_id})
    written = [row[_FOUND_COLUMNS:] for row in rows if row[0] is None]
    for row in rows:
        if row[0] is not None:
            return row[:_FOUND_COLUMNS], written
    return None


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
    connection: Connection,
    tenant: str,
    found: Sequence[StoredCheckpoint],
    writes: Mapping[_Place, tuple[CheckpointWrite, ...]] | None = None,
) -> list[Checkpoint]:
    """The checkpoints with all their values, and with their writes, which are read
    where they are not given.

    Raises:
        RowCorruptError: A value is not there, or not as it was.
    """
    values = _values(connection, tenant, found)
    elements = _elements(connection, tenant, found)
    writes = writes or _writes(connection, tenant, found)
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
) -> dict[_Place, tuple[CheckpointWrite, ...]]:
    places = [(one.session_id, one.namespace, one.checkpoint_id) for one in found]
    if not places:
        return {}
    given = {"bound": dumps([(tenant, *place) for place in places]).decode()}
    groups: dict[_Place, list[SelectedRow]] = {}
    for session_id, namespace, checkpoint_id, *row in _WRITES.all(connection, given):
        group = groups.setdefault((session_id, namespace, checkpoint_id), [])
        if row[0] is not None:  # one without writes
            group.append(row)
    return {
        place: _in_order(WRITES.records(place[0], group))
        for place, group in groups.items()
    }


def _in_order(written: Iterable[StoredWrite]) -> tuple[CheckpointWrite, ...]:
    return tuple(
        CheckpointWrite(
            one.task_id,
            one.idx,
            one.channel,
            CheckpointValue(one.type, one.data),
            one.task_path,
        )
        for one in sorted(written, key=_APPLIED)
    )


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
    given = {"bound": dumps([(tenant, *row) for row in rows]).decode()}
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
