"""Checkpoints: put one, put what tasks have written, end, prune, copy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Table,
    bindparam,
    delete,
    insert,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from convstore.db import models
from convstore.db.checkpoint_lists import Lists, Stretch
from convstore.db.codec.checkpoints import (
    CHECKPOINT_ROWS,
    CHECKPOINTS,
    ENDS,
    VALUES,
    WRITES,
    with_digest,
)
from convstore.db.holds import check_not_held
from convstore.db.sessions import EnsureSession
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import Head, Key, Row, Unit
from convstore.vocabulary.checkpoints import CheckpointValue, hash_of
from convstore.vocabulary.codec import bytes_to_json, decode_json, dumps
from convstore.vocabulary.errors import CheckpointsEndedError

# Smaller ones are with the checkpoint: a row of their own would take more room.
_INLINE_BYTES = 96
# Larger ones go down as they are: in one statement with others they would be text.
_MOST_AT_ONCE = 256 * 1024

C = models.checkpoints.c
E = models.checkpoint_ends.c
_OF = {"tenant": "tenant_id", "id": "session_id", "namespace": "namespace"}


def _is(table: Table, *names: str) -> list[Any]:
    return [table.c[_OF.get(name, name)] == bindparam(BOUND + name) for name in names]


def _values_of(table: Table) -> dict[str, Any]:
    return {column.name: bindparam(BOUND + column.name) for column in table.c}


def _put(table: Table) -> Prepared:
    """Put a row in place of any that has its key."""
    given = _values_of(table)
    return Prepared(lambda dialect: dialect.insert_or_replace(table).values(given))


def _keep(table: Table) -> Prepared:
    """Add a row where none has its key."""
    given = _values_of(table)
    return Prepared(lambda dialect: dialect.insert_ignore(table).values(given))


PUT = _put(models.checkpoints)
KEEP_VALUE = _keep(models.checkpoint_values)
KEEP_WRITE = _keep(models.checkpoint_writes)
_PUT_WRITE = _put(models.checkpoint_writes)
_PUT_END = _put(models.checkpoint_ends)
_THROUGH = Prepared(
    lambda _: select(E.through).where(*_is(models.checkpoint_ends, "tenant", "id"))
)
_PREVIOUS = (
    select(C.channels)
    .where(*_is(models.checkpoints, "tenant", "id", "namespace"))
    .order_by(C.checkpoint_id.desc())
    .limit(1)
)
_LATEST = Prepared(lambda _: _PREVIOUS)
_PARENT = Prepared(
    lambda _: _PREVIOUS.where(C.checkpoint_id == bindparam(BOUND + "checkpoint_id"))
)


@dataclass(slots=True)
class PutCheckpoint:
    """Put the state of a step in place of any with its id; values that the session has
    already are not stored again."""

    key: Key
    row: Row
    values: Mapping[str, CheckpointValue]
    lists: Mapping[str, Sequence[CheckpointValue]]
    now: int
    create: bool = False
    user_id: str | None = None
    size: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether nothing has to be read for it but its session's head."""
        return not self.lists and self.size <= _MOST_AT_ONCE

    def apply(self, unit: Unit) -> None:
        head = _head(unit, self.key, self.user_id, self.now, create=self.create)
        self.check(unit)
        self.write(unit)
        head.touch(self.now)

    def check(self, unit: Unit) -> None:
        """Refuse what is from before an end; changes nothing."""
        after = self.row["parent_id"] or self.row["checkpoint_id"]
        _refuse_ended(unit, self.key, after)

    def write(self, unit: Unit) -> None:
        """Gather the rows of what was checked."""
        row = {"tenant_id": self.key[0], "session_id": self.key[1], **self.row}
        row["channels"] = dumps(self._channels(unit)).decode()
        unit.change(PUT, with_digest(CHECKPOINTS, row))

    def _channels(self, unit: Unit) -> dict[str, Any]:
        channels: dict[str, Any] = {}
        for name, value in self.values.items():
            if len(value.data) <= _INLINE_BYTES:
                data = bytes_to_json(value.data)
                channels[name] = {"type": value.type, "data": data}
                continue
            found = hash_of(value)
            channels[name] = {"value": found}
            row: Row = {"tenant_id": self.key[0], "session_id": self.key[1]}
            row |= {"hash": found, "type": value.type, "data": value.data}
            unit.change(KEEP_VALUE, with_digest(VALUES, row))
        if self.lists:
            unit.write_changes()  # the step before may be of this transaction
            connection = unit.connection
            lists, previous = Lists(connection, self.key), self._previous(connection)
            for name, values in self.lists.items():
                channels[name] = {"list": lists.put(values, previous.get(name, ()))}
            lists.write()
        return channels

    def _previous(self, connection: Connection) -> dict[str, list[Stretch]]:
        """Where the lists of the step before are."""
        given = {"tenant": self.key[0], "id": self.key[1], **self.row}
        found = []
        if self.row["parent_id"] is not None:
            given["checkpoint_id"] = self.row["parent_id"]
            found = _PARENT.all(connection, given)
        if not found:
            found = _LATEST.all(connection, given)
        channels = decode_json(found[0][0]) if found else {}
        return {
            name: [tuple(stretch) for stretch in where["list"]]
            for name, where in channels.items()
            if "list" in where
        }


@dataclass(slots=True)
class PutWrites:
    """Put what a task has written, by its numbers; those that are there are left alone
    unless they are to be replaced. The checkpoint may come later."""

    key: Key
    rows: list[Row]
    checkpoint_id: str
    now: int
    replace: bool = False
    create: bool = False
    user_id: str | None = None
    size: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether nothing has to be read for it but its session's head."""
        return not self.replace and self.size <= _MOST_AT_ONCE

    def apply(self, unit: Unit) -> None:
        head = _head(unit, self.key, self.user_id, self.now, create=self.create)
        _refuse_ended(unit, self.key, self.checkpoint_id)
        statement = _PUT_WRITE if self.replace else KEEP_WRITE
        for given in self.rows:
            row = {"tenant_id": self.key[0], "session_id": self.key[1], **given}
            unit.change(statement, with_digest(WRITES, row))
        head.touch(self.now)


@dataclass(slots=True)
class EndCheckpoints:
    """Delete all checkpoints of a session, and refuse from now on what belongs to one
    up to `through`. Gives how many there were."""

    key: Key
    through: str
    now: int
    user_id: str | None = None
    size: int = 0

    def apply(self, unit: Unit) -> int:
        head = unit.active(self.key, self.user_id)
        check_not_held(head)
        unit.flush()
        connection, count = unit.connection, 0
        for kind in CHECKPOINT_ROWS.values():
            if kind is not ENDS:
                done = connection.execute(
                    delete(kind.table).where(*_of(kind.table, self.key))
                )
                count += done.rowcount if kind is CHECKPOINTS else 0
        before = through(connection, self.key)
        row = {
            "tenant_id": self.key[0],
            "session_id": self.key[1],
            "through": max(self.through, before or ""),
        }
        _PUT_END.run(connection, with_digest(ENDS, row))
        head.touch(self.now)
        return count


@dataclass(slots=True)
class DeleteCheckpoints:
    """Delete some checkpoints with what tasks wrote to them, and then the values that
    nothing names any more. Gives how many went.

    Args:
        places: Namespace and id of each.
        keep: If given, these stay, and as many of the newest of each namespace; all
            others go.
    """

    key: Key
    places: Collection[tuple[str, str]]
    now: int
    keep: int | None = None
    user_id: str | None = None
    size: int = 0

    def apply(self, unit: Unit) -> int:
        head = unit.active(self.key, self.user_id)
        unit.flush()
        connection = unit.connection
        rows = connection.execute(
            select(C.namespace, C.checkpoint_id, C.channels)
            .where(*_of(models.checkpoints, self.key))
            .order_by(C.namespace, C.checkpoint_id.desc())
        ).all()
        gone = self._chosen(rows)
        if not gone:
            return 0
        check_not_held(head)
        given = [{"b_namespace": r[0], "b_checkpoint": r[1]} for r in gone]
        for table in (models.checkpoints, models.checkpoint_writes):
            connection.execute(
                delete(table).where(
                    *_of(table, self.key),
                    table.c.namespace == bindparam("b_namespace"),
                    table.c.checkpoint_id == bindparam("b_checkpoint"),
                ),
                given,
            )
        lost = {(r[0], r[1]) for r in gone}
        _collect(connection, self.key, [r[2] for r in rows if (r[0], r[1]) not in lost])
        head.touch(self.now)
        return len(gone)

    def _chosen(self, rows: Sequence[Any]) -> list[Any]:
        named = set(self.places)
        if self.keep is None:
            return [row for row in rows if (row[0], row[1]) in named]
        gone = []
        for _, group in groupby(rows, key=itemgetter(0)):
            older = list(group)[self.keep :]
            gone += [row for row in older if (row[0], row[1]) not in named]
        return gone


@dataclass(slots=True)
class CopyCheckpoints:
    """Copy all checkpoints of one session to another that has none, on the server."""

    key: Key
    source: Key
    now: int
    user_id: str | None = None
    size: int = 0
    keys: tuple[Key, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = (self.source, self.key)

    def apply(self, unit: Unit) -> int:
        unit.load(self.keys)  # together, so that two copies never wait for each other
        unit.active(self.source, self.user_id)
        head = _head(unit, self.key, self.user_id, self.now, create=True)
        unit.flush()
        connection, count = unit.connection, 0
        if head.row["hold_count"] and _has_any(connection, self.key):
            check_not_held(head)
        for kind in CHECKPOINT_ROWS.values():
            if kind is ENDS:
                continue
            connection.execute(delete(kind.table).where(*_of(kind.table, self.key)))
            names = list(kind.table.c.keys())
            copied = [
                literal(self.key[1]) if name == "session_id" else _as_it_is(column)
                for name, column in kind.table.c.items()
            ]
            done = connection.execute(
                insert(kind.table).from_select(
                    names, select(*copied).where(*_of(kind.table, self.source))
                )
            )
            count += done.rowcount if kind is CHECKPOINTS else 0
        head.touch(self.now)
        return count


def through(connection: Connection, key: Key) -> str | None:
    """The id through which a session's checkpoints were ended; None if never."""
    found = _THROUGH.all(connection, {"tenant": key[0], "id": key[1]})
    return found[0][0] if found else None


def _head(unit: Unit, key: Key, user_id: str | None, now: int, *, create: bool) -> Head:
    if create and unit.find(key) is None:
        EnsureSession(key, {"user_id": user_id}, now, user_id).apply(unit)
    return unit.active(key, user_id)


def _has_any(connection: Connection, key: Key) -> bool:
    """Whether a session has a checkpoint, or writes to one that may still come."""
    tables = (models.checkpoints, models.checkpoint_writes)
    asked = (select(literal(1)).where(*_of(table, key)).limit(1) for table in tables)
    return any(connection.execute(one).first() is not None for one in asked)


def _refuse_ended(unit: Unit, key: Key, after: str) -> None:
    if unit.not_ended is not None:  # the statement that writes sees to it
        unit.not_ended[key] = min(after, unit.not_ended.get(key, after))
        return
    last = through(unit.connection, key)
    if last is not None and after <= last:
        raise CheckpointsEndedError(key[1])


def _as_it_is(column: Column[Any]) -> Any:
    # JSON is read as text otherwise, which does not go back into a column of JSON.
    return type_coerce(column, NullType())


def _of(table: Table, key: Key) -> tuple[Any, Any]:
    return table.c.tenant_id == key[0], table.c.session_id == key[1]


def _collect(connection: Connection, key: Key, channels: Sequence[str]) -> None:
    """Delete the values and elements that no checkpoint names."""
    hashes: set[str] = set()
    reach: dict[int, tuple[int, int]] = {}
    for text in channels:
        for where in decode_json(text).values():
            if "value" in where:
                hashes.add(where["value"])
            for log, first, end in where.get("list", ()):
                low, high = reach.get(log, (first, end))
                reach[log] = min(low, first), max(high, end)
    held, logs = models.checkpoint_values, models.checkpoint_logs
    stored = connection.execute(select(held.c.hash).where(*_of(held, key))).scalars()
    orphans = [{"b_hash": hash_} for hash_ in stored if hash_ not in hashes]
    if orphans:
        one = (*_of(held, key), held.c.hash == bindparam("b_hash"))
        connection.execute(delete(held).where(*one), orphans)
    there = select(logs.c.log).where(*_of(logs, key)).distinct()
    ends = []
    for log in connection.execute(there).scalars():
        low, high = reach.get(log, (0, 0))
        ends.append({"b_log": log, "b_low": low, "b_end": high})
    if ends:
        outside = (logs.c.idx < bindparam("b_low")) | (logs.c.idx >= bindparam("b_end"))
        one_log = (*_of(logs, key), logs.c.log == bindparam("b_log"), outside)
        connection.execute(delete(logs).where(*one_log), ends)
