"""Work in an application's transaction on a SQLite file.

A unit of work crosses to the driver's thread once, as our own do: on the driver's bare
connection, not through the application's cursors, because aiosqlite logs each statement
with its values. The write lock is taken before a head is read; whoever holds it never
waits at our gate, or two could wait for each other.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import Connection, Engine

from convstore.concurrency.completion import finished
from convstore.db.dialects.sqlite_file import identity_of
from convstore.db.dialects.sqlite_writer import Gate
from convstore.db.joined import AGAIN, told
from convstore.db.visits import Guest, Visit
from convstore.vocabulary.errors import (
    ConfigError,
    DatabaseBusyError,
    DatabaseUnavailableError,
)
from convstore.vocabulary.record import Value

if TYPE_CHECKING:
    from pathlib import Path

    from convstore.db.dialects.base import Dialect, Work
    from convstore.db.dialects.sqlite_file import FileWatch

T = TypeVar("T")

_ANOTHER = (
    "the connection is to another database file: join one to the file of the store"
)
_TRAP = (
    "a savepoint of this engine begins no transaction: its RELEASE would commit, and "
    "the application's rollback would leave the turn: connect with "
    'isolation_level=None and a "begin" listener that sends BEGIN IMMEDIATE, as '
    "docs/howto/your-own-transaction.md shows"
)
_HELD = (
    "another transaction has held the database's write lock for busy_timeout_s; "
    "nothing was written, and the transaction goes on"
)
# Python 3.12 can leave transactions to the driver, which is then always in one.
_LEGACY = getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", -1)


class _BusyError(Exception):
    """The write lock is held elsewhere; nothing was done."""


class _UndoError(Exception):
    """A call could not be undone: what its transaction holds is not known."""


class _Lent:
    """The driver's connection as SQLAlchemy wants one from its pool; stays open."""

    is_valid = True

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.dbapi_connection = self.driver_connection = raw
        self.cursor = raw.cursor


class OwnFile(Value, frozen=True):
    """The file of a backend, and how its writers take turns.

    Attributes:
        path: The database.
        watch: Says when it is not the file any more that was opened.
        gate: The file at which processes queue up to write.
        turn: Waits for this process's other writers.
        busy_timeout_s: Longest wait for all of them.
    """

    dialect: Dialect
    engine: Engine
    path: Path
    watch: FileWatch
    gate: Path
    turn: Callable[[], AbstractAsyncContextManager[None]]
    busy_timeout_s: float


class SqliteGuest(Guest):
    """Joins connections of aiosqlite and sqlite3 to the file of a backend."""

    def __init__(self, own: OwnFile) -> None:
        super().__init__()
        self._own = own

    async def check(self, visit: Visit) -> None:
        if "checked" in visit.kept:
            return
        path = self._own.path

        def same(raw: sqlite3.Connection) -> bool:
            self._own.watch.check()
            names = {row[1]: row[2] for row in raw.execute("PRAGMA database_list")}
            return bool(names["main"]) and _is_file(names["main"], path)

        if not await self._on_driver(visit, same):
            raise ConfigError(_ANOTHER)
        visit.kept["checked"] = True

    async def read(self, visit: Visit, work: Work[T]) -> T:
        def unit(raw: sqlite3.Connection) -> T:
            if raw.in_transaction:
                return work(self._inner(raw))
            raw.execute("BEGIN")  # one moment for all its statements
            try:
                return work(self._inner(raw))
            finally:
                raw.rollback()  # the application's own transaction has not begun

        return await self._on_driver(visit, unit)

    async def write(self, visit: Visit, work: Work[T]) -> T:
        try:
            try:
                return await self._attempt(visit, work)
            except _BusyError:
                async with self._in_turn() as deadline:
                    return await self._until(deadline, visit, work)
        except _UndoError as error:
            cause = error.__cause__ or error
            await visit.lost(cause)
            raise DatabaseUnavailableError(
                "a call could not be undone: the transaction can only be rolled back"
            ) from cause

    async def _until(self, deadline: float, visit: Visit, work: Work[T]) -> T:
        while True:
            # Only one who does not know of the gate can be in the way now.
            try:
                return await self._attempt(visit, work)
            except _BusyError:
                if time.monotonic() > deadline:
                    raise DatabaseBusyError(_HELD) from None
            await asyncio.sleep(random.uniform(0.0002, 0.003))

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[float]:
        """Pass those who wait to write, here and in other processes."""
        timeout_s = self._own.busy_timeout_s
        deadline = time.monotonic() + timeout_s
        async with self._own.turn():
            gate = Gate(self._own.gate)
            left = max(deadline - time.monotonic(), 0.0)
            entering = asyncio.ensure_future(asyncio.to_thread(gate.enter, left))
            try:
                if not await asyncio.shield(entering):
                    raise DatabaseBusyError(_HELD)
                yield deadline
            finally:
                if entering.done():
                    gate.close()
                else:  # cancelled: whoever comes through goes on at once
                    entering.add_done_callback(lambda _: gate.close())

    async def _attempt(self, visit: Visit, work: Work[T]) -> T:
        """The work, if the write lock can be had without waiting."""
        nested = visit.outer.in_nested_transaction()

        def unit(raw: sqlite3.Connection) -> T:
            _check_savepoint(raw, visit, nested=nested)
            _lock(raw)
            visit.kept["sound"] = True
            raw.execute("SAVEPOINT convstore_call")
            try:
                result = work(self._inner(raw))
            except BaseException:
                _undo(raw)
                raise
            raw.execute("RELEASE convstore_call")
            return result

        return await self._on_driver(visit, unit)

    def _inner(self, raw: sqlite3.Connection) -> Connection:
        # Of our own engine: the application's settings, listeners and logs are not for
        # our statements. It is never ended: its end is the application's.
        inner = Connection(self._own.engine, connection=cast(Any, _Lent(raw)))
        inner.begin()
        return inner

    async def _on_driver(
        self, visit: Visit, unit: Callable[[sqlite3.Connection], T]
    ) -> T:
        def work(raw: sqlite3.Connection) -> T:
            with told(self._own.dialect):
                return unit(raw)

        driver: Any = visit.outer.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            return await visit.hop(lambda: work(driver))
        # On aiosqlite's thread; a cancelled caller leaves only after that.
        return cast(T, await finished(driver._execute(work, driver._conn)))


def _is_file(name: str, path: Path) -> bool:
    try:
        state = os.stat(name)
    except OSError:
        return False
    return (state.st_dev, state.st_ino) == identity_of(path)


def _check_savepoint(raw: sqlite3.Connection, visit: Visit, *, nested: bool) -> None:
    """Refuse savepoints that are no part of a transaction."""
    if not raw.in_transaction or not nested:
        return
    legacy = getattr(raw, "autocommit", _LEGACY) == _LEGACY
    if legacy and raw.isolation_level is not None and "sound" not in visit.kept:
        raise ConfigError(_TRAP)


def _lock(raw: sqlite3.Connection) -> None:
    """Take the write lock, or raise at once."""
    (before,) = raw.execute("PRAGMA busy_timeout").fetchone()
    raw.execute("PRAGMA busy_timeout=0")
    try:
        if raw.in_transaction:
            raw.execute("UPDATE sessions SET version = version WHERE 0")
        else:
            raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
            raise DatabaseBusyError(AGAIN) from error
        if code & 0xFF == sqlite3.SQLITE_BUSY:
            raise _BusyError from error
        raise
    finally:
        raw.execute(f"PRAGMA busy_timeout={int(before)}")


def _undo(raw: sqlite3.Connection) -> None:
    try:
        raw.execute("ROLLBACK TO convstore_call")
        raw.execute("RELEASE convstore_call")
    except sqlite3.Error as error:
        # SQLite has rolled back by itself, as when the disk is full: the application's
        # commit would succeed and store nothing.
        raise _UndoError from error
