"""SQLite: one writer thread, a few reader threads, WAL with synchronous=FULL.

A unit of work crosses to a driver thread once, however many statements it has: the
write lock is held a third as long as with a crossing for each (ADR 0003). Writes
begin with BEGIN IMMEDIATE, because a read that turns into a write can fail at once
with SQLITE_BUSY_SNAPSHOT and no timeout helps; reads begin with BEGIN.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from convstore.concurrency.completion import finished
from convstore.db.dialects.base import (
    SEARCH,
    Backend,
    BackendOptions,
    Dialect,
    Home,
    OpenTransaction,
    Stamp,
    Work,
)
from convstore.db.dialects.driver_thread import DriverThreads
from convstore.db.dialects.fair_lock import FairLock
from convstore.db.dialects.sqlite_copy import copy_file, opened_copy
from convstore.db.dialects.sqlite_errors import Translating
from convstore.db.dialects.sqlite_file import (
    FileWatch,
    Identified,
    create_file,
    driver_of,
    engine_of,
    log_on_disk,
    size_on_disk,
)
from convstore.db.dialects.sqlite_health import examine
from convstore.db.dialects.sqlite_upkeep import (
    clear_log,
    examined_log,
    give_back,
    kept_log,
)
from convstore.db.dialects.sqlite_words import SqliteWords
from convstore.db.dialects.sqlite_writer import HAS_FILE_LOCKS, SqliteWriter
from convstore.db.errors import translated
from convstore.vocabulary.errors import (
    ConfigError,
    DatabaseBusyError,
    StoreClosedError,
)
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.reports import Finding

if TYPE_CHECKING:
    from convstore.db.visits import Guest

T = TypeVar("T")


# Steps of one upkeep, with pages that are given back while others wait to write: a
# gibibyte of the usual pages, which is more than a quarter of an hour of purges frees.
_STEPS = 128


class SqliteDialect(Identified, Translating, Dialect):
    """Words and errors of SQLite."""

    name = "sqlite"
    joins = ("aiosqlite", "pysqlite")
    words = SqliteWords()

    def open(self, options: BackendOptions) -> Backend:
        if options.schema or "schema" in make_url(options.url).query:
            raise ConfigError(
                "SCHEMA: SQLite has none: give each store a file of its own"
            )
        return SqliteBackend(self, options)

    def new_insert(self, table: Table) -> Any:
        return insert(table)

    def bound_rows(self, *names: str) -> FromClause:
        rows = func.json_each(bindparam("bound")).table_valued("value")
        columns = (
            func.json_extract(rows.c.value, literal_column(f"'$[{place}]'")).label(name)
            for place, name in enumerate(names)
        )
        return select(*columns).subquery("bound")

    def length(self, column: Column[Any]) -> ColumnElement[int]:
        return func.length(column)

    def members(
        self, column: ColumnElement[str]
    ) -> tuple[ColumnElement[str], ColumnElement[str], FromClause]:
        each = func.json_each(column).table_valued("key", "value", name="member")
        return each.c.key, each.c.value, each

    def locked(self, statement: Select[Any], table: Table) -> Select[Any]:
        return statement  # BEGIN IMMEDIATE holds the only write lock already

    def skip_locked(self, statement: Select[Any]) -> Select[Any]:
        return statement

    def called(self, name: str) -> str:
        return name.lower()


def database_of(url: str) -> str | None:
    """What a URL names: a file, or nothing where it is in memory.

    Raises:
        ConfigError: It has parameters. None is heeded, and a wish for reading only
            that is passed over in silence would be a database that is written to. Or
            it names a file behind two slashes, where others have a host: taken for
            memory, all would be gone at the end.
    """
    target = make_url(url)
    if target.host is not None:
        raise ConfigError(
            "URL: a file of SQLite is named behind three slashes, sqlite:///FILE, or "
            "four where it begins at the root; this has two"
        )
    if target.query:
        names = ", ".join(sorted(name[:64] for name in target.query))
        raise ConfigError(f"URL: sqlite:///FILE takes no parameters, and has {names}")
    return None if target.database in ("", ":memory:") else target.database


class SqliteBackend(Backend):
    """The connections of one SQLite file; `sqlite://` is a private file, gone at close.

    SQLite's own in-memory databases lock whole tables and have no WAL, so they would
    behave unlike a file in the very cases that tests are for (ADR 0006).
    """

    lanes = 1
    migrates_itself = True

    def __init__(self, dialect: Dialect, options: BackendOptions) -> None:
        self.dialect = dialect
        self.search = options.search
        self._scratch: Path | None = None
        if not HAS_FILE_LOCKS:  # pragma: no cover - Windows
            raise ConfigError(
                "URL: SQLite is shared by file locks that this system has not; use "
                "postgresql://"
            )
        database = database_of(options.url)
        if database is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="convstore-"))
            self.path = self._scratch / "memory.db"
        else:
            # Absolute, and through links: the program may change its folder, and all
            # who use one file must meet at one gate.
            self.path = Path(database).resolve()
        self.created = create_file(self.path)
        self._busy_timeout_s = timeout_s = options.limits.busy_timeout_s
        self.watch = watch = FileWatch(self.path)
        engine = engine_of(self.path, watch, options.pool_size + 1, timeout_s)
        self._engine = engine.execution_options(**{SEARCH: options.search})
        self.gate = Path(f"{self.path}-gate")
        self._writer = SqliteWriter(self._engine, self.path, watch, timeout_s)
        self._writing = DriverThreads("convstore-write")
        self._reading = DriverThreads("convstore-read", options.pool_size)
        # Connections for reading that nobody uses now: a pool without the pool's price.
        self._resting: deque[Connection] = deque()
        # Orders transactions and group commits of this process.
        self._one_writes = FairLock()
        # Takes no calls any more; has let go of everything.
        self._closed = self._shut = False
        self._home = Home()

    @property
    def file(self) -> Path:
        return self.path

    async def locate(self) -> None:
        """A file knows no schemas."""

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        self._check_open()
        return await self._reading.call(lambda: self._read(work, snapshot))

    def _read(self, work: Work[T], snapshot: bool) -> T:
        with translated(self.dialect):
            try:
                connection = self._resting.pop()
            except IndexError:
                connection = self._engine.connect()
            try:
                if snapshot:
                    connection.begin()
                return work(connection)
            finally:
                connection.rollback()
                self._resting.append(connection)

    def write(self, work: Work[T]) -> Awaitable[T]:
        self._check_open()
        if not self._one_writes.try_enter():
            return self._write_in_turn(work)
        try:
            written = self._writing.call(lambda: self._write(work))
        except BaseException:  # nobody was set to work, who would let the next in
            self._one_writes.leave()
            raise
        written.add_done_callback(lambda _: self._one_writes.leave())
        return written

    async def _write_in_turn(self, work: Work[T]) -> T:
        async with self._turn_to_write():
            return await self._call(lambda: self._write(work))

    @asynccontextmanager
    async def _turn_to_write(self) -> AsyncIterator[None]:
        """Wait for this process's other writers, no longer than for other processes."""
        self._check_open()
        try:
            await self._one_writes.enter(self._busy_timeout_s)
        except TimeoutError:
            raise DatabaseBusyError(
                "a transaction of this process is open for too long"
            ) from None
        try:
            yield
        finally:
            self._one_writes.leave()

    def _write(self, work: Work[T]) -> T:
        with translated(self.dialect):
            connection = self._writer.begin()
            try:
                result = work(connection)
            except BaseException:
                self._writer.roll_back()
                raise
            self._writer.commit()
            return result

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[OpenTransaction]:
        async with self._turn_to_write():
            transaction = _SqliteTransaction(self)
            await transaction.begin()
            try:
                yield transaction
            except BaseException:
                await transaction.end(commit=False)
                raise
            await transaction.end(commit=True)

    def new_guest(self) -> Guest:
        from convstore.db.dialects.sqlite_joined import OwnFile, SqliteGuest

        return SqliteGuest(
            OwnFile(
                dialect=self.dialect,
                engine=self._engine,
                path=self.path,
                watch=self.watch,
                gate=self.gate,
                turn=self._turn_to_write,
                busy_timeout_s=self._busy_timeout_s,
            )
        )

    async def size_bytes(self) -> int:
        return await asyncio.to_thread(size_on_disk, self.path)

    async def examine(self) -> list[Finding]:
        found = await self.read(lambda connection: examine(connection, self.path))
        log = examined_log(await self.log_bytes(), await self._upkeep(kept_log))
        return [*found[:2], log, *found[2:]]

    async def maintain(self, on_progress: OnProgress | None = None) -> dict[str, int]:
        freed = left = 0
        for _ in range(_STEPS):
            done, left = await self._upkeep(give_back)
            freed += done
            if on_progress is not None:
                on_progress(Progress("give back", "pages", freed, freed + left))
            if not (done and left):
                break
        frames = await self._upkeep(clear_log)
        return {"pages_freed": freed, "pages_left": left, "wal_frames_left": frames}

    async def log_bytes(self) -> int:
        return await asyncio.to_thread(log_on_disk, self.path)

    async def copy_into(
        self, target: Path, on_progress: OnProgress | None = None
    ) -> None:
        self._check_open()
        await copy_file(self.dialect, self.path, target, on_progress)

    def stamp(self, connection: Connection) -> Stamp:
        (version,) = driver_of(connection).execute("PRAGMA data_version").fetchone()
        return Stamp(self._writer.ended, version)

    def opened_copy(self, target: Path) -> AbstractContextManager[Connection]:
        return opened_copy(self.dialect, target)

    async def _upkeep(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """Do a step of upkeep; others write between two of them."""

        def run() -> T:
            with translated(self.dialect), self._writer.upkeep() as raw:
                return step(raw)

        async with self._turn_to_write():
            return await self._call(run)

    def checked_out(self) -> int:
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)
        return pool.checkedout() - len(self._resting) - self._writer.connected

    async def close(self) -> None:
        if self._shut or self._home.is_forked:
            return
        self._closed = True
        # However long the open transaction takes: it has the connection. Whoever gives
        # up waiting may close again.
        await self._one_writes.enter(None)
        try:
            await finished(asyncio.to_thread(self._shut_down))
        finally:
            self._one_writes.leave()  # whoever waits finds it closed

    def _shut_down(self) -> None:
        if self._shut:
            return
        self._shut = True
        self._reading.close()
        self._writing.close()
        self._writer.close()
        for connection in self._resting:
            connection.close()
        self._resting.clear()
        self._engine.dispose()
        if self._scratch is not None:
            shutil.rmtree(self._scratch)

    def _call(self, unit: Callable[[], T]) -> asyncio.Future[T]:
        """Have the writer's thread do it."""
        self._check_open()
        return self._writing.call(unit)

    def _check_open(self) -> None:
        self._home.check()
        if self._closed:
            raise StoreClosedError("the store is closed")


class _SqliteTransaction:
    """A transaction held open over several hops to the writer thread."""

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend
        self._connection: Connection | None = None

    async def begin(self) -> None:
        try:
            self._connection = await self._hop(self._backend._writer.begin)
        except asyncio.CancelledError:
            # The lock may be ours by now: give it back before leaving.
            await self.end(commit=False)
            raise

    async def run(self, work: Work[T]) -> T:
        connection = self._connection
        assert connection is not None
        return await self._hop(lambda: work(connection))

    async def end(self, *, commit: bool) -> None:
        writer = self._backend._writer
        await self._hop(writer.commit if commit else writer.roll_back)

    async def _hop(self, unit: Callable[[], T]) -> T:
        """Run on the writer's thread; a cancelled caller leaves only after that."""
        backend = self._backend

        def work() -> T:
            with translated(backend.dialect):
                return unit()

        return await finished(backend._call(work))
