"""Work inside a transaction of somebody else: of an application, on its own connection.

Commit, rollback and savepoints stay the application's. Each call finds the connection
and its transaction anew, because a session of SQLAlchemy may have begun a savepoint
meanwhile. A call that fails is undone and the transaction goes on; where that cannot
be said for certain, the connection is invalidated, so that the application's commit
fails: a driver that lost its server may otherwise commit nothing and call it a success.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from weakref import ref

from sqlalchemy import Connection
from sqlalchemy.engine import RootTransaction, TwoPhaseTransaction
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from convstore.concurrency.relay import relay
from convstore.db.errors import translated
from convstore.db.visits import Ongoing, Visit
from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    DatabaseBusyError,
    DatabaseUnavailableError,
)

if TYPE_CHECKING:
    from convstore.db.dialects.base import Backend, Dialect, Work

T = TypeVar("T")

HostEngine: TypeAlias = AsyncEngine
HostConnection: TypeAlias = AsyncConnection | AsyncSession | Connection | Session

_OVER = (
    "the transaction that was joined is over: join the next one, with "
    "`store.joined(connection)`"
)
_LOST = "the connection was lost, and the transaction with it: roll back"
AGAIN = (
    "the transaction saw the database before another commit: roll back, and run the "
    "whole transaction again"
)
# What a server says that is not the database's fault, and that another try of the same
# call would meet again.
_REFUSED = {
    "25006": "the transaction is READ ONLY: join one that may write",
    "25P02": (
        "the transaction has failed before: roll back, to its last savepoint or whole"
    ),
}


class HostTransaction:
    """The transaction of `given`, from the first call on; begun if there was none."""

    def __init__(self, given: HostConnection, backend: Backend) -> None:
        self._given = given
        self._dialect = backend.dialect
        self._guest = backend.guest
        self._root: Any = None
        self._of_session: object = None
        _check_kind(given)

    async def visit(self) -> Visit:
        """The connection as it is now, found to be usable.

        Raises:
            ConfigError: The transaction is over, or cannot be joined; says why.
            DatabaseUnavailableError: Its connection was lost.
        """
        with told(self._dialect):
            outer = await self._connection()
            _check_driver(outer, self._dialect)
            visit = Visit(outer, {})
            root = await visit.hop(lambda: self._enter(outer))
            visit.kept = self._guest.known.setdefault(root, {})
            visit.root = visit.kept.setdefault("ongoing", Ongoing(root))
            await self._guest.check(visit)
        return visit

    async def read(self, visit: Visit, work: Work[T]) -> T:
        """Run reading work inside the transaction."""
        with told(self._dialect):
            return await self._guest.read(visit, work)

    async def write(self, visit: Visit, work: Work[T]) -> T:
        """Run writing work inside the transaction: done as a whole, or undone."""
        with told(self._dialect):
            return await self._guest.write(visit, work)

    async def _connection(self) -> Connection:
        given = self._given
        asynchronous = isinstance(given, AsyncConnection | AsyncSession)
        if asynchronous and relay.get() is not None:
            raise ConfigError(
                "the blocking store joins a Connection or a Session; an asynchronous "
                "one is joined by the store of `convstore.open_store`"
            )
        if isinstance(given, AsyncConnection):
            if given.sync_connection is None:
                raise ConfigError("the connection is not open: `await` it first")
            return given.sync_connection
        if isinstance(given, Connection):
            return given
        session = given.sync_session if isinstance(given, AsyncSession) else given
        if self._root is not None and session.get_transaction() is not self._of_session:
            raise ConfigError(_OVER)
        try:
            # For each call: a savepoint is sent when the session next asks for this.
            if isinstance(given, AsyncSession):
                outer = (await given.connection()).sync_connection
                assert outer is not None
            elif (waiting := relay.get()) is not None:
                outer = await waiting.run(session.connection)
            else:
                outer = await greenlet_spawn(session.connection)
        except SQLAlchemyError as error:
            if getattr(error, "orig", None) is not None:
                raise
            raise ConfigError(
                "the session gives no connection: it is closed, its transaction has "
                "failed, or it is bound to no engine, or to several"
            ) from error
        self._of_session = session.get_transaction()
        return outer

    def _enter(self, outer: Connection) -> RootTransaction:
        if outer.closed:
            raise ConfigError(_OVER)
        if outer.invalidated:
            raise DatabaseUnavailableError(_LOST)
        if outer._is_autocommit_isolation():
            raise ConfigError(
                "the connection is in AUTOCOMMIT: join one that has transactions"
            )
        root, nested = outer.get_transaction(), outer.get_nested_transaction()
        if self._root is None:
            if root is None:
                # Statements on the driver's cursor would not begin it, and the
                # application's commit would then do nothing.
                root = outer.begin()
            self._root = ref(root)
        if isinstance(root, TwoPhaseTransaction):
            # What was prepared is committed from anywhere, perhaps after a restart:
            # nobody here would know when to let go of what is warm.
            raise ConfigError(
                "a two-phase transaction cannot be joined: its commit may come from "
                "elsewhere; join one that this connection commits"
            )
        if root is None or self._root() is not root or not root.is_active:
            raise ConfigError(_OVER)
        if nested is not None and not nested.is_active:
            raise ConfigError(_REFUSED["25P02"])
        return root


@contextmanager
def told(dialect: Dialect) -> Iterator[None]:
    """As `translated`, for transactions that are not ours to run again."""
    with translated(dialect):
        try:
            yield
        except ConvstoreError:
            raise
        except Exception as error:
            state = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
            if state == "40001":
                raise DatabaseBusyError(AGAIN) from error
            if state in _REFUSED:
                raise ConfigError(_REFUSED[state]) from None
            raise


def _check_kind(given: object) -> None:
    if not isinstance(given, HostConnection):
        raise ConfigError(
            "a connection or session of SQLAlchemy can be joined, not a "
            f"{type(given).__name__}"
        )


def _check_driver(outer: Connection, dialect: Dialect) -> None:
    if outer.dialect.driver not in dialect.joins:
        raise ConfigError(
            f"a connection by {outer.dialect.driver} cannot join the store's database; "
            "those by " + ", ".join(dialect.joins) + " can"
        )
    if not outer.dialect.is_async and relay.get() is None:
        raise ConfigError(
            "a connection that blocks would stop the event loop: use the store of "
            "`convstore.blocking` with it"
        )
