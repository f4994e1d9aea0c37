"""Statements for many rows that a server is given at once.

Run for each row, a statement costs a server as much to begin and to end as what it
does, and each of its triggers too. Where the database is in the same process that is
little, and it is run for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update
from sqlalchemy.sql import ClauseElement

from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.given_rows import given_rows, text_of
from convstore.db.statements import BOUND, Prepared, Values

MOST = 1_000
"""Rows of one statement: their text is held here and there."""


class SentTogether(Prepared):
    """One statement for a row, and one for many, which does the same.

    For rows of small and bounded columns only: a server has no room for a text of more
    than 1 GB.
    """

    __slots__ = ("_names", "_together")

    def __init__(
        self, one: ClauseElement, many: ClauseElement, names: Iterable[str]
    ) -> None:
        super().__init__(_worded(one))
        self._together = Prepared(_worded(many))
        self._names = tuple(names)

    @classmethod
    def insert(cls, table: Table, names: Sequence[str]) -> SentTogether:
        """Rows with values in these columns."""
        given = given_rows("given", [table.c[name] for name in names])
        values: dict[str, Any] = {name: bindparam(BOUND + name) for name in names}
        many = insert(table).from_select(list(names), select(*given.c))
        return cls(insert(table).values(values), many, names)

    @classmethod
    def update(
        cls, table: Table, key: Sequence[str], names: Sequence[str]
    ) -> SentTogether:
        """Other values in these columns of the row that has the key. Rows that are
        given together have different keys."""
        given = given_rows("given", [table.c[name] for name in (*key, *names)])
        one = update(table).where(
            *(table.c[name] == bindparam(BOUND + name) for name in key)
        )
        many = update(table).where(*(table.c[name] == given.c[name] for name in key))
        return cls(
            one.values({name: bindparam(BOUND + name) for name in names}),
            many.values({name: given.c[name] for name in names}),
            (*key, *names),
        )

    def many(self, connection: Connection, rows: Sequence[Values]) -> None:
        if len(rows) == 1 or not dialect_of(connection).has_row_locks:
            super().many(connection, rows)
            return
        for first in range(0, len(rows), MOST):
            some = rows[first : first + MOST]
            said = [{name: row[name] for name in self._names} for row in some]
            self._together.run(connection, {"given": text_of(said)})


def _worded(statement: ClauseElement) -> Callable[[Dialect], ClauseElement]:
    return lambda _: statement
