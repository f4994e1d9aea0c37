"""The tables of checkpoints: their columns, checksums and records, in one list.

Whatever moves whole sessions (documents, purge, restore, erasure) goes by
`CHECKPOINT_ROWS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table

from convstore.db import models
from convstore.db.codec.records import SelectedRow
from convstore.db.codec.row_types import RowType
from convstore.vocabulary.checkpoints import (
    NO_CHECKPOINTS,
    CheckpointEnd,
    StoredCheckpoint,
    StoredCheckpoints,
    StoredElement,
    StoredValue,
    StoredWrite,
    is_whole,
)
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.codec import decode_json, digest
from convstore.vocabulary.errors import RowCorruptError


def columns_of(table: Table) -> list[Any]:
    """Those of a row that say something, behind its session's id."""
    beside = ("tenant_id", "session_id", "digest")
    return [column for column in table.c if column.name not in beside]


def _checkpoint(session_id: str, row: SelectedRow) -> StoredCheckpoint:
    namespace, cid, parent, run, metadata, channels, type_, body, created_at = row
    return StoredCheckpoint(
        session_id,
        namespace,
        cid,
        parent,
        run,
        {} if metadata == "{}" else decode_json(metadata),
        {} if channels == "{}" else decode_json(channels),
        type_,
        bytes(body),
        from_micros(created_at),
    )


def _value(session_id: str, row: SelectedRow) -> StoredValue:
    hash_, type_, data = row
    return StoredValue(session_id, hash_, type_, bytes(data))


def _element(session_id: str, row: SelectedRow) -> StoredElement:
    log, idx, type_, data, chain = row
    return StoredElement(session_id, log, idx, type_, bytes(data), chain)


def _write(session_id: str, row: SelectedRow) -> StoredWrite:
    namespace, cid, task_id, idx, channel, type_, data, task_path = row
    return StoredWrite(
        session_id, namespace, cid, task_id, idx, channel, type_, bytes(data), task_path
    )


def _end(session_id: str, row: SelectedRow) -> CheckpointEnd:
    return CheckpointEnd(session_id, row[0])


def _kind(
    what: str, table: Table, build: Callable[[str, SelectedRow], Any], *beside: str
) -> RowType[Any]:
    columns = columns_of(table)
    covered = [column.name for column in columns if column.name not in beside]
    return RowType(what, table, columns, covered, build)


CHECKPOINTS = _kind("checkpoint", models.checkpoints, _checkpoint, "created_at")
VALUES = _kind("value of a checkpoint", models.checkpoint_values, _value)
ELEMENTS = _kind("list of a checkpoint", models.checkpoint_logs, _element)
WRITES = _kind("write of a checkpoint", models.checkpoint_writes, _write)
ENDS = _kind("end of checkpoints", models.checkpoint_ends, _end)

CHECKPOINT_ROWS: Mapping[str, RowType[Any]] = {
    "checkpoints": CHECKPOINTS,
    "values": VALUES,
    "elements": ELEMENTS,
    "writes": WRITES,
    "ends": ENDS,
}
"""By the name that each has in `StoredCheckpoints`, in its order."""


def order_of(kind: RowType[Any]) -> list[str]:
    """The key of a kind's table, within its session."""
    return [column.name for column in kind.table.primary_key.columns][2:]


def with_digest(kind: RowType[Any], row: dict[str, Any]) -> dict[str, Any]:
    """The row with its checksum."""
    row["digest"] = digest(*(row[name] for name in kind.covered))
    return row


def stored_checkpoints(
    session_id: str, tables: Sequence[Sequence[SelectedRow]]
) -> StoredCheckpoints:
    """The records of rows, in the order of `CHECKPOINT_ROWS`.

    Raises:
        RowCorruptError: A checksum does not match, or a checkpoint names what is not
            there.
    """
    if not any(tables):
        return NO_CHECKPOINTS
    found = {
        name: kind.records(session_id, rows)
        for (name, kind), rows in zip(CHECKPOINT_ROWS.items(), tables, strict=True)
    }
    stored = StoredCheckpoints(**found)
    if not is_whole(stored):
        raise RowCorruptError(session_id, "the values of a checkpoint")
    return stored
