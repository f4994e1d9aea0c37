"""How much text sessions hold, asked before it is read: so that who reads many at once
can stop before they are too much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from convstore.db import models
from convstore.db.dialects.base import Dialect
from convstore.db.session_ids import about, of_sessions
from convstore.db.statements import Prepared

T = TypeVar("T")

BYTES_AT_ONCE = 16 * 1024 * 1024
"""Text of the sessions that are held at once, give or take one: three times as much
memory, as rows and as what is made of them. As much as one turn may be."""

# Of what is small and bounded only the number matters.
_ROW = 256
_OF_TURN = "content parts resolved_question slots results metadata payload".split()
_LARGE: dict[str, tuple[Column[Any], ...]] = {
    "turns": tuple(models.turns.c[name] for name in _OF_TURN),
    "tool_sets": (models.tool_sets.c.tools,),
    "interactions": tuple(
        models.interactions.c[name]
        for name in "content reason choice shown metadata".split()
    ),
    "session_items": (models.session_items.c.value,),
    "session_state": (models.session_state.c.state,),
    "checkpoints": tuple(
        models.checkpoints.c[name] for name in "metadata channels body".split()
    ),
    "checkpoint_values": (models.checkpoint_values.c.data,),
    "checkpoint_logs": (models.checkpoint_logs.c.data,),
    "checkpoint_writes": (models.checkpoint_writes.c.data,),
    "graph_states": (models.graph_states.c.state, models.graph_states.c.metadata),
}


def _length(column: Column[Any]) -> ColumnElement[int]:
    is_bytes = isinstance(column.type, LargeBinary)
    text = column if is_bytes else cast(column, Text)
    return func.coalesce(func.length(text), 0)


def _sums(dialect: Dialect, name: str) -> Select[tuple[str, int]]:
    table = models.metadata.tables[name]
    row: ColumnElement[int] = literal(_ROW)
    for column in _LARGE[name]:
        row = row + _length(column)
    return (
        select(table.c.session_id, func.sum(row))
        .where(of_sessions(dialect, table))
        .group_by(table.c.session_id)
    )


def _prepared(name: str) -> Prepared:
    return Prepared(lambda dialect: _sums(dialect, name))


def _attached(dialect: Dialect) -> Select[tuple[str, int]]:
    """Of the attachments that sessions name, which are in their documents too."""
    names, kept = models.session_attachments, models.attachments
    same = and_(kept.c.tenant_id == names.c.tenant_id, kept.c.hash == names.c.hash)
    return (
        select(names.c.session_id, func.sum(_length(kept.c.data)))
        .select_from(names.join(kept, same))
        .where(of_sessions(dialect, names))
        .group_by(names.c.session_id)
    )


_SUMS = [*(_prepared(name) for name in _LARGE), Prepared(_attached)]


def of(connection: Connection, tenant: str, session_ids: Sequence[str]) -> list[int]:
    """Characters, and bytes of payloads, of each session's rows, in the order of the
    ids."""
    sizes: dict[str, int] = defaultdict(int)
    given = about(tenant, session_ids)
    for statement in _SUMS:
        for session_id, size in statement.all(connection, given):
            sizes[session_id] += int(size)
    return [sizes[session_id] for session_id in session_ids]


def that_fit(sizes: Iterable[int], room: float = BYTES_AT_ONCE) -> int:
    """How many of the first are held at once: one at least."""
    count = 0
    for size in sizes:
        room -= size
        if count and room < 0:
            break
        count += 1
    return count


def portions(
    items: Sequence[T], sizes: Iterable[int], most: int, room: int = BYTES_AT_ONCE
) -> list[list[T]]:
    """Items in portions of at most so many, which are within the room or one item."""
    found: list[list[T]] = []
    left = 0
    for item, size in zip(items, sizes, strict=True):
        if not found or len(found[-1]) == most or size > left:
            found.append([])
            left = room
        found[-1].append(item)
        left -= size
    return found
