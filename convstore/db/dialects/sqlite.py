"""SQLite: one writer thread, a few reader threads, WAL with synchronous=FULL.

A unit of work crosses to a driver thread once, however many statements it has: the
write lock is held a third as long as with a crossing for each (ADR 0003). Writes
begin with BEGIN IMMEDIATE, because a read that turns into a write can fail at once
with SQLITE_BUSY_SNAPSHOT and no timeout helps; reads begin with BEGIN.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    FromClause,
    Insert,
    Select,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from convstore.db.dialects.base import (
    Backend,
    BackendOptions,
    Dialect,
    Finding,
    OpenTransaction,
    Work,
)
from convstore.db.errors import translated
from convstore.errors import (
    ConfigError,
    ConvstoreError,
    CorruptionError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    StorageFullError,
    StoreClosedError,
)

T = TypeVar("T")

# Read back after setting: a pragma that is not understood fails in silence.
_PRAGMAS = {
    "foreign_keys": 1,
    "synchronous": 2,  # FULL: a commit is on the disk before it is acknowledged
    "secure_delete": 1,  # purged text is overwritten, whatever SQLite was built with
    "trusted_schema": 0,
    "cell_size_check": 1,
    "journal_size_limit": 64 * 1024 * 1024,
    "cache_size": -16_000,  # KiB for each connection
}
# Versions 3.7.0 to 3.51.2 have the WAL-reset bug (sqlite.org/wal.html, section 11).
_WAL_RESET_FIXED = (3, 51, 3)


class SqliteDialect(Dialect):
    """Words and errors of SQLite."""

    name = "sqlite"

    def open(self, options: BackendOptions) -> Backend:
        return SqliteBackend(self, options)

    def sync_url(self, url: str) -> str:
        return f"sqlite:///{_path_of(url)}"

    def insert_ignore(self, table: Table) -> Insert:
        return insert(table).on_conflict_do_nothing()

    def asked(self, *names: str) -> FromClause:
        rows = func.json_each(bindparam("asked")).table_valued("value")
        columns = (
            func.json_extract(rows.c.value, literal_column(f"'$[{place}]'")).label(name)
            for place, name in enumerate(names)
        )
        return select(*columns).subquery("asked")

    def locked(self, statement: Select[Any], table: Table) -> Select[Any]:
        return statement  # BEGIN IMMEDIATE holds the only write lock already

    def skip_locked(self, statement: Select[Any]) -> Select[Any]:
        return statement

    def translate(self, error: BaseException) -> ConvstoreError | None:
        if not isinstance(error, sqlite3.Error):
            return None
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return DatabaseBusyError("another process holds the database's write lock")
        if code == sqlite3.SQLITE_FULL:
            return StorageFullError("the disk of the database is full")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return CorruptionError("the database file is damaged or not SQLite")
        if code in (
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_PERM,
        ):
            name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
            return DatabaseUnavailableError(f"the database file cannot be used: {name}")
        if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
            return StoreClosedError("the store is closed")
        return None


def _path_of(url: str) -> Path:
    database = make_url(url).database
    if not database or database == ":memory:":
        raise ConfigError(
            "URL: sqlite:// keeps nothing; name a file: sqlite:///chat.db"
        )
    return Path(database)


class SqliteBackend(Backend):
    """The connections of one SQLite file; `sqlite://` is a private file, gone at close.

    SQLite's own in-memory databases lock whole tables and have no WAL, so they would
    behave unlike a file in the very cases that tests are for (ADR 0006).
    """

    lanes = 1
    migrates_itself = True

    def __init__(self, dialect: Dialect, options: BackendOptions) -> None:
        self.dialect = dialect
        self._busy_timeout_s = options.limits.busy_timeout_s
        self._scratch: Path | None = None
        database = make_url(options.url).database
        if not database or database == ":memory:":
            self._scratch = Path(tempfile.mkdtemp(prefix="convstore-"))
            self.path = self._scratch / "memory.db"
        else:
            self.path = Path(database)
        self.created = _create_file(self.path)
        self._engine = _engine(self.path, options)
        self._writer = ThreadPoolExecutor(1, "convstore-write")
        self._readers = ThreadPoolExecutor(options.pool_size, "convstore-read")
        self._write_connection: Connection | None = None
        # Orders transactions and group commits of this process, so that they do not
        # find out about each other by polling SQLite's lock.
        self._gate = asyncio.Lock()
        self._closed = False

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        def unit() -> T:
            with translated(self.dialect), self._engine.connect() as connection:
                if snapshot:
                    connection.begin()
                return work(connection)

        return await self._hop(self._readers, unit)

    async def write(self, work: Work[T]) -> T:
        async with self._gate:
            return await self._hop(self._writer, lambda: self._write(work))

    def _write(self, work: Work[T]) -> T:
        with translated(self.dialect):
            connection = self._begin()
            try:
                result = work(connection)
                connection.commit()
                return result
            except BaseException:
                self._roll_back(connection)
                raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[OpenTransaction]:
        async with self._gate:
            transaction = _SqliteTransaction(self)
            await transaction.begin()
            try:
                yield transaction
            except BaseException:
                await _finish(transaction.end(commit=False))
                raise
            await _finish(transaction.end(commit=True))

    def _begin(self) -> Connection:
        """The write connection, holding the write lock."""
        connection = self._write_connection
        if connection is None or connection.closed or connection.invalidated:
            connection = self._engine.connect().execution_options(convstore_write=True)
            self._write_connection = connection
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.begin()
                return connection
            except Exception as error:
                self._roll_back(connection)
                orig = getattr(error, "orig", error)
                ours = self.dialect.translate(orig)
                if (
                    not isinstance(ours, DatabaseBusyError)
                    or time.monotonic() > deadline
                ):
                    raise
            # SQLite's own handler backs off to 100 ms and starves some processes:
            # short random naps keep eight of them within a few hundred ms (ADR 0003).
            time.sleep(random.uniform(0.0002, 0.003))

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except Exception:
            # The connection cannot be trusted; SQLite rolls back when it closes.
            connection.invalidate()
            self._write_connection = None

    async def size_bytes(self) -> int:
        return await asyncio.to_thread(_size_on_disk, self.path)

    async def examine(self) -> list[Finding]:
        def unit(connection: Connection) -> tuple[str, str, int]:
            run = connection.exec_driver_sql
            mode = run("PRAGMA journal_mode").scalar_one()
            check = run("PRAGMA quick_check(1)").scalar_one()
            return mode, check, run("PRAGMA auto_vacuum").scalar_one()

        mode, check, vacuum = await self.read(unit)
        loose = self.path.stat().st_mode & 0o077
        version = sqlite3.sqlite_version_info
        return [
            Finding("journal mode", mode == "wal", mode, "run `convstore db upgrade`"),
            Finding("database pages", check == "ok", check, "restore a backup"),
            Finding(
                "incremental vacuum",
                vacuum == 2,
                "on" if vacuum == 2 else "off: purged pages are reused, never returned",
                "run VACUUM once after PRAGMA auto_vacuum=2",
            ),
            Finding(
                "database permissions",
                not loose,
                f"{self.path.stat().st_mode & 0o777:04o}",
                f"chmod 600 {self.path}",
            ),
            Finding(
                "SQLite version",
                True,
                sqlite3.sqlite_version
                + (
                    ""
                    if version >= _WAL_RESET_FIXED
                    else " (before 3.51.3: rare WAL-reset bug; upgrade when you can)"
                ),
            ),
        ]

    async def maintain(self) -> dict[str, int]:
        def unit() -> dict[str, int]:
            with translated(self.dialect), self._engine.connect() as connection:
                raw = connection.connection.dbapi_connection
                assert isinstance(raw, sqlite3.Connection)
                raw.rollback()
                before = raw.execute("PRAGMA freelist_count").fetchone()[0]
                # executescript steps to the end; execute frees one page on Python 3.11.
                raw.executescript("PRAGMA incremental_vacuum(2000); PRAGMA optimize;")
                after = raw.execute("PRAGMA freelist_count").fetchone()[0]
                busy, frames, _ = raw.execute(
                    "PRAGMA wal_checkpoint(TRUNCATE)"
                ).fetchone()
                return {
                    "pages_freed": before - after,
                    "wal_frames_left": frames if busy else 0,
                }

        async with self._gate:
            return await self._hop(self._writer, unit)

    def checked_out(self) -> int:
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)
        return pool.checkedout() - (self._write_connection is not None)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        async with self._gate:
            await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        self._readers.shutdown(wait=True)
        self._writer.shutdown(wait=True)
        if self._write_connection is not None:
            self._write_connection.close()
        self._engine.dispose()
        if self._scratch is not None:
            shutil.rmtree(self._scratch)

    async def _hop(self, threads: ThreadPoolExecutor, unit: Callable[[], T]) -> T:
        if self._closed:
            raise StoreClosedError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(threads, unit)


class _SqliteTransaction:
    """A transaction held open over several hops to the writer thread."""

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend
        self._connection: Connection | None = None

    async def begin(self) -> None:
        backend = self._backend

        def unit() -> Connection:
            with translated(backend.dialect):
                return backend._begin()

        hop = asyncio.ensure_future(backend._hop(backend._writer, unit))
        try:
            self._connection = await asyncio.shield(hop)
        except asyncio.CancelledError:
            # The lock may be ours a moment later: give it back before leaving.
            await asyncio.wait([hop])
            if hop.exception() is None:
                self._connection = hop.result()
                await self.end(commit=False)
            raise

    async def run(self, work: Work[T]) -> T:
        backend, connection = self._backend, self._connection
        assert connection is not None

        def unit() -> T:
            with translated(backend.dialect):
                return work(connection)

        hop = asyncio.ensure_future(backend._hop(backend._writer, unit))
        # A cancelled caller leaves only after the thread is done with the connection.
        try:
            return await asyncio.shield(hop)
        except asyncio.CancelledError:
            await asyncio.wait([hop])
            raise

    async def end(self, *, commit: bool) -> None:
        backend, connection = self._backend, self._connection
        assert connection is not None

        def unit() -> None:
            with translated(backend.dialect):
                try:
                    if commit:
                        connection.commit()
                finally:
                    backend._roll_back(connection)

        await backend._hop(backend._writer, unit)


async def _finish(end: Any) -> None:
    """See a commit or rollback through even if the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(end)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _create_file(path: Path) -> bool:
    """Make a new database file, private to its owner; True if it was not there.

    Before the first connection, because closing a descriptor of a database file drops
    this process's locks on it (sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigError(
            f"URL: the database file cannot be made: {os.strerror(error.errno or 0)}"
        ) from error
    return True


def _engine(path: Path, options: BackendOptions) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path,
            timeout=options.limits.busy_timeout_s,
            isolation_level=None,  # the driver must never begin by itself
            check_same_thread=False,
            cached_statements=256,
        )
        _prepare(connection)
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=options.pool_size + 1,
        max_overflow=0,
        pool_timeout=options.limits.busy_timeout_s,
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("convstore_write")
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _prepare(connection: sqlite3.Connection) -> None:
    try:
        # Only takes effect before the first table; WAL is kept in the file.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise ConfigError(f"the database's file system refuses WAL (mode: {mode})")
        for name, value in _PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}")
            if connection.execute(f"PRAGMA {name}").fetchone()[0] != value:
                raise ConfigError(f"SQLite refuses PRAGMA {name}={value}")
    except BaseException:
        connection.close()
        raise


def _size_on_disk(path: Path) -> int:
    # os.stat is safe beside open connections; opening the file would not be.
    total = 0
    for suffix in ("", "-wal"):
        try:
            total += os.stat(f"{path}{suffix}").st_size
        except FileNotFoundError:
            continue
    return total
