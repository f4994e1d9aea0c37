"""PostgreSQL databases of other programs: read in one snapshot, and nothing written.

The connection can only read, and says so to the server. Values come as a SQLite file
would hold them: JSON and ids as text, times in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from itertools import count
from typing import Any

from convstore.vocabulary.errors import (
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
    MissingExtraError,
)

SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")
_MOST_TABLES = 2_000
_AT_A_TIME = 64
_ORDERED = frozenset(
    {"text", "character varying", "character", "uuid", "json", "jsonb"}
)
_AS_TEXT = frozenset({"json", "jsonb", "uuid", "xml", "ARRAY", "USER-DEFINED"})
_COLUMNS = """
SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.udt_name
FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE t.table_type = 'BASE TABLE'
  AND c.table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY c.table_schema = ANY (current_schemas(false)) DESC, c.table_schema,
  c.table_name, c.ordinal_position
"""


class ForeignServerTables:
    """The tables that the user may read, each by the first schema that has it."""

    def __init__(self, connection: Any, most_bytes: int) -> None:
        self._connection = connection
        self._most_bytes = most_bytes
        self._numbers = count()
        self._schemas: dict[str, str] = {}
        self._types: dict[str, dict[str, tuple[str, str]]] = {}
        with _reading():
            for schema, table, column, kind, udt in connection.execute(_COLUMNS):
                if self._schemas.setdefault(table, schema) == schema:
                    self._types.setdefault(table, {})[column] = kind, udt
        if len(self._types) > _MOST_TABLES:
            raise LimitExceededError("max_tables", _MOST_TABLES, len(self._types))
        self.columns: Mapping[str, tuple[str, ...]] = {
            table: tuple(types) for table, types in self._types.items()
        }

    def rows(
        self,
        table: str,
        *,
        order: Sequence[str] = (),
        where: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The rows in order; see `convstore.imports.material.Tables`."""
        types, wanted = self._types.get(table, {}), where or {}
        if not types or not wanted.keys() <= types.keys():
            return
        told = ", ".join(_value(name, types[name][0]) for name in types)
        place = f"{_name(self._schemas[table])}.{_name(table)}"
        text = f"SELECT {told} FROM {place}"  # noqa: S608  # names of the catalogue
        if wanted:
            text += " WHERE " + " AND ".join(
                f"{_name(name)} = CAST(%s AS {_name(types[name][1])})"
                for name in wanted
            )
        by = [_sorted(name, types[name][0]) for name in order if name in types]
        text += " ORDER BY " + ", ".join([*by, "ctid"])
        with (
            _reading(),
            self._connection.cursor(name=f"convstore_{next(self._numbers)}") as cursor,
        ):
            cursor.itersize = _AT_A_TIME
            cursor.execute(text, [_bound(value) for value in wanted.values()])
            for row in cursor:
                yield {
                    name: self._plain(value)
                    for name, value in zip(types, row, strict=True)
                }

    def _plain(self, value: Any) -> Any:
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, Decimal):
            return float(value)
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, str | bytes) and len(value) > self._most_bytes:
            raise LimitExceededError("max_line_bytes", self._most_bytes, len(value))
        known = value is None or isinstance(value, str | bytes | int | float)
        return value if known else str(value)


def _bound(value: Any) -> Any:
    return value if value is None or isinstance(value, bytes) else str(value)


def _value(name: str, kind: str) -> str:
    return f"CAST({_name(name)} AS text)" if kind in _AS_TEXT else _name(name)


def _sorted(name: str, kind: str) -> str:
    """As SQLite sorts: nothing first, text by its bytes."""
    if kind in _ORDERED:
        return f'CAST({_name(name)} AS text) COLLATE "C" NULLS FIRST'
    return f"{_name(name)} NULLS FIRST"


def is_server(source: object) -> bool:
    """Whether a source is the URL of a PostgreSQL database."""
    return isinstance(source, str) and source.startswith(SCHEMES)


@contextmanager
def open_foreign_server(url: str, most_bytes: int) -> Iterator[ForeignServerTables]:
    """The tables of a database as they are now, while the block lasts.

    Raises:
        MissingExtraError: The extra `psycopg` is not installed.
        InvalidInputError: It cannot be connected to.
        CorruptionError: It stops to answer, or cannot be read.
    """
    try:
        import psycopg
    except ImportError:
        raise MissingExtraError("reading PostgreSQL", "psycopg") from None
    url = url.replace("+psycopg", "", 1)
    try:
        connection = psycopg.connect(url, application_name="convstore import")
    except psycopg.Error:  # its message may hold what the URL says
        raise InvalidInputError("source", "cannot be connected to") from None
    with closing(connection):
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield ForeignServerTables(connection, most_bytes)


@contextmanager
def _reading() -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error:
        raise CorruptionError("the PostgreSQL database cannot be read") from None


def _name(name: str) -> str:
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'
