"""What cannot be joined, what fails inside, and what the application's commit says."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from convstore import (
    ConfigError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    Limits,
    Store,
)
from tests.integration.archives import OpenAnother
from tests.integration.conversations import contents, say
from tests.joined.hosts import bare_url, count_orders, engine_of, order

postgres = pytest.mark.parametrize(
    "driver", ["postgresql+asyncpg", "postgresql+psycopg"], indirect=True
)
sqlite = pytest.mark.parametrize("driver", ["sqlite+aiosqlite"], indirect=True)
# For a connection too, which a busy machine takes a while to make.
IMPATIENT = Limits(busy_timeout_s=3)


@asynccontextmanager
async def held(url: str, session_id: str) -> AsyncIterator[None]:
    """Somebody else has the session's row, or SQLite's write lock."""
    if url.startswith("sqlite"):
        raw = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
        yield
        raw.close()
        return
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(
            "SELECT 1 FROM sessions WHERE session_id = $1 FOR NO KEY UPDATE", session_id
        )
        yield
    await connection.close()


async def cut(url: str) -> None:
    """End every other connection to the database."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def write(store: Store, connection: AsyncConnection) -> None:
    await store.joined(connection).turns.append("s-1", role="user", content="lost")


async def read(store: Store, connection: AsyncConnection) -> None:
    await store.joined(connection).turns.window("s-1", limit=5)


@postgres
@pytest.mark.parametrize("call", [write, read])
@pytest.mark.parametrize("wrote_before", [True, False])
async def test_after_a_lost_connection_the_commit_of_the_application_fails(
    store: Store, engine: AsyncEngine, database_url: str, call: Any, wrote_before: bool
) -> None:
    await say(store, "s-1", "kept")
    with pytest.raises(SQLAlchemyError):  # noqa: PT012 - by the end of the block
        async with engine.begin() as connection:
            await order(connection, 1)
            if wrote_before:
                await write(store, connection)
            await cut(database_url)
            with pytest.raises(DatabaseUnavailableError):
                await call(store, connection)
            with pytest.raises(DatabaseUnavailableError):
                await call(store, connection)

    assert await count_orders(engine) == 0
    assert await contents(store, "s-1") == ["kept"]


@pytest.mark.mostly_slow("postgresql+asyncpg")
async def test_a_lock_that_is_not_had_in_time_leaves_the_transaction_as_it_was(
    open_another: OpenAnother, engine: AsyncEngine, database_url: str, driver: str
) -> None:
    store = await open_another(limits=IMPATIENT)
    await say(store, "s-1", "one")
    # SQLite's lock is the application's from its first write on.
    deferred = driver.startswith("sqlite")
    host = _without_listeners(database_url) if deferred else engine
    async with host.begin() as connection:
        tx = store.joined(connection)
        async with held(database_url, "s-1"):
            with pytest.raises(DatabaseBusyError):
                await say(tx, "s-1", "not had")
        await order(connection, 1)
        await say(tx, "s-1", "two")
        if not deferred:
            found = await connection.execute(text("SHOW lock_timeout"))
            assert found.scalar_one() == "0"
    await host.dispose()

    assert await count_orders(engine) == 1
    assert await contents(store, "s-1") == ["one", "two"]


@pytest.mark.mostly_slow("sqlite+aiosqlite")
async def test_our_writers_wait_for_a_host_for_so_long_and_no_longer(
    open_another: OpenAnother, engine: AsyncEngine
) -> None:
    store = await open_another(limits=IMPATIENT)
    await say(store, "s-1", "one")
    async with engine.begin() as connection:
        await say(store.joined(connection), "s-1", "two")
        with pytest.raises(DatabaseBusyError):
            await asyncio.create_task(say(store, "s-1", "too late"))

    await say(store, "s-1", "three")
    assert await contents(store, "s-1") == ["one", "two", "three"]


@postgres
async def test_a_read_only_transaction_is_not_written_to(
    store: Store, engine: AsyncEngine
) -> None:
    await say(store, "s-1", "one")
    async with engine.connect() as connection:
        await connection.execution_options(postgresql_readonly=True)
        tx = store.joined(connection)
        with pytest.raises(ConfigError, match="READ ONLY"):
            await say(tx, "s-1", "two")
        assert await contents(tx, "s-1") == ["one"]


@postgres
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_session_that_has_changed_since_the_snapshot_asks_for_another_run(
    store: Store, engine: AsyncEngine, level: str
) -> None:
    await say(store, "s-1", "one")
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level=level)
        tx = store.joined(connection)
        assert await contents(tx, "s-1") == ["one"]
        await say(store, "s-1", "two")
        with pytest.raises(DatabaseBusyError, match="run the whole transaction again"):
            await say(tx, "s-1", "three")
        await connection.rollback()
        await say(store.joined(connection), "s-1", "three")
        await connection.commit()

    assert await contents(store, "s-1") == ["one", "two", "three"]


@sqlite
async def test_a_commit_between_read_and_write_asks_for_another_run(
    store: Store, engine: AsyncEngine, database_url: str
) -> None:
    await say(store, "s-1", "one")
    host = create_async_engine(
        bare_url(database_url, "sqlite+aiosqlite"),
        connect_args={"isolation_level": None},
    )
    event.listen(
        host.sync_engine, "begin", lambda c: c.exec_driver_sql("BEGIN") and None
    )
    async with host.connect() as connection:
        tx = store.joined(connection)
        assert await contents(tx, "s-1") == ["one"]
        await asyncio.create_task(say(store, "s-1", "two"))
        with pytest.raises(DatabaseBusyError, match="run the whole transaction again"):
            await say(tx, "s-1", "three")
        await connection.rollback()
        await say(store.joined(connection), "s-1", "three")
        await connection.commit()
    await host.dispose()

    assert await contents(store, "s-1") == ["one", "two", "three"]


def _without_listeners(url: str) -> AsyncEngine:
    return create_async_engine(bare_url(url, "sqlite+aiosqlite"))


@sqlite
async def test_an_engine_without_listeners_has_transactions_but_no_savepoints(
    store: Store, engine: AsyncEngine, database_url: str
) -> None:
    host = _without_listeners(database_url)
    async with host.connect() as connection:
        await say(store.joined(connection), "s-1", "rolled back")
        await connection.rollback()
        async with connection.begin(), connection.begin_nested():
            with pytest.raises(ConfigError, match="BEGIN IMMEDIATE"):
                await say(store.joined(connection), "s-1", "first in a savepoint")
        async with connection.begin():
            tx = store.joined(connection)
            await say(tx, "s-1", "kept")
            nested = await connection.begin_nested()
            await say(tx, "s-1", "undone")
            await nested.rollback()
    await host.dispose()

    assert await contents(store, "s-1") == ["kept"]


@sqlite
async def test_a_read_does_not_begin_what_a_later_write_cannot_go_on_with(
    store: Store, engine: AsyncEngine, database_url: str
) -> None:
    await say(store, "s-1", "one")
    host = _without_listeners(database_url)
    async with host.begin() as connection:
        tx = store.joined(connection)
        assert await contents(tx, "s-1") == ["one"]
        await asyncio.create_task(say(store, "s-1", "two"))
        await say(tx, "s-1", "three")
    await host.dispose()

    assert await contents(store, "s-1") == ["one", "two", "three"]


@postgres
async def test_other_tables_first_in_the_search_path_are_not_taken_for_ours(
    store: Store, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA another"))
        await connection.execute(text("CREATE TABLE another.sessions (a integer)"))
    async with engine.begin() as connection:
        await connection.execute(text("SET search_path = another, public"))
        await say(store.joined(connection), "s-1", "ours")
        await connection.execute(text("SET search_path = public"))

    assert await contents(store, "s-1") == ["ours"]


@postgres
async def test_a_transaction_of_two_phases_is_refused(
    store: Store, engine: AsyncEngine
) -> None:
    async with engine.connect() as connection:
        transaction = await connection.run_sync(lambda c: c.begin_twophase())
        with pytest.raises(ConfigError, match="two-phase"):
            await say(store.joined(connection), "s-1", "x")
        with pytest.raises(ConfigError, match="two-phase"):
            await store.joined(connection).turns.window("s-1", limit=5)
        await connection.run_sync(lambda _: transaction.rollback())

    assert await store.sessions.find("s-1") is None


@postgres
async def test_a_transaction_that_failed_before_is_not_written_to(
    store: Store, engine: AsyncEngine
) -> None:
    async with engine.connect() as connection:
        with pytest.raises(SQLAlchemyError):
            await connection.execute(text("SELECT 1 / 0"))
        with pytest.raises(ConfigError, match="failed before"):
            await say(store.joined(connection), "s-1", "x")
        with pytest.raises(SQLAlchemyError):
            await connection.commit()


@pytest.mark.mostly_slow("sqlite+aiosqlite", "postgresql+asyncpg")
async def test_inside_a_transaction_of_the_store_nobody_hangs(
    open_another: OpenAnother, engine: AsyncEngine, driver: str
) -> None:
    store = await open_another(limits=IMPATIENT)
    await say(store, "s-1", "one")
    expected = ConfigError if driver.startswith("sqlite") else DatabaseBusyError
    host = engine
    if driver.startswith("sqlite"):
        host = _without_listeners(str(engine.url.render_as_string()))
    async with store.transaction() as own:
        await say(own, "s-1", "two")
        async with host.connect() as connection:
            with pytest.raises(expected):
                await say(store.joined(connection), "s-1", "three")
    if host is not engine:
        await host.dispose()

    assert await contents(store, "s-1") == ["one", "two"]


async def test_another_event_loop_is_refused(
    store: Store, database_url: str, driver: str
) -> None:
    async def elsewhere() -> None:
        engine = engine_of(database_url, driver)
        try:
            async with engine.connect() as connection:
                await say(store.joined(connection), "s-1", "x")
        finally:
            await engine.dispose()

    raised: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(elsewhere())
        except ConfigError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    await asyncio.to_thread(thread.join)

    assert "another event loop" in str(raised[0])


@pytest.mark.parametrize(
    "driver", ["sqlite+aiosqlite", "postgresql+psycopg"], indirect=True
)
async def test_a_connection_that_blocks_is_for_the_blocking_store(
    store: Store, database_url: str, driver: str
) -> None:
    engine = create_engine(bare_url(database_url, driver.replace("+aiosqlite", "")))
    with engine.connect() as connection, pytest.raises(ConfigError, match="blocking"):
        await say(store.joined(connection), "s-1", "x")
    engine.dispose()
