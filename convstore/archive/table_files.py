"""The folder of the tables: one Parquet file a table and segment, and its mark.

A file is named after its segment and what of it is in there, so which files are right
is seen from their names alone: the others go, and those that are missing are written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from convstore.archive.table_rows import COLUMNS, Row
from convstore.export.writers.parquet import load_pyarrow
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import (
    NEEDS_SETUP,
    NO_SPACE,
    ConfigError,
    CorruptionError,
    StorageFullError,
)
from convstore.vocabulary.ids import new_id

MARK = "convstore-tables.json"
TABLES = tuple(COLUMNS)
GROUP_ROWS = 2_000
GROUP_BYTES = 32 * 1024 * 1024
"""Of content in a row group, which readers hold in memory."""

_FILE = re.compile(r"segment-[0-9a-f-]{36}-[0-9a-f]{16}\.parquet", re.ASCII)
_STAGED = re.compile(r"\.staged-[0-9a-f-]{36}", re.ASCII)
_MONTH = re.compile(r"month=[0-9]{4}-[0-9]{2}", re.ASCII)


@contextmanager
def written_to(to: Path) -> Iterator[None]:
    """Whatever is written into the folder, with our errors for the system's.

    Raises:
        StorageFullError: There is no room; what is there stays, and the next run goes
            on from it.
        ConfigError: The folder may not be written to, or is none.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError(f"{to}: no space left for the tables") from error
        if error.errno in NEEDS_SETUP or error.errno == errno.EEXIST:
            why = os.strerror(error.errno)
            raise ConfigError(f"{to}: cannot be written to: {why}") from error
        raise


@contextmanager
def held(to: Path, mark: dict[str, Any]) -> Iterator[None]:
    """The folder, made if it is not there, for one writer alone.

    Raises:
        ConfigError: It holds something else, tables of another archive or of another
            tenant, or somebody else is writing to it.
    """
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(to, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{to}: another process writes these tables") from None
        _check_mark(to, mark)
        yield
    finally:
        os.close(folder)


def _check_mark(to: Path, mark: dict[str, Any]) -> None:
    path = to / MARK
    try:
        found = decode_json(path.read_bytes())
    except FileNotFoundError:
        # What was cut short before the mark was there is ours.
        there = list(to.iterdir())
        if not all(_STAGED.fullmatch(one.name) for one in there):
            raise ConfigError(
                f"{to}: holds something else: name a folder that is empty, or not there"
            ) from None
        for staged in there:
            staged.unlink(missing_ok=True)
        _write(path, dumps(mark) + b"\n")
        return
    except CorruptionError:
        found = None
    if found != mark:
        raise ConfigError(
            f"{to}: has the tables of another archive, tenant or version: name another "
            "folder, or remove it"
        )


def present(to: Path) -> Iterator[Path]:
    """Every file of a table that is there; what a crash left half written goes."""
    for table in TABLES:
        for month in sorted((to / table).glob("month=*")):
            if _MONTH.fullmatch(month.name) is None:
                continue
            for path in sorted(month.iterdir()):
                if _STAGED.fullmatch(path.name):
                    path.unlink(missing_ok=True)
                elif _FILE.fullmatch(path.name):
                    yield path


def remove(path: Path) -> None:
    """Remove a file, and its month when that was the last of it."""
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()


def path_of(to: Path, table: str, key: str, digest: str) -> Path:
    """Where the rows of the segment with this key lie, of which `digest` tells what is
    in there."""
    _, year, month, name = key.split("/")
    name = name.removesuffix(".jsonl.zst")
    return to / table / f"month={year}-{month}" / f"{name}-{digest}.parquet"


class TableFile:
    """One Parquet file (zstd), which appears when it is whole."""

    def __init__(self, folder: Path, table: str) -> None:
        self._pa, self._pq = load_pyarrow()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._staged = folder / f".staged-{new_id()}"
        self._schema = _schema(self._pa, table)
        self._writer = self._pq.ParquetWriter(
            self._staged, self._schema, compression="zstd"
        )
        self._rows: list[Row] = []
        self._bytes = 0
        self.count = 0

    def add(self, row: Row) -> None:
        """Append a row."""
        self._rows.append(row)
        self._bytes += sum(len(v) for v in row.values() if isinstance(v, str))
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def publish(self, path: Path) -> None:
        """Let it appear, durable, under its name."""
        self._flush()
        self._writer.close()
        os.chmod(self._staged, 0o600)
        _sync(self._staged)
        self._staged.replace(path)
        _sync(path.parent)

    def abandon(self) -> None:
        """Drop it, if it did not appear. Idempotent."""
        with suppress(Exception):
            self._writer.close()
        self._staged.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            batch = self._pa.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(batch, row_group_size=len(self._rows))
        self.count += len(self._rows)
        self._rows, self._bytes = [], 0


def _schema(pa: Any, table: str) -> Any:
    types = {
        "string": pa.string(),
        "json": pa.string(),
        "strings": pa.list_(pa.string()),
        "int": pa.int64(),
        "ints": pa.list_(pa.int64()),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(n, types[kind]) for n, kind in COLUMNS[table].items()])


def _write(path: Path, data: bytes) -> None:
    staged = path.with_name(f".staged-{new_id()}")
    staged.write_bytes(data)
    os.chmod(staged, 0o600)
    _sync(staged)
    staged.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
