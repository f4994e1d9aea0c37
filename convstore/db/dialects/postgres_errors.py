"""What asyncpg and psycopg raise, told apart by the server's state or, where the server
said nothing, by the driver's word."""

from __future__ import annotations

from convstore.db.dialects.base import ServerEndedError
from convstore.db.dialects.postgres_schema import NO_RIGHTS
from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    StorageFullError,
)

_BUSY = frozenset({"40001", "40P01", "55P03", "57014"})
_FULL = frozenset({"53100", "53200"})
# 25006 is a standby, after a failover; 25P03 a transaction that the server ended.
_AWAY = ("08", "53", "25006", "25P03")
_UNREACHABLE = (
    "the database cannot be reached: see that the server runs, and that host and port "
    "of the URL are right"
)


def translate(error: BaseException) -> ConvstoreError | None:
    """Our error for a driver's; None when it is not a driver's."""
    state = getattr(error, "sqlstate", None) or ""
    if state in _BUSY:
        return DatabaseBusyError("the database gave up on a lock; try again")
    if state in _FULL:
        return StorageFullError("the database is out of disk or memory")
    if (refused := _refused_settings(state, error)) is not None:
        return ConfigError(refused)
    if state == "42501":
        return DatabaseAccessError(NO_RIGHTS)
    if state.startswith("57P") or _was_told_of_the_end(error):
        return ServerEndedError(_UNREACHABLE)
    if type(error).__name__ == "InvalidCachedStatementError":
        # A migration has changed what a prepared statement gives back: all of them
        # are prepared again when this call is repeated.
        return ServerEndedError("a prepared statement was outdated")
    if _is_away(state, error):
        return DatabaseUnavailableError(_UNREACHABLE)
    if type(error).__name__ == "InternalClientError":
        # asyncpg sends nothing more: the server's last words came while nobody was
        # asking.
        return ServerEndedError(_UNREACHABLE)
    text_of = str(error)
    if "connection is closed" in text_of or "connection was closed" in text_of:
        return DatabaseUnavailableError("the connection to the database was lost")
    return None


def _refused_settings(state: str, error: BaseException) -> str | None:
    """What is wrong with the settings, if that is why nobody is let in."""
    if state in ("28P01", "28000", "3D000"):
        return "URL: the server refuses this user, password or database"
    if not state and _is_lost_by_psycopg(error) and _refuses_to_connect(str(error)):
        # psycopg gives no state to what a server says before there is a connection.
        return "URL: the server refuses this user, password or database"
    if state == "08P01" and "startup parameter" in str(error):
        return (
            "URL: a connection pooler refuses our settings: behind one that pools by "
            "transaction, such as PgBouncer, set CONVSTORE_POOLER=transaction"
        )
    return None


def _is_away(state: str, error: BaseException) -> bool:
    return (
        state.startswith(_AWAY)
        or (not state and _is_lost_by_psycopg(error))
        or isinstance(error, ConnectionError | TimeoutError | OSError)
    )


def _is_lost_by_psycopg(error: BaseException) -> bool:
    kind = type(error)
    return kind.__module__.startswith("psycopg") and kind.__name__ in (
        "OperationalError",
        "ConnectionTimeout",
        "InterfaceError",
    )


def _refuses_to_connect(told: str) -> bool:
    return "authentication failed" in told or (
        "FATAL" in told and "does not exist" in told
    )


def _was_told_of_the_end(error: BaseException) -> bool:
    """Whether a connection was lost in a way that settles what was sent: with a last
    word of the server, or because the system did not take all of it."""
    told = error.__cause__
    while told is not None:
        state = getattr(told, "sqlstate", None) or ""
        # What commits is the last message of a statement, so a pipe that broke while
        # it was written has kept that from the server.
        if state.startswith("57P") or isinstance(told, BrokenPipeError):
            return True
        told = told.__cause__
    return False
