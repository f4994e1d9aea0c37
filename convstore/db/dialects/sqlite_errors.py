"""Which of our errors an error of SQLite is."""

from __future__ import annotations

import sqlite3

from convstore.vocabulary.errors import (
    ConvstoreError,
    CorruptionError,
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    StorageFullError,
    StoreClosedError,
)


def translate(error: BaseException) -> ConvstoreError | None:
    """Our error for a driver's; None when it is not a driver's."""
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseBusyError("another process holds the database's write lock")
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    # The second: there is no room for the index of the log, a file beside it.
    if code == sqlite3.SQLITE_FULL or name == "SQLITE_IOERR_SHMSIZE":
        return StorageFullError("the disk of the database is full")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CorruptionError("the database file is damaged or not SQLite")
    if name != "SQLITE_READONLY_DBMOVED" and code in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    ):
        return DatabaseAccessError(
            f"the database file cannot be used ({name}): give this user rights to "
            "read and write it, the files beside it that begin with its name, and "
            "their folder"
        )
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
        return DatabaseUnavailableError(f"the database file cannot be used: {name}")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StoreClosedError("the store is closed")
    return None


def is_taken(error: BaseException | None) -> bool:
    """Whether a table or an index has the name of what was to be made."""
    # There is no code for it.
    return any(said in str(error) for said in ("already exists", "already a table"))


class Translating:
    """The part of a dialect that knows a driver's errors."""

    def translate(self, error: BaseException) -> ConvstoreError | None:
        return translate(error)

    def is_taken(self, error: BaseException | None) -> bool:
        return is_taken(error)
