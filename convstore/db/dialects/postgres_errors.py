"""What asyncpg and psycopg raise, told apart by the server's state or, where the server
said nothing, by the driver's word."""

from __future__ import annotations

import errno
import socket

from convstore.db.dialects.base import ServerEndedError
from convstore.db.dialects.postgres_schema import NO_RIGHTS
from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    CorruptionError,
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    ReadOnlyDatabaseError,
    StorageFullError,
)

# A transaction that the server ended, and connections that it refused or lost.
_AWAY = ("08", "53", "25P")
_READ_ONLY = (
    "the server takes no writes: it is a standby, or default_transaction_read_only is "
    "on; name the primary, or several hosts and target_session_attrs=read-write"
)
_NO_POLICY = (
    "row-level security refuses what the store writes or reads: give its role a policy "
    "for these tables, or BYPASSRLS"
)
_UNREACHABLE = (
    "the database cannot be reached: see that the server runs, and that host and port "
    "of the URL are right"
)


_LOCK = "the database gave up on a lock; try again"
_FULL = "the database is out of disk or memory"
_DAMAGE = "the server reports damaged data: see its log"
# A worker that was lost, or a disk that hesitated: the next call may go well.
_INSIDE = "the server met a fault of its own: see its log, and try again"

_BY_STATE: dict[str, tuple[type[ConvstoreError], str]] = {
    "40001": (DatabaseBusyError, _LOCK),
    "40P01": (DatabaseBusyError, _LOCK),
    "55P03": (DatabaseBusyError, _LOCK),
    "53100": (StorageFullError, _FULL),
    "53200": (StorageFullError, _FULL),
    "53300": (DatabaseUnavailableError, "the server has no connection free for us"),
    "25006": (ReadOnlyDatabaseError, _READ_ONLY),
    "58000": (DatabaseUnavailableError, _INSIDE),
    "58030": (DatabaseUnavailableError, _INSIDE),
    "XX000": (DatabaseUnavailableError, _INSIDE),
    "XX001": (CorruptionError, _DAMAGE),
    "XX002": (CorruptionError, _DAMAGE),
}

_UNMET = (
    "URL: the driver cannot use these settings: sslmode=verify-ca or verify-full needs "
    "a root certificate (sslrootcert=FILE, or system), and of several hosts each has a "
    "port, or none"
)


def translate(error: BaseException) -> ConvstoreError | None:
    """Our error for a driver's; None when it is not a driver's."""
    state = getattr(error, "sqlstate", None) or ""
    if (known := _BY_STATE.get(state)) is not None:
        return known[0](known[1])
    if state == "57014":
        return DatabaseBusyError(_cancelled(error))
    if (refused := _refused_settings(state, error)) is not None:
        return ConfigError(refused)
    if state == "42501":
        by_policy = "row-level security" in str(error)
        return DatabaseAccessError(_NO_POLICY if by_policy else NO_RIGHTS)
    return _lost(state, error)


def is_taken(error: BaseException | None) -> bool:
    """Whether a relation, a type or a function has the name of what was to be made."""
    return getattr(error, "sqlstate", None) in ("42P07", "42710", "42723")


def _lost(state: str, error: BaseException) -> ConvstoreError | None:
    """Our error where a connection was lost, or was never had."""
    if _named(error) == "TargetServerAttributeNotMatched":
        # It may be one in a moment: servers change their parts.
        return DatabaseUnavailableError(
            "no server that answers is such a one as target_session_attrs asks for"
        )
    if state.startswith("57P") or _was_told_of_the_end(error):
        return ServerEndedError(_UNREACHABLE)
    if type(error).__name__ == "InvalidCachedStatementError":
        # A migration has changed what a prepared statement gives back: all of them
        # are prepared again when this call is repeated.
        return ServerEndedError("a prepared statement was outdated")
    if _is_away(state, error):
        return DatabaseUnavailableError(_unreachable(error))
    if type(error).__name__ == "InternalClientError":
        # asyncpg sends nothing more: the server's last words came while nobody was
        # asking.
        return ServerEndedError(_UNREACHABLE)
    text_of = str(error)
    if "connection is closed" in text_of or "connection was closed" in text_of:
        return DatabaseUnavailableError("the connection to the database was lost")
    return None


def _unreachable(error: BaseException) -> str:
    """Which part of the URL leads nowhere, where the system says so."""
    if isinstance(error, socket.gaierror):
        return "the database cannot be reached: no server is known by the URL's host"
    # Of a name with several addresses there is one text for all their errors.
    refused = isinstance(error, ConnectionRefusedError) or (
        isinstance(error, OSError) and f"[Errno {errno.ECONNREFUSED}]" in str(error)
    )
    if refused:
        return (
            "the database cannot be reached: nothing listens at the URL's host and "
            "port; see that the server runs, and that the port is right"
        )
    return _UNREACHABLE


_REFUSED = {
    "3D000": "URL: the server has no database of this name: see the URL's last part, "
    "or make it with CREATE DATABASE",
    "28P01": "URL: the server refuses the password of this user, or knows no such user",
    "28000": "URL: the server does not let this user in: see the user's name, and the "
    "server's pg_hba.conf",
}
"""By the state of the error; what the server says names people, and stays out."""


def _cancelled(error: BaseException) -> str:
    """Why the server gave up on a statement."""
    if "statement timeout" in str(error):
        return (
            "a statement took longer than the server allows: ALTER ROLE … SET "
            "statement_timeout = 0, or try again when it has less to do"
        )
    return "a statement was cancelled on the server; try again"


def _refused_settings(state: str, error: BaseException) -> str | None:
    """What is wrong with the settings, if that is why nobody is let in."""
    if state in _REFUSED:
        return _REFUSED[state]
    if _named(error) == "ClientConfigurationError":
        return _UNMET
    if not state and _is_lost_by_psycopg(error) and _refuses_to_connect(str(error)):
        # psycopg gives no state to what a server says before there is a connection.
        return "URL: the server refuses this user, password or database"
    if state == "08P01" and "statement pooling" in str(error):
        return (
            "URL: a connection pooler pools by statement, which carries no "
            "transaction: let it pool by transaction, and set "
            "CONVSTORE_POOLER=transaction"
        )
    if state in ("26000", "42P05") and "prepared statement" in str(error):
        return (
            "URL: a connection pooler has mixed up prepared statements: behind one "
            "that pools by transaction, set CONVSTORE_POOLER=transaction"
        )
    if state == "08P01" and "startup parameter" in str(error):
        return (
            "URL: a connection pooler refuses our settings: behind one that pools by "
            "transaction, such as PgBouncer, set CONVSTORE_POOLER=transaction"
        )
    return None


def _named(error: BaseException) -> str:
    """What asyncpg calls an error of its own, which SQLAlchemy calls otherwise."""
    return type(error.__cause__ or error).__name__


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
    told: BaseException | None = error
    while told is not None:
        state = getattr(told, "sqlstate", None) or ""
        # What commits is the last message of a statement, so a pipe that broke while
        # it was written has kept that from the server.
        if state.startswith("57P") or isinstance(told, BrokenPipeError):
            return True
        told = told.__cause__
    return False


class Translating:
    """The part of a dialect that knows a driver's errors."""

    def translate(self, error: BaseException) -> ConvstoreError | None:
        return translate(error)

    def is_taken(self, error: BaseException | None) -> bool:
        return is_taken(error)
