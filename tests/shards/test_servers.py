"""Shards on PostgreSQL servers of their own: one is away, one is moved to another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from convstore import ShardUnavailableError, Store, StoreConfig, open_store
from convstore.vocabulary.sharding import shard_of
from tests.databases import PostgresDatabases, migrate
from tests.servers import PostgresServer, ServerUnavailableError
from tests.summary import give_up

IDS = [f"s-{number}" for number in range(12)]
ON_1 = [i for i in IDS if shard_of("default", i, 2) == 1]
ON_0 = [i for i in IDS if i not in ON_1]
Begin = Callable[[], PostgresServer]


class LogicalServer(PostgresServer):
    """One that tells others what is written to it."""

    def command(self) -> list[str]:
        return [*super().command(), "--wal_level=logical"]


@pytest.fixture
def begin(pytestconfig: pytest.Config) -> Iterator[Begin]:
    """Start a server: `begin()`."""
    with ExitStack() as stack:

        def begin_one() -> PostgresServer:
            try:
                server = LogicalServer()
                stack.callback(server.stop)
                server.start()
            except (ServerUnavailableError, ImportError, OSError) as error:
                give_up(pytestconfig, "servers of shards", str(error))
            return server

        yield begin_one


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    import asyncpg

    connection = await asyncpg.connect(url.partition("&schema")[0])
    try:
        yield connection
    finally:
        await connection.close()


async def say(store: Store, *session_ids: str) -> None:
    for session_id in session_ids:
        chat = store.conversation(session_id, user_id="u-1")
        await chat.append(role="user", content=f"in {session_id}")


async def turns(store: Store) -> dict[str, int]:
    return {d.session.id: len(d.turns) async for d in store.documents()}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 120
    while not await holds():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_sessions_of_a_shard_whose_server_is_stopped_are_named_as_such(
    urls: dict[str, Any], begin: Begin, tmp_path: Path
) -> None:
    """And those of the others go on; all goes on when it is back."""
    if urls["url"].startswith("sqlite"):
        pytest.skip("a server is stopped")
    server = begin()
    with closing(PostgresDatabases(server.url)) as databases:
        away = databases.create()
        databases.keep()  # it goes with its server
    given = {**urls, "shards": [urls["shards"][0], away]}
    config = StoreConfig(archive_dir=tmp_path / "archive", **given)
    async with open_store(config) as store:
        await say(store, *IDS)
        server.kill()

        with pytest.raises(ShardUnavailableError, match="shard 1 of 2") as told:
            await store.turns.append(ON_1[0], role="user", content="lost?")
        assert told.value.transient
        with pytest.raises(ShardUnavailableError, match="shard 1 of 2"):
            await store.turns.window(ON_1[0])
        await say(store, *ON_0)
        with pytest.raises(ShardUnavailableError):
            await store.sessions.list()
        receipt = await store.erase(user_id="nobody")
        assert receipt.databases_waiting == (1,)
        server.start()

        async def is_back() -> bool:
            try:
                await say(store, ON_1[0])
            except ShardUnavailableError:
                return False
            return True

        await until(is_back)
        found = await turns(store)
        assert found == dict.fromkeys(IDS, 1) | dict.fromkeys(ON_0, 2) | {ON_1[0]: 2}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_shard_is_moved_by_logical_replication(
    begin: Begin, tmp_path: Path
) -> None:
    """As the page says, while others write, with the new server killed on the way."""
    old, new = begin(), begin()
    with closing(PostgresDatabases(old.url)) as databases:
        urls = databases.create_several()
        databases.keep()
    with closing(PostgresDatabases(new.url)) as databases:
        moved = f"{databases.create_empty()}&schema=s1"
        databases.keep()
    archive_dir = tmp_path / "archive"
    async with open_store(StoreConfig(archive_dir=archive_dir, **urls)) as store:
        await say(store, *IDS)
        await store.run_retention(older_than_s=0)
        await store.restore(ON_1[0])
        await asyncio.to_thread(migrate, moved)
        await _begin_move(urls["shards"][1], moved, old)
        await say(store, *ON_1[:2])  # one live, one restored by it
        new.kill()
        await say(store, *ON_1[:2], "s-new-1", "s-new-2", "s-new-3")
        new.start()
    await _end_move(urls["shards"][1], moved)
    settings = {**urls, "shards": [urls["shards"][0], moved]}

    async with open_store(StoreConfig(archive_dir=archive_dir, **settings)) as store:
        await store.archive.adopt()
        found = await turns(store)
        assert found == (
            dict.fromkeys(IDS, 1)
            | dict.fromkeys(ON_1[:2], 3)
            | dict.fromkeys(("s-new-1", "s-new-2", "s-new-3"), 1)
        )
        more = [f"s-more-{number}" for number in range(20)]
        await say(store, *more, *IDS)
        counted = (await store.stats()).sessions
        assert counted == {"active": len(IDS) + 23}
        assert (await store.archive.verify(deep=True)).ok
        receipt = await store.erase(user_id="u-1")
        assert receipt.done_at is not None
        assert receipt.found["sessions"] == len(IDS) + 23


async def _begin_move(source: str, target: str, old: PostgresServer) -> None:
    """What the page tells to do before the writers stop."""
    async with connected(source) as there:
        await there.execute("CREATE PUBLICATION moved FOR TABLES IN SCHEMA s1")
        name = await there.fetchval("SELECT current_database()")
    async with connected(target) as here:
        tables = await here.fetchval(
            "SELECT string_agg(format('s1.%I', tablename), ', ') FROM pg_tables "
            "WHERE schemaname = 's1'"
        )
        await here.execute(f"TRUNCATE {tables}")
        await here.execute(
            "CREATE SUBSCRIPTION moved CONNECTION "
            f"'host={old.folder} user=postgres dbname={name}' PUBLICATION moved"
        )


async def _end_move(source: str, target: str) -> None:
    """And behind that."""
    async with connected(source) as there, connected(target) as here:
        last = await there.fetchval("SELECT pg_current_wal_lsn()::text")

        async def is_there() -> bool:
            copied = await here.fetchval(
                "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"
            )
            told = await there.fetchval(
                "SELECT confirmed_flush_lsn >= $1::text::pg_lsn "
                "FROM pg_replication_slots WHERE slot_name = 'moved'",
                last,
            )
            return bool(copied and told)

        await until(is_there)
        await here.execute("DROP SUBSCRIPTION moved")
        await here.execute(
            "SELECT setval(pg_get_serial_sequence('s1.session_counts', 'id'), "
            "(SELECT coalesce(max(id), 1) FROM s1.session_counts))"
        )
        await there.execute("DROP PUBLICATION moved")
