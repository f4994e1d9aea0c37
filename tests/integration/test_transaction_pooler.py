"""PostgreSQL behind a pooler that gives each transaction another server connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from convstore import ConfigError, DatabaseBusyError, Store, StoreConfig, open_store
from convstore.db import migrate
from tests.databases import PostgresDatabases
from tests.integration.archives import ids
from tests.integration.conversations import contents, say
from tests.transaction_pooler import transaction_pooler


@pytest.fixture
async def pooled_url(postgres_url: str) -> AsyncIterator[str]:
    async with transaction_pooler(postgres_url) as url:
        yield url


@pytest.fixture
async def pooled(pooled_url: str, archive_dir: Path) -> AsyncIterator[Store]:
    config = StoreConfig(url=pooled_url, pooler="transaction", archive_dir=archive_dir)
    async with open_store(config) as store:
        yield store
        assert store._parts.backend.checked_out() == 0


async def test_a_session_lives_its_whole_life_behind_a_pooler(pooled: Store) -> None:
    store = pooled
    for session_id in ids("s", 4):
        await say(store, session_id, "q", "a")
        await store.graph_states.put(session_id, {"nodes": [1]})
        await store.interactions.record(session_id, action="feedback", feedback="up")
    async with store.transaction() as tx:
        await tx.turns.append("s-1", role="user", content="more")
    before = [document async for document in store.documents()]

    report = await store.run_retention(older_than_s=0)
    archived = [document async for document in store.documents()]
    for session_id in ids("s", 4):
        await store.restore(session_id)

    assert (report.archived, report.purged, report.problems) == (4, 4, ())
    assert [d.turns for d in archived] == [d.turns for d in before]
    assert await contents(store, "s-1") == ["q", "a", "more"]
    assert (await store.erase(session_id="s-2")).session_ids == ("s-2",)


async def test_lone_appends_and_reads_need_no_second_try(
    pooled: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(session_id: str) -> None:
        await say(pooled, session_id)
        for number in range(10):
            await pooled.turns.append(
                session_id, role="user", content=str(number), external_id=str(number)
            )
            window = await pooled.turns.window(session_id)
            assert len(window) == number + 1

    await asyncio.gather(*map(talk, ids("s", 8)))

    assert [r.getMessage() for r in caplog.records if r.name[:9] == "convstore"] == []


@pytest.mark.slow
async def test_a_lock_held_by_a_stranger_gives_busy_after_the_time_set(
    pooled: Store, pooled_url: str, postgres_url: str
) -> None:
    import asyncpg

    await say(pooled, "s-1", "before")
    stranger = await asyncpg.connect(postgres_url)
    limits: Any = {"busy_timeout_s": 3}
    config = StoreConfig(url=pooled_url, pooler="transaction", limits=limits)
    async with open_store(config) as impatient:
        await _meet_locks(impatient, stranger)
    await stranger.close()

    await say(pooled, "s-1", "after")
    assert await contents(pooled, "s-1") == ["before", "after"]


async def _meet_locks(store: Store, stranger: Any) -> None:
    for lock in ("SELECT 1 FROM sessions FOR UPDATE", "LOCK TABLE turns"):
        async with stranger.transaction():
            await stranger.execute(lock)

            with pytest.raises(DatabaseBusyError):
                await store.turns.append("s-1", role="user", content="late")
    async with stranger.transaction():
        await stranger.execute("LOCK TABLE sessions, turns")
        for read in (store.turns.window("s-1"), store.sessions.list()):
            with pytest.raises(DatabaseBusyError):
                await read


async def test_a_pooler_that_nobody_told_of_is_named_with_its_setting(
    pooled_url: str,
) -> None:
    with pytest.raises(ConfigError, match="CONVSTORE_POOLER=transaction"):
        async with open_store(pooled_url):
            pass


async def test_the_schema_is_made_and_compared_through_a_pooler(
    postgres_databases: PostgresDatabases,
) -> None:
    url = postgres_databases.create_empty()
    async with transaction_pooler(url) as pooled_url:
        for verb in ("upgrade", "current", "differences"):
            call = getattr(migrate, verb)
            await asyncio.to_thread(call, pooled_url, pooler="transaction")

        done = await asyncio.to_thread(
            migrate.differences, pooled_url, pooler="transaction"
        )
    postgres_databases.drop(url)

    assert done == []
