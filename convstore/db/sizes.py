"""How much text sessions hold in which tables, asked before it is read.

So who reads many at once can stop before they are too much, and asks no table that has
nothing of them: most sessions have rows in one or two of a dozen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    Column,
    CompoundSelect,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
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
    "session_ledger": (),
    "legal_holds": (),
    "checkpoint_ends": (),
}


def _length(dialect: Dialect, column: Column[Any]) -> ColumnElement[int]:
    return func.coalesce(dialect.length(column), 0)


def row_size(dialect: Dialect, table: Table) -> ColumnElement[int]:
    """Characters or bytes of a row of a table, as they are counted here."""
    row: ColumnElement[int] = literal_column(str(_ROW))
    for column in _LARGE[table.name]:
        row = row + _length(dialect, column)
    return row


def _sums(dialect: Dialect, name: str) -> Select[tuple[str, str, int]]:
    table = models.metadata.tables[name]
    return (
        select(_named(table), table.c.session_id, func.sum(row_size(dialect, table)))
        .where(of_sessions(dialect, table))
        .group_by(table.c.session_id)
    )


def _attached(dialect: Dialect) -> Select[tuple[str, str, int]]:
    """Of the attachments that sessions name, which are in their documents too."""
    names, kept = models.session_attachments, models.attachments
    same = and_(kept.c.tenant_id == names.c.tenant_id, kept.c.hash == names.c.hash)
    return (
        select(
            _named(names), names.c.session_id, func.sum(_length(dialect, kept.c.data))
        )
        .select_from(names.join(kept, same))
        .where(of_sessions(dialect, names))
        .group_by(names.c.session_id)
    )


def _named(table: Table) -> ColumnElement[str]:
    return literal_column(f"'{table.name}'")


def _looks(_: Dialect) -> Select[Any]:
    """Of each table the first session from `first` on that has a row in it."""
    found: list[Any] = [_first(models.metadata.tables[name]) for name in _TABLES]
    return select(*found)


def _first(table: Table) -> ColumnElement[str]:
    # In order, and no EXISTS: of that a server may read a table from its beginning, up
    # to the first row of this tenant.
    found = select(table.c.session_id).where(
        table.c.tenant_id == bindparam("tenant"),
        table.c.session_id >= bindparam("first"),
    )
    return found.order_by(table.c.session_id).limit(1).scalar_subquery()


_ATTACHED = models.session_attachments.name
_TABLES = (*_LARGE, _ATTACHED)
_LOOKS = Prepared(_looks)


@lru_cache(maxsize=64)
def _sums_of(tables: frozenset[str]) -> Prepared:
    """The sizes of sessions in these tables."""

    def word(dialect: Dialect) -> CompoundSelect[tuple[str, str, int]]:
        # One statement: a dozen of them would be a third of what it takes to read
        # sessions from a server.
        return union_all(
            *(
                _attached(dialect) if name == _ATTACHED else _sums(dialect, name)
                for name in _TABLES
                if name in tables
            )
        )

    return Prepared(word)


class Held(NamedTuple):
    """What sessions hold: see `held`."""

    sizes: list[int]
    tables: frozenset[str]


def possible(
    connection: Connection, tenant: str, session_ids: Sequence[str]
) -> frozenset[str]:
    """The tables that may have rows of these sessions: those that have one of any
    session from the first to the last of them by id. One look at each."""
    if not session_ids:
        return frozenset()
    given = {"tenant": tenant, "first": min(session_ids)}
    (found,) = _LOOKS.all(connection, given)
    last = max(session_ids)
    return frozenset(
        table
        for table, session_id in zip(_TABLES, found, strict=True)
        if session_id is not None and session_id <= last
    )


def held(
    connection: Connection, tenant: str, session_ids: Sequence[str], *but: str
) -> Held:
    """Characters or bytes of each session's rows, in the order of the ids, and the
    names of the tables that have rows of any of them.

    Tables in `but` are not measured; they are named if they may have rows.
    """
    sizes: dict[str, int] = defaultdict(int)
    # Most tables have nothing: to look for each session in each of them would be as
    # much as to read what there is.
    found = possible(connection, tenant, session_ids)
    tables = {*found.intersection(but)}
    if asked := found.difference(but):
        sums = _sums_of(asked).all(connection, about(tenant, session_ids))
        for table, session_id, size in sums:
            sizes[session_id] += int(size)
            tables.add(table)
    return Held([sizes[session_id] for session_id in session_ids], frozenset(tables))


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
