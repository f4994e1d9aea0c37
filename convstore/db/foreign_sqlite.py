"""SQLite files of other programs: read, and left exactly as they are.

A file without a log beside it is opened as one that never changes, so that nothing is
locked, made or recovered next to it. With a log, both are copied and the copy is read:
without the log it would be an old database, and reading it in place would write there.
The same goes for a journal of what was being written when its program ended.
Nothing that the file says is carried out: no triggers, no views, no virtual tables, no
functions of its schema, and no extension.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from convstore.vocabulary.errors import (
    NO_SPACE,
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
    StorageFullError,
)

_MOST_TABLES = 2_000
_AT_A_TIME = 256


class ForeignTables:
    """The tables of a file: real ones only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._row_ids: dict[str, bool] = {}
        self._sizes: dict[str, int] = {}
        self._read = 0
        self.columns: Mapping[str, tuple[str, ...]] = self._look()

    def _look(self) -> dict[str, tuple[str, ...]]:
        # Virtual tables have no root page: their module would be run.
        found = self._all(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 "
            "AND name NOT LIKE 'sqlite_%'"
        )
        if len(found) > _MOST_TABLES:
            raise LimitExceededError("max_tables", _MOST_TABLES, len(found))
        return {
            name: tuple(
                row[1] for row in self._all(f"PRAGMA table_info({_name(name)})")
            )
            for (name,) in found
            if isinstance(name, str)
        }

    def share(self) -> float:
        """About how much was read, 0 to 1, of the tables that were looked at so far."""
        return min(1.0, self._read / max(1, sum(self._sizes.values())))

    def rows(
        self,
        table: str,
        *,
        order: Sequence[str] = (),
        where: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The rows in order; see `convstore.imports.material.Tables`."""
        columns = self.columns.get(table, ())
        wanted = where or {}
        if not columns or not wanted.keys() <= set(columns):
            return
        told = ", ".join(map(_name, columns))
        text = f"SELECT {told} FROM {_name(table)}"  # noqa: S608  # names of the file
        if wanted:
            text += " WHERE " + " AND ".join(f"{_name(name)} = ?" for name in wanted)
        by = [_name(name) for name in order if name in columns]
        if self._has_row_id(table):
            by.append("rowid")
            self._measure(table)
        if by:
            text += " ORDER BY " + ", ".join(by)
        with _reading():
            cursor = self._connection.execute(text, list(wanted.values()))
            while some := cursor.fetchmany(_AT_A_TIME):
                self._read += len(some)
                for row in some:
                    yield dict(zip(columns, row, strict=True))

    def _measure(self, table: str) -> None:
        """Note how many rows a table may have, when it is first looked at."""
        if table not in self._sizes:
            ((most,),) = self._all(f"SELECT max(rowid) FROM {_name(table)}")  # noqa: S608
            self._sizes[table] = most if isinstance(most, int) and most > 0 else 0

    def _has_row_id(self, table: str) -> bool:
        if "rowid" in {name.lower() for name in self.columns[table]}:
            return False
        known = self._row_ids.get(table)
        if known is None:
            try:
                text = f"SELECT rowid FROM {_name(table)} LIMIT 0"  # noqa: S608
                self._connection.execute(text)
                known = True
            except sqlite3.OperationalError:
                known = False  # WITHOUT ROWID: its key is its order
            self._row_ids[table] = known
        return known

    def _all(self, text: str) -> list[Any]:
        with _reading():
            return self._connection.execute(text).fetchall()


@contextmanager
def open_foreign(path: Path, most_bytes: int) -> Iterator[ForeignTables]:
    """The tables of the file while the block lasts; no value above `most_bytes`.

    Raises:
        InvalidInputError: It cannot be read.
        CorruptionError: It is no sound database.
        StorageFullError: There is no room for the copy that its log makes necessary.
    """
    logs = [kind for kind in ("-wal", "-journal") if _has_bytes(_beside(path, kind))]
    if not logs:
        with _opened(path.resolve(), "mode=ro&immutable=1", most_bytes) as tables:
            yield tables
        return
    with tempfile.TemporaryDirectory(prefix="convstore-import-") as folder:
        copy = Path(folder) / "copy.db"
        try:
            shutil.copyfile(path, copy)
            for kind in logs:
                shutil.copyfile(_beside(path, kind), _beside(copy, kind))
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StorageFullError(f"no space left for a copy of {path}") from None
            problem = f"{path} cannot be copied: {error.strerror}"
            raise InvalidInputError("source", problem) from None
        with _opened(copy, "mode=rw", most_bytes) as tables:
            yield tables


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(path.name + kind)


def _has_bytes(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size > 0
    return False


@contextmanager
def _opened(path: Path, how: str, most_bytes: int) -> Iterator[ForeignTables]:
    with _reading():
        connection = sqlite3.connect(
            f"{path.as_uri()}?{how}", uri=True, check_same_thread=False
        )
    with closing(connection):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(most_bytes, 1_000_000))
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        with _reading():
            for name in ("trusted_schema = 0", "query_only = 1", "cell_size_check = 1"):
                connection.execute(f"PRAGMA {name}")
            tables = ForeignTables(connection)
        yield tables


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN:
            raise InvalidInputError("source", "cannot be opened") from None
        raise CorruptionError("the SQLite file cannot be read") from None
    except (sqlite3.Error, OverflowError):
        raise CorruptionError("the SQLite file is damaged") from None


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
