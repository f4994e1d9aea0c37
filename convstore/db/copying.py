"""A whole database into another, of either kind, and looked at again afterwards.

Rows are copied as they are stored: ids, numbers, times, checksums, holds, receipts.
The target gets all of it or nothing; the source takes no writes meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, text, tuple_

from convstore.db import models, schema
from convstore.db.dialects import dialect_of, dialect_of_url
from convstore.db.dialects.base import Backend, BackendOptions
from convstore.vocabulary.errors import ConfigError, CorruptionError
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.progress import OnProgress, Progress

_FIRST_ROWS, _MOST_ROWS = 64, 1_024
_OF_ITSELF = {
    # Kept by triggers, which count what is copied.
    models.session_counts.name,
    # Says which releases may open it: the migrations of the target wrote that.
    models.schema_info.name,
}
_PAGE_BYTES = 16 * 1024 * 1024
"""Of one page of rows: more of them are read at a time as long as they are small."""


@dataclass(slots=True)
class _Sum:
    """What is in a table, whatever the order: how many rows, and all of them."""

    rows: int = 0
    digest: int = 0

    def add(self, row: Iterable[Any]) -> int:
        told = repr(
            [bytes(v) if isinstance(v, memoryview) else v for v in row]
        ).encode()
        self.rows += 1
        self.digest += int.from_bytes(hashlib.sha256(told).digest())
        return len(told)


@dataclass(slots=True)
class CopyReport:
    """Rows by table, all of them read again in the target."""

    rows: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())


def copy_database(
    source: tuple[str, str | None],
    target: tuple[str, str | None],
    on_progress: OnProgress | None = None,
) -> CopyReport:
    """Copy everything from one database to another, each named by its URL and schema.

    Raises:
        ConfigError: The target holds something already, or is at another revision.
        CorruptionError: What the target holds is not what was read; it is emptied.
        UnavailableError: One of them is away; the target is as it was.
    """
    return asyncio.run(_copy(source, target, on_progress))


async def _copy(
    source: tuple[str, str | None],
    target: tuple[str, str | None],
    on_progress: OnProgress | None,
) -> CopyReport:
    read, written = _opened(*source), _opened(*target)
    try:
        await read.locate()
        await written.locate()
        await _check(read, written)
        sums = await _copied(read, written, on_progress)
        found = {
            table.name: await written.read(lambda c, t=table: _sum_of(c, t))  # type: ignore[misc]
            for table in _tables()
        }
    finally:
        await read.close()
        await written.close()
    different = [name for name in sums if sums[name] != found[name]]
    if different:
        raise CorruptionError(f"the copy differs in {', '.join(different)}: drop it")
    # Plain text: names of tables are of a kind that JSON does not know.
    return CopyReport({str(name): told.rows for name, told in sums.items()})


def _opened(url: str, place: str | None) -> Backend:
    options = BackendOptions(url, 1, "none", Limits(), schema=place)
    return dialect_of_url(url).open(options)


def _tables() -> list[Table]:
    """The tables that are copied, those that others refer to first."""
    return [t for t in models.metadata.sorted_tables if t.name not in _OF_ITSELF]


async def _check(read: Backend, written: Backend) -> None:
    revisions = [await each.read(schema.revision_of) for each in (read, written)]
    if revisions[0] != revisions[1]:
        raise ConfigError("the two databases are at different revisions: upgrade both")
    for table in _tables():
        if await written.read(lambda c, t=table: _has_rows(c, t)):  # type: ignore[misc]
            raise ConfigError(f"the target holds rows already, in {table.name}")


def _has_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(table).limit(1)).first() is not None


async def _copied(
    read: Backend, written: Backend, on_progress: OnProgress | None
) -> dict[str, _Sum]:
    sums: dict[str, _Sum] = {}
    done = 0
    async with read.transaction() as reading, written.transaction() as writing:
        await reading.run(_hold_still)
        total = await reading.run(_count_all)
        for table in _tables():
            told = sums[table.name] = _Sum()
            pages = _Pages(table)
            while rows := await reading.run(pages.next):
                pages.seen(rows, sum(told.add(row) for row in rows))
                values = [dict(zip(pages.names, row, strict=True)) for row in rows]
                await writing.run(_inserting(table, values))
                done += len(rows)
                if on_progress is not None:
                    on_progress(Progress("copy", "rows", done, total))
    return sums


def _inserting(table: Table, rows: list[Any]) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(insert(table), rows)

    return work


def _hold_still(connection: Connection) -> None:
    """Keep writers away: on SQLite the transaction does."""
    if dialect_of(connection).has_far_server:
        for table in _tables():
            name = connection.dialect.identifier_preparer.format_table(table)
            connection.execute(text(f"LOCK TABLE {name} IN SHARE MODE"))


def _count_all(connection: Connection) -> int:
    counts = (select(func.count()).select_from(table) for table in _tables())
    return sum(connection.execute(count).scalar_one() for count in counts)


class _Pages:
    """The rows of a table in the order of its key, some at a time."""

    def __init__(self, table: Table) -> None:
        self._key = list(table.primary_key.columns)
        # What is computed from the others, the target computes.
        self._columns = [c for c in table.columns if c.computed is None]
        self.names = [column.name for column in self._columns]
        self._places = [self.names.index(column.name) for column in self._key]
        self._after: tuple[Any, ...] | None = None
        self._size = _FIRST_ROWS

    def next(self, connection: Connection) -> list[Any]:
        wanted = select(*self._columns).order_by(*self._key).limit(self._size)
        if self._after is not None:
            wanted = wanted.where(tuple_(*self._key) > tuple_(*self._after))
        return list(connection.execute(wanted).all())

    def seen(self, rows: list[Any], size_bytes: int) -> None:
        self._after = tuple(rows[-1][place] for place in self._places)
        if size_bytes > _PAGE_BYTES:
            self._size = max(1, self._size // 4)
        else:
            self._size = min(_MOST_ROWS, self._size * 2)


def _rows(connection: Connection, table: Table) -> Iterator[Any]:
    pages = _Pages(table)
    while rows := pages.next(connection):
        yield from rows
        pages.seen(rows, sum(len(repr(row)) for row in rows))


def _sum_of(connection: Connection, table: Table) -> _Sum:
    told = _Sum()
    for row in _rows(connection, table):
        told.add(row)
    return told
