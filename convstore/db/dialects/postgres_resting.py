"""Connections in autocommit that rest beside SQLAlchemy's pool while nobody uses them.

To take one from the pool, begin, reset and give it back costs the client as much as a
small statement does, and a cursor of SQLAlchemy's adapter as much again (ADR 0016). So
what is read, or written as one statement, goes over a connection that was used before,
by the driver's own call. The pool has made it, counts it, and gets it back as soon as
anybody waits there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only

from convstore.concurrency.completion import finished
from convstore.db.dialects.base import Work

DIRECT = "convstore_direct"
"""The execution option of connections in autocommit whose driver is asked directly."""


class Resting:
    """The connections of one engine that rest.

    Args:
        rests: Whether any does. Not where an application's pool has its own mind of
            how old a connection may get, and not behind a pooler.
    """

    def __init__(self, *, rests: bool) -> None:
        self._rests = rests
        self._connections: list[AsyncConnection] = []
        # How many come to the pool, or wait there: what comes back then is theirs.
        self._wanted = 0

    @property
    def count(self) -> int:
        """How many rest now; the pool takes them for checked out."""
        return len(self._connections)

    async def take(self, engine: AsyncEngine) -> AsyncConnection:
        """One that rests and is well, or one of the pool, in autocommit.

        `engine` is always the same, until `give_up`.
        """
        while self._connections:
            connection = self._connections.pop()
            if _is_well(connection):
                return connection
            await _drop(connection)
        return await self.connect(engine)

    async def connect(self, engine: AsyncEngine) -> AsyncConnection:
        """One of the pool, where nobody waits for what only rests."""
        self._wanted += 1
        try:
            # Others may be about to take what is free now: each is reckoned with, and
            # all of it anew when one has come back to the pool.
            while self._connections and _is_used_up(engine, self._wanted - 1):
                await finished(self._connections.pop().close())
            return await _started(engine)
        finally:
            self._wanted -= 1

    def rest(self, connection: AsyncConnection) -> bool:
        """Whether it rests from now on; else it goes back to the pool."""
        if not self._rests or self._wanted:
            return False
        self._connections.append(connection)
        return True

    async def give_up(self, *, lost: bool = False) -> None:
        """Let all go: to the pool, or for good where their server is away."""
        while self._connections:
            connection = self._connections.pop()
            await (_drop(connection) if lost else finished(connection.close()))


def without_a_trace(work: Work[Any]) -> Work[Any]:
    """`work`, after which its connection is as it was: SQLAlchemy begins by itself
    where work goes through it."""

    def run(connection: Connection) -> Any:
        result = work(connection)
        if connection.in_transaction():
            connection.rollback()
        return result

    return run


def fetched(connection: Connection, sql: str, bound: Any) -> list[Any]:
    """Every row of a statement, by the driver's own call, in autocommit."""
    driver: Any = connection.connection.driver_connection
    rows: list[Any] = await_only(driver.fetch(sql, *bound))
    return rows


async def let_go_of_the_interrupted(connection: AsyncConnection) -> None:
    """Close a connection whose caller was cancelled in the middle of something.

    If that was its BEGIN, the server has a transaction that nobody here knows of: the
    COMMIT of whoever gets the connection next would only release a savepoint in it.
    SQLAlchemy closes such a connection itself where it runs the statement; hot ones
    run past it.
    """
    await finished(connection.invalidate())


async def empty_the_pool(connection: AsyncConnection) -> None:
    """Empty the pool if the server is away, so that no caller gets a dead connection.

    Hot statements run past SQLAlchemy, which empties the pool when it sees such an
    error itself: here it is shown one.
    """
    known: tuple[type[Exception], ...] = (DBAPIError, PendingRollbackError)
    if connection.dialect.driver == "asyncpg":
        from asyncpg import InternalClientError

        known = (*known, InternalClientError)
    # The second when it has seen the error itself, and wants its transaction ended;
    # the third is not one that it knows.
    with suppress(*known):
        await connection.exec_driver_sql("SELECT 1")
    await connection.invalidate()


async def _started(engine: AsyncEngine) -> AsyncConnection:
    """A connection of the pool, past those whose servers are known to have gone: after
    a restart that may be all. One that is new is taken as it is."""
    pool = engine.pool
    for _ in range(pool.size() if isinstance(pool, QueuePool) else 0):
        connection = engine.connect()
        await connection.start()
        if _is_well(connection):
            return connection
        await _drop(connection)
    connection = engine.connect()
    await connection.start()
    return connection


def _is_well(connection: AsyncConnection) -> bool:
    """Whether the driver has not noticed that its server is gone."""
    used = connection.sync_connection
    if used is None or used.invalidated:
        return False
    driver: Any = used.connection.driver_connection
    if used.dialect.driver != "asyncpg":
        return not driver.closed
    return not driver.is_closed()


def _is_used_up(engine: AsyncEngine, others: int) -> bool:
    """Whether the pool has nothing beyond what so many others are about to take."""
    pool = engine.pool
    return isinstance(pool, QueuePool) and pool.checkedout() + others >= pool.size()


async def _drop(connection: AsyncConnection) -> None:
    async def drop() -> None:
        await connection.invalidate()
        await connection.close()

    await finished(drop())  # both, cancelled or not: the pool counts it until then
