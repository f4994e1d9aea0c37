"""One SQLite file: made private, opened in WAL with synchronous=FULL, measured."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from convstore.db.dialects.base import silent_logging_name
from convstore.vocabulary.errors import (
    ConfigError,
    DatabaseAccessError,
    DatabaseUnavailableError,
)

Identity = tuple[int, int]
_Folder = tuple[int, int, int]

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


def create_file(path: Path) -> bool:
    """Make a new database file, private to its owner; True if it was not there.

    Before the first connection, because closing a descriptor of a database file drops
    this process's locks on it (sqlite.org/howtocorrupt.html, section 2.2).

    Raises:
        ConfigError: It cannot be made; says why.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except (FileExistsError, NotADirectoryError) as error:
        if path.is_file():
            return False
        raise ConfigError(
            f"URL: {path} is not a file, and cannot become one"
        ) from error
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise ConfigError(f"URL: {path} cannot be made: {why}") from error
    return True


def engine_of(
    path: Path, watch: FileWatch, connections: int, busy_timeout_s: float
) -> Engine:
    """The engine of a file; its connections are prepared and begin as they are told."""

    def connect() -> sqlite3.Connection:
        watch.check()
        connection = sqlite3.connect(
            path,
            timeout=busy_timeout_s,
            isolation_level=None,  # the driver must never begin by itself
            check_same_thread=False,
            cached_statements=256,
        )
        _prepare(connection)
        watch.note_log()
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=busy_timeout_s,
        hide_parameters=True,
        logging_name=silent_logging_name(),
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        raw = driver_of(connection)
        if not raw.in_transaction:  # the writer has begun already, with IMMEDIATE
            raw.execute("BEGIN")

    return engine


def identity_of(path: str | Path) -> Identity:
    """What tells a database file from another one that comes to have its name."""
    # A Path takes three times as long to look.
    state = os.stat(path)
    return state.st_dev, state.st_ino


def check_same(path: str, identity: Identity) -> None:
    """Refuse a file that is not the one that was opened.

    What is written to a file that has lost its name is lost with it, although SQLite
    goes on as if nothing had happened (sqlite.org/howtocorrupt.html, section 2.4).

    Raises:
        DatabaseAccessError: Its folder cannot be entered.
        DatabaseUnavailableError: It was moved, removed or exchanged.
    """
    try:
        if identity_of(path) == identity:
            return
    except FileNotFoundError:
        pass
    except PermissionError as error:
        raise DatabaseAccessError(
            "the database file cannot be looked at: give this user rights to enter "
            "its folder"
        ) from error
    except OSError as error:
        raise DatabaseUnavailableError(
            f"the database file cannot be looked at: {os.strerror(error.errno or 0)}"
        ) from error
    raise DatabaseUnavailableError(
        "the database file was moved, removed or exchanged while it was open: close "
        "the store before a file is put in its place"
    )


class FileWatch:
    """The files that the open connections rest upon: the database's own, and the log
    and its index, which SQLite makes beside it and keeps while anybody has it open.

    A connection whose log was taken away goes on as if nothing had happened, writes to
    a file without a name, and everybody who opens the database later sees none of it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._identity = str(path), identity_of(path)
        self._folder = os.path.dirname(self._path)
        # The folder as it was last seen, and since when; and when all was well in it,
        # and nothing had been put into it, taken out or renamed for a while: as long as
        # it is so, all is well still.
        self._seen: tuple[_Folder | None, float] = None, 0.0
        self._quiet: _Folder | None = None
        self._beside: dict[str, Identity] = {}

    def check(self) -> None:
        """Refuse to go on where one of them is not the one that was opened.

        Raises:
            DatabaseAccessError, DatabaseUnavailableError: As `check_same`.
        """
        # Each commit asks twice: one look instead of three.
        folder = self._look()
        if folder is not None and folder == self._quiet:
            return
        check_same(self._path, self._identity)
        self._check_log()
        seen, since = self._seen
        if folder is None or folder != seen:
            self._seen = folder, time.monotonic()
        elif time.monotonic() - since > _step_s(folder):
            self._quiet = folder

    def _look(self) -> _Folder | None:
        try:
            state = os.stat(self._folder)
        except OSError:
            return None  # what there is to be said of it, each file says
        return state.st_dev, state.st_ino, state.st_mtime_ns

    def _check_log(self) -> None:
        for name, identity in self._beside.items():
            try:
                same = identity_of(name) == identity
            except FileNotFoundError:
                same = False
            except OSError as error:
                why = os.strerror(error.errno or 0)
                raise DatabaseUnavailableError(
                    f"a file beside the database cannot be looked at: {why}"
                ) from error
            if not same:
                raise DatabaseUnavailableError(
                    f"{os.path.basename(name)} was removed or exchanged while the "
                    "database was open, and newest commits with it: close every store "
                    "on this database, and see what is there before it is used again"
                )

    def note_log(self) -> None:
        """Note the log and its index, once a connection has them open."""
        if self._beside:
            return
        names = [f"{self._path}-wal", f"{self._path}-shm"]
        # A connection that has read nothing yet has made none.
        with suppress(FileNotFoundError):
            self._beside = {name: identity_of(name) for name in names}
            self._quiet = None  # these were not looked at

    def forget_log(self) -> None:
        """No connection is open: SQLite has taken the log away itself."""
        self._beside = {}


def _step_s(folder: _Folder) -> float:
    """How long it must have been so: of two changes in one step of the file system's
    clock the second does not show.

    Steps are the kernel's of some milliseconds, or two seconds where whole ones are
    kept.
    """
    return 0.05 if folder[2] % 10**9 else 3.0


class Identified:
    """The part of a dialect that tells one database from a copy of it."""

    def instance(self, connection: Connection) -> tuple[str, ...]:
        """The file's path, and its number on the disk.

        Either may change where the database stays the same: a volume is mounted
        elsewhere, a file is put back under its name. A copy beside it changes both.
        """
        rows = connection.exec_driver_sql("PRAGMA database_list")
        (path,) = (row[2] for row in rows if row[1] == "main")
        return f"path:{path}", f"inode:{os.stat(path).st_ino}"


def driver_of(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def size_on_disk(path: Path) -> int:
    """Bytes of the file and its write-ahead log.

    `os.stat` is safe beside open connections; opening the file would not be.
    """
    return _size(path) + log_on_disk(path)


def log_on_disk(path: Path) -> int:
    """Bytes of the write-ahead log beside the file."""
    return _size(Path(f"{path}-wal"))


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _prepare(connection: sqlite3.Connection) -> None:
    try:
        # Takes effect before the first table only, and always takes the write lock: in
        # a file that has pages a new reader would wait for every writer.
        if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        # Kept in the file.
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
