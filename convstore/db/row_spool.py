"""Rows that are put aside by a key and come back together, in flat memory.

They lie in a file of SQLite that has no name and goes with the spool.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from convstore.vocabulary.errors import NO_SPACE, StorageFullError

_AT_A_TIME = 256


class RowSpool:
    """Rows of a source, by the key of the group that each is of."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE held (groups INTEGER, place INTEGER, data BLOB)"
        )
        connection.execute("CREATE TABLE groups (key TEXT PRIMARY KEY)")
        connection.execute("BEGIN")

    def add(self, key: str, place: int, data: bytes) -> None:
        """Put a row aside.

        Raises:
            StorageFullError: There is no space left for temporary files.
        """
        run = self._connection.execute
        try:
            run("INSERT OR IGNORE INTO groups VALUES (?)", (key,))
            found = run("SELECT rowid FROM groups WHERE key = ?", (key,)).fetchone()
            run("INSERT INTO held VALUES (?, ?, ?)", (found[0], place, data))
        except (sqlite3.OperationalError, OSError) as error:
            _refuse_full(error)
            raise

    def groups(self) -> Iterator[tuple[str, Iterator[tuple[int, bytes]]]]:
        """Each group, in the order of its first row, with its rows in theirs."""
        run = self._connection.execute
        try:
            run("CREATE INDEX by_group ON held (groups, place)")
        except sqlite3.OperationalError as error:
            _refuse_full(error)
            raise
        for number, key in run("SELECT rowid, key FROM groups ORDER BY rowid"):
            yield key, self._rows(number)

    def _rows(self, number: int) -> Iterator[tuple[int, bytes]]:
        rows = self._connection.execute(
            "SELECT place, data FROM held WHERE groups = ? ORDER BY place", (number,)
        )
        while some := rows.fetchmany(_AT_A_TIME):
            yield from some


def _refuse_full(error: Exception) -> None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) in NO_SPACE:
        raise StorageFullError("no space left for the rows of groups") from None


@contextmanager
def row_spool() -> Iterator[RowSpool]:
    """A spool while the block lasts."""
    # Without a name SQLite keeps it in its cache, and what that has no room for in a
    # file that only this connection can open.
    with closing(sqlite3.connect("", isolation_level=None)) as connection:
        yield RowSpool(connection)
