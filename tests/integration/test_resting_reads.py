"""What is read on PostgreSQL goes over connections that rest beside the pool, and that
the pool gets back as soon as anybody waits there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from sqlalchemy import event

from convstore import Store

OTHERS = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """SQLite's readers have threads."""
    return postgres_url


@pytest.fixture
async def store(open_another: Callable[..., Awaitable[Store]]) -> Store:
    """A store with one connection beside those of its two writers."""
    store = await open_another(pool_size=1, limits={"busy_timeout_s": 5})
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content="one")
    return store


async def test_reads_take_no_connection_out_of_the_pool(store: Store) -> None:
    await store.turns.window("s-1")
    taken = []
    pool = store._parts.backend._engine.sync_engine.pool  # type: ignore[attr-defined]
    event.listen(pool, "checkout", lambda *_: taken.append(1))

    for _ in range(5):
        await store.turns.window("s-1")
        await store.turns.append("s-1", role="user", content="more")

    assert taken == []


async def test_connections_that_rest_are_there_for_transactions(store: Store) -> None:
    await asyncio.gather(*(store.turns.window("s-1") for _ in range(12)))

    async def write(number: int) -> None:
        async with store.transaction() as tx:
            await tx.sessions.get_or_create(f"t-{number}")

    # As many as the pool has: none of them may wait for what only rests.
    async with asyncio.timeout(4):
        await asyncio.gather(*(write(number) for number in range(3)))

    assert len((await store.sessions.list()).items) == 4


async def test_reads_and_transactions_that_wait_for_each_other_all_end(
    store: Store,
) -> None:
    async def write(number: int) -> None:
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content=f"{number}")

    async def read(_: int) -> None:
        await store.turns.window("s-1")

    await asyncio.gather(*(do(n) for n in range(10) for do in (write, read, read)))

    assert (await store.sessions.get("s-1")).turn_count == 11


async def test_a_connection_whose_reader_was_cancelled_is_used_by_nobody(
    store: Store, postgres_url: str
) -> None:
    await store.turns.window("s-1")
    stranger = await asyncpg.connect(postgres_url)
    async with stranger.transaction():
        await stranger.execute("LOCK TABLE turns IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.ensure_future(store.turns.window("s-1"))
        await _until(stranger, f"EXISTS ({OTHERS} AND wait_event_type = 'Lock')")
        waiting.cancel()
        await asyncio.wait([waiting])
    await stranger.close()

    assert [turn.content for turn in await store.turns.window("s-1")] == ["one"]


async def test_a_closed_store_leaves_none_with_the_server(
    store: Store, postgres_url: str
) -> None:
    await asyncio.gather(*(store.turns.window("s-1") for _ in range(12)))

    await store.close()

    stranger = await asyncpg.connect(postgres_url)
    await _until(stranger, f"NOT EXISTS ({OTHERS})")  # it notices in its own time
    await stranger.close()


async def _until(connection: asyncpg.Connection, condition: str) -> None:
    """Have the server look until it is so."""
    await connection.execute(
        f"DO $$ BEGIN WHILE NOT ({condition}) LOOP PERFORM pg_sleep(0.001); "
        "PERFORM pg_stat_clear_snapshot(); END LOOP; END $$",
        timeout=20,
    )
