"""Hot statements: compiled once for a database, then run on the driver's own cursor.

SQLAlchemy's execution layer costs five times what SQLite takes to answer a small
statement (ADR 0003). So the statements of every append and window are worded in Core
like all others, and run here. What this leaves out: type conversion (our rows hold
what drivers hold: text, integers, bytes), the automatic BEGIN and the discovery of
lost connections (the backends do both).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql import ClauseElement

from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect, in_schema, schema_of

Values = Mapping[str, Any]
# A sequence, or a mapping by name, as the driver has it.
Bound = Any
Arrange = Callable[[Values], Bound]

# UPDATE reserves the names of its columns for itself: a bound value with the name of
# a column is written with this in front, and given without.
BOUND = "b_"


class Prepared:
    """One statement, whose bound values are given by name.

    Args:
        word: Makes the Core statement; every value in it is a named `bindparam`. Called
            once for each database.
    """

    __slots__ = ("_compiled", "_word")

    def __init__(self, word: Callable[[Dialect], ClauseElement]) -> None:
        self._word = word
        # By driver: two of one database differ in what they want bound, and how.
        # By schema: a statement names it.
        self._compiled: dict[tuple[str, str, str | None], tuple[str, Arrange]] = {}

    def all(self, connection: Connection, values: Values) -> list[Any]:
        """Run it and fetch every row, as a sequence of what the driver gives."""
        sql, bound = self.bound(connection, values)
        return dialect_of(connection).fetch(connection, sql, bound)

    def run(self, connection: Connection, values: Values) -> None:
        """Run it for what it does; it gives no rows."""
        cursor = connection.connection.cursor()
        try:
            cursor.execute(*self.bound(connection, values))
        finally:
            cursor.close()

    def count(self, connection: Connection, values: Values) -> int:
        """As `run`; how many rows it changed."""
        cursor = connection.connection.cursor()
        try:
            cursor.execute(*self.bound(connection, values))
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def many(self, connection: Connection, rows: Iterable[Values]) -> None:
        """Run it for each of `rows`, with one call of the driver."""
        sql, arrange = self._for(connection)
        # SQLite's own driver takes them as they are made, one by one: thousands that
        # wait for the last would have the collector walk all that there is.
        bound: Any = map(arrange, rows)
        if connection.dialect.driver != "pysqlite":
            bound = [*bound]
            if not bound:
                return
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(sql, bound)
        finally:
            cursor.close()

    def bound(self, connection: Connection, values: Values) -> tuple[str, Bound]:
        """The text and the values as the driver gets them."""
        sql, arrange = self._for(connection)
        return sql, arrange(values)

    def _for(self, connection: Connection) -> tuple[str, Arrange]:
        dialect, schema = connection.dialect, schema_of(connection)
        way = dialect.driver, dialect.paramstyle, schema
        found = self._compiled.get(way)
        if found is None:
            statement = self._word(dialect_of(connection))
            found = self._compiled[way] = _compile(statement, connection)
        logger = connection.engine.logger
        if logger.isEnabledFor(logging.INFO):
            # As SQLAlchemy logs those that it runs itself; of the values, nothing.
            logger.info(found[0])
        return found


def _compile(statement: ClauseElement, connection: Connection) -> tuple[str, Arrange]:
    schema = schema_of(connection)
    named = {} if schema is None else in_schema(schema)
    compiled: Any = statement.compile(
        dialect=connection.dialect, render_schema_translate=bool(named), **named
    )
    # What the dialect binds by itself, such as the 0 of "LIMIT ? OFFSET 0".
    fixed = {
        name: value for name, value in compiled.params.items() if value is not None
    }
    if compiled.positiontup is None:
        return str(compiled), _by_name(compiled.params, fixed)
    names = [name.removeprefix(BOUND) for name in compiled.positiontup]
    if len(names) == 1:
        (name,) = names
        return str(compiled), lambda values: (values[name],)
    arrange = itemgetter(*names)
    if fixed:
        return str(compiled), lambda values: arrange({**fixed, **values})
    return str(compiled), arrange


def _by_name(names: Iterable[str], fixed: Values) -> Arrange:
    bound = [(name, name.removeprefix(BOUND)) for name in names if name not in fixed]
    return lambda values: {**fixed, **{name: values[given] for name, given in bound}}
