"""Statements for many rows that a server is given at once.

Run for each row, a statement costs a server as much to begin and to end as what it
does, and each of its triggers too. Where the database is in the same process that is
little, and it is run for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Connection, Table, bindparam, insert, select, update
from sqlalchemy.sql import ClauseElement

from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.given_rows import given_rows, text_of
from convstore.db.sizes import portions
from convstore.db.statements import BOUND, Prepared, Values

MOST = 1_000
ROOM = 4 * 1024 * 1024
"""Rows of one statement, and characters or bytes of their large columns: the text of
them is held here and there. A row that is larger goes by itself."""


class SentTogether(Prepared):
    """One statement for a row, and one for many, which does the same.

    `large` are the columns of `names` that are not small and bounded.
    """

    __slots__ = ("_large", "_names", "_picked", "_together")

    def __init__(
        self,
        one: ClauseElement,
        many: ClauseElement,
        names: Iterable[str],
        large: Iterable[str] = (),
    ) -> None:
        super().__init__(_worded(one))
        self._together = Prepared(_worded(many))
        # SQLAlchemy's names are of a subclass of str, which JSON's writer refuses.
        self._names = tuple(map(str.__str__, names))
        self._picked = itemgetter(*self._names)
        self._large = tuple(large)

    @classmethod
    def insert(
        cls, table: Table, names: Sequence[str], *, large: Sequence[str] = ()
    ) -> SentTogether:
        """Rows with values in these columns."""
        given = given_rows("given", [table.c[name] for name in names])
        values: dict[str, Any] = {name: bindparam(BOUND + name) for name in names}
        many = insert(table).from_select(list(names), select(*given.c))
        return cls(insert(table).values(values), many, names, large)

    @classmethod
    def update(
        cls, table: Table, key: Sequence[str], names: Sequence[str]
    ) -> SentTogether:
        """Other values in these columns of the row that has the key. Rows that are
        given together have different keys."""
        rows = given_rows("given", [table.c[name] for name in (*key, *names)])
        # All of them. A server takes any text of rows for a hundred, and would read a
        # table of some thousand for two; of a limit that it does not know, for ten.
        most = bindparam("most", type_=BigInteger)
        given = select(*rows.c).limit(most).subquery("sent")
        one = update(table).where(
            *(table.c[name] == bindparam(BOUND + name) for name in key)
        )
        many = update(table).where(*(table.c[name] == given.c[name] for name in key))
        return cls(
            one.values({name: bindparam(BOUND + name) for name in names}),
            many.values({name: given.c[name] for name in names}),
            (*key, *names),
        )

    def many(self, connection: Connection, rows: Iterable[Values]) -> None:
        rows = [*rows]
        if len(rows) == 1 or not dialect_of(connection).has_row_locks:
            super().many(connection, rows)
            return
        for some in portions(rows, map(self._size, rows), MOST, ROOM):
            if len(some) == 1:
                super().many(connection, some)
                continue
            said = [
                dict(zip(self._names, self._picked(row), strict=True)) for row in some
            ]
            self._together.run(connection, {"given": text_of(said), "most": len(said)})

    def _size(self, row: Values) -> int:
        return sum(len(row[name] or "") for name in self._large)


def _worded(statement: ClauseElement) -> Callable[[Dialect], ClauseElement]:
    return lambda _: statement
