"""Small rows that have a key and are changed in place, as a transaction knows them.

Looked up once for many, changed in memory, written together in the flush. Whoever holds
the lock that guards a row may ask and change it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import (
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    select,
)
from sqlalchemy import update as update_

from convstore.db.dialects.base import Dialect
from convstore.db.key_locks import Row
from convstore.db.statements import BOUND, Prepared
from convstore.vocabulary.codec import dumps

Place: TypeAlias = tuple[str, ...]
"""The values of a row's key, the tenant first."""


class CellTable:
    """The statements of one table; its key is of text."""

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self.key = [column.name for column in table.primary_key.columns]
        self.columns = [column.name for column in table.c]
        others = [name for name in self.columns if name not in self.key]
        here = [table.c[name] == bindparam(BOUND + name) for name in self.key]

        def by_key(dialect: Dialect) -> Select[Any]:
            bound = dialect.bound_rows(*self.key)
            same = and_(*(table.c[name] == bound.c[name] for name in self.key))
            return select(*table.c).select_from(bound.join(table, same))

        self.find = Prepared(by_key)
        self.insert = Prepared(lambda _: insert(table))
        self.update = Prepared(
            lambda _: (
                update_(table)
                .where(*here)
                .values({name: bindparam(BOUND + name) for name in others})
            )
        )
        self.delete = Prepared(lambda _: delete(table).where(*here))


class Cells:
    """Rows of one table, by their places."""

    def __init__(self, table: CellTable) -> None:
        self._table = table
        self.key, self.columns = table.key, table.columns
        self._stored: dict[Place, bool] = {}
        self._rows: dict[Place, Row | None] = {}
        self._changed: dict[Place, None] = {}

    def look_up(self, connection: Connection, places: Iterable[Place]) -> None:
        """Read those that are not known yet, with one statement."""
        wanted = self.unknown(places)
        if not wanted:
            return
        found: dict[Place, Row] = {}
        bound = {"bound": dumps(sorted(wanted)).decode()}
        for values in self._table.find.all(connection, bound):
            row = dict(zip(self._table.columns, values, strict=True))
            found[tuple(row[name] for name in self._table.key)] = row
        self.know(wanted, found)

    def unknown(self, places: Iterable[Place]) -> set[Place]:
        """Those that were not looked up yet."""
        return {place for place in places if place not in self._rows}

    def know(self, places: Iterable[Place], rows: Mapping[Place, Row]) -> None:
        """Take up what somebody else has looked up: at `places` there are these rows,
        and no others."""
        for place in places:
            self._rows[place] = rows.get(place)
            self._stored[place] = place in rows

    def get(self, place: Place) -> Row | None:
        """The row as it is now, changes included; it must have been looked up."""
        return self._rows[place]

    def set(self, place: Place, row: Row | None) -> None:
        """Change a row that was looked up; None removes it."""
        self._rows[place] = row
        self._changed[place] = None

    def forget(self, key: Place) -> None:
        """Look up again whatever has a place that begins like this."""
        for place in [p for p in self._rows if p[: len(key)] == key]:
            del self._rows[place], self._stored[place]
            self._changed.pop(place, None)

    def taken(self) -> list[Row]:
        """The rows that were added, in place of a flush; nothing else was changed."""
        added = [row for place in self._changed if (row := self._rows[place])]
        self._changed.clear()
        return added

    def flush(self, connection: Connection) -> None:
        """Write what was changed."""
        added: list[Row] = []
        replaced: list[Row] = []
        removed: list[Row] = []
        for place in self._changed:
            row, was = self._rows[place], self._stored[place]
            if row is not None:
                (replaced if was else added).append(row)
            elif was:
                removed.append(dict(zip(self._table.key, place, strict=True)))
            self._stored[place] = row is not None
        self._changed.clear()
        statements = self._table
        for statement, rows in (
            (statements.delete, removed),
            (statements.update, replaced),
            (statements.insert, added),
        ):
            if rows:
                statement.many(connection, rows)
