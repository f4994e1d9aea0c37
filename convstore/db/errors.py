"""The one place where driver errors become ours; no driver text travels with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from convstore.db.dialects.base import Dialect
from convstore.errors import ConvstoreError, DatabaseBusyError


@contextmanager
def translated(dialect: Dialect) -> Iterator[None]:
    """Raise ours in place of a driver's or SQLAlchemy's error, with the cause kept."""
    try:
        yield
    except ConvstoreError:
        raise
    except PoolTimeoutError as error:
        raise DatabaseBusyError("no database connection became free in time") from error
    except Exception as error:
        known = ours(dialect, error)
        if known is None:
            # Not the driver's, or a statement it refuses: a fault to be seen as it is.
            raise
        raise known from error


def ours(dialect: Dialect, error: BaseException) -> ConvstoreError | None:
    """Our error for a driver's or SQLAlchemy's; None when it is neither."""
    return dialect.translate(getattr(error, "orig", None) or error)
