"""The one writing connection of a SQLite file, and whose turn it is to write.

SQLite's own handler waits for the write lock by sleeping ever longer: of eight writing
processes one goes on and another waits a second. Here processes queue up at a gate,
which the kernel opens to one after the other (ADR 0003). Everything in this module
runs on the writer's thread.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from convstore.db.dialects.sqlite_file import FileWatch, driver_of
from convstore.vocabulary.errors import (
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseUnavailableError,
)

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where `SqliteDialect.open` refuses
    HAS_FILE_LOCKS = False
else:
    HAS_FILE_LOCKS = True

_BUSY = "another process holds the database's write lock"


class SqliteWriter:
    """Transactions on the writing connection, one at a time."""

    def __init__(
        self, engine: Engine, path: Path, watch: FileWatch, busy_timeout_s: float
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._busy_timeout_s = busy_timeout_s
        self._gate = Gate(Path(f"{path}-gate"))
        self._connection: Connection | None = None
        # Of transactions: see `Stamp`. A new connection counts versions anew.
        self.ended = 0

    @property
    def connected(self) -> bool:
        """Whether it keeps a connection of the engine."""
        return self._connection is not None

    def begin(self) -> Connection:
        """The connection, holding the write lock.

        Raises:
            DatabaseBusyError: The lock was not to be had in `busy_timeout_s`.
        """
        deadline = time.monotonic() + self._busy_timeout_s
        self._watch.check()
        if not self._gate.enter(self._busy_timeout_s):
            raise DatabaseBusyError(_BUSY)
        try:
            return self._begin(deadline)
        except BaseException:
            self._gate.leave()
            raise

    def commit(self) -> None:
        """Make the transaction durable, checkpoint included, and let the next in."""
        try:
            connection = self._open()
            if connection.in_transaction():  # work went through SQLAlchemy
                connection.commit()
            else:
                driver_of(connection).commit()
            # A commit that went to a log without a name is not acknowledged.
            self._watch.check()
        except BaseException:
            self.roll_back()
            raise
        self.ended += 1
        self._gate.leave()

    def roll_back(self) -> None:
        """Undo the transaction and let the next in."""
        self.ended += 2
        try:
            connection = self._open()
            try:
                connection.rollback()
                driver_of(connection).rollback()
            except (DBAPIError, sqlite3.Error):
                # It cannot be trusted any more; SQLite rolls back when it is closed.
                connection.invalidate()
                connection.close()
                self._connection = None
        finally:
            self._gate.leave()

    @contextmanager
    def upkeep(self) -> Iterator[sqlite3.Connection]:
        """The driver's connection without a transaction, while nobody writes.

        Raises:
            DatabaseBusyError: Somebody wrote for `busy_timeout_s`.
        """
        self._watch.check()
        if not self._gate.enter(self._busy_timeout_s):
            raise DatabaseBusyError(_BUSY)
        try:
            raw = driver_of(self._open())
            raw.execute("PRAGMA busy_timeout=1000")  # for readers to finish
            try:
                yield raw
            finally:
                raw.execute("PRAGMA busy_timeout=0")
        finally:
            self._gate.leave()

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._gate.close()

    def _begin(self, deadline: float) -> Connection:
        while True:
            connection = self._open()
            try:
                # On the driver: SQLAlchemy's own way costs as much as the statements
                # of a lone append, and joins in when work goes through it (ADR 0003).
                driver_of(connection).execute("BEGIN IMMEDIATE")
                self._watch.note_log()
                return connection
            except sqlite3.OperationalError as error:
                code = getattr(error, "sqlite_errorcode", 0)
                if code & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() > deadline:
                    raise DatabaseBusyError(_BUSY) from error
            # Somebody who does not know of the gate writes, such as a shell.
            time.sleep(random.uniform(0.0002, 0.003))

    def _open(self) -> Connection:
        if self._connection is None:
            pool = self._engine.pool
            if isinstance(pool, QueuePool) and not pool.checkedout():
                self._watch.forget_log()
            connection = self._engine.connect()
            # Who waits here and how long is decided above.
            driver_of(connection).execute("PRAGMA busy_timeout=0")
            self._connection = connection
            self.ended += 2
        return self._connection


class Gate:
    """A lock between processes that is handed on in turn, with a limit on waiting.

    `flock` on a file beside the database: never on the database itself, whose locks
    belong to SQLite. The kernel drops it when its holder dies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def enter(self, timeout_s: float) -> bool:
        """Wait for the gate; False when it did not open in time.

        Raises:
            DatabaseAccessError: This user may not write to it.
            DatabaseUnavailableError: It cannot be made, opened or locked.
        """
        try:
            if self._file is None:
                flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
                self._file = os.open(self._path, flags, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            assert self._file is not None
            if _Arrival(self._file).within(timeout_s):
                return True
            self._file = None  # the one who arrives too late closes it
            return False
        except PermissionError as error:
            raise DatabaseAccessError(
                "the gate beside the database cannot be used: give this user rights "
                f"to read and write {self._path.name} and its folder"
            ) from error
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise DatabaseUnavailableError(
                f"the gate beside the database cannot be used: {why}"
            ) from error

    def leave(self) -> None:
        """Open the gate to the next. Idempotent."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leave, and let go of the file. Idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class _Arrival:
    """A wait for the gate: flock knows no time limit, so a thread waits, and is waited
    for. It does not keep the process alive."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._given_up = False
        self._deciding = threading.Lock()
        self._there = threading.Event()
        threading.Thread(target=self._wait, name="convstore-gate", daemon=True).start()

    def within(self, timeout_s: float) -> bool:
        self._there.wait(timeout_s)
        with self._deciding:
            self._given_up = not self._there.is_set()
            return not self._given_up

    def _wait(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        with self._deciding:
            if self._given_up:
                os.close(self._file)
            self._there.set()
