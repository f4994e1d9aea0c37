"""The one place where driver errors become ours; no driver text travels with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from convstore.vocabulary.errors import (
    ConvstoreError,
    DatabaseBusyError,
    DatabaseFaultError,
)


class Translator(Protocol):
    """Who knows a driver's errors: a dialect."""

    def translate(self, error: BaseException) -> ConvstoreError | None:
        """Our error for a driver's error; None when it is not the driver's."""
        ...


_DRIVERS = ("sqlite3", "asyncpg", "psycopg", "aiosqlite")


@contextmanager
def translated(dialect: Translator) -> Iterator[None]:
    """Raise ours in place of a driver's or SQLAlchemy's error, with the cause kept."""
    try:
        yield
    except ConvstoreError:
        raise
    except PoolTimeoutError as error:
        raise DatabaseBusyError("no database connection became free in time") from error
    except OverflowError as error:
        # What the driver of SQLite says of a number beyond 64 bits.
        raise DatabaseFaultError("OverflowError") from error
    except Exception as error:
        known = ours(dialect, error)
        if known is not None:
            raise known from error
        fault = _fault(error)
        if fault is None:
            raise  # not the database's: to be seen as it is
        # PostgreSQL quotes the failing row: that text must not travel.
        raise DatabaseFaultError(fault) from None


def _fault(error: Exception) -> str | None:
    """What the driver calls its error; None when it is not a driver's."""
    orig: BaseException = getattr(error, "orig", None) or error
    stand_in = type(orig).__module__.startswith("sqlalchemy.dialects.")
    if stand_in and orig.__cause__ is not None:
        orig = orig.__cause__  # SQLAlchemy's own class for what the driver said
    library = type(orig).__module__.partition(".")[0]
    if not isinstance(error, StatementError) and library not in _DRIVERS:
        return None
    name = getattr(orig, "sqlite_errorname", None) or getattr(orig, "sqlstate", None)
    return f"{type(orig).__name__} {name or ''}".rstrip()


def ours(dialect: Translator, error: BaseException) -> ConvstoreError | None:
    """Our error for a driver's or SQLAlchemy's; None when it is neither."""
    return dialect.translate(getattr(error, "orig", None) or error)
