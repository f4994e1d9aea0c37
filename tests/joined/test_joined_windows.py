"""The hot tier beside an application's commit: nothing sooner, nothing older after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from convstore import Store
from tests.integration.conversations import contents, say


@pytest.fixture
async def warm(open_another: Callable[..., Awaitable[Store]]) -> Store:
    store = await open_another(cache={"kind": "memory", "staleness_s": 600})
    await say(store, "s-1", "one")
    assert await contents(store, "s-1", 5) == ["one"]
    return store


async def test_a_window_read_while_the_commit_is_on_its_way_is_not_served_after_it(
    warm: Store, engine: AsyncEngine
) -> None:
    seen: list[list[str]] = []

    @event.listens_for(engine.sync_engine, "commit")
    def before_commit(_: object) -> None:
        seen.append(await_only(contents(warm, "s-1", 5)))

    async with engine.begin() as connection:
        await say(warm.joined(connection), "s-1", "two")
        assert await contents(warm, "s-1", 5) == ["one"]

    assert seen == [["one"]]
    assert await contents(warm, "s-1", 5) == ["one", "two"]
    assert warm.cache_stats().misses <= 3  # type: ignore[union-attr]


async def test_a_window_that_was_being_read_before_the_commit_is_not_shared_after_it(
    warm: Store, engine: AsyncEngine
) -> None:
    await warm._scope.hot.cache.bury(("default", "s-1"), 10**6)  # type: ignore[union-attr]
    early: list[asyncio.Task[list[str]]] = []

    @event.listens_for(engine.sync_engine, "commit")
    def before_commit(_: object) -> None:
        early.append(asyncio.get_running_loop().create_task(contents(warm, "s-1", 5)))

    async with engine.begin() as connection:
        await say(warm.joined(connection), "s-1", "two")
    late = await contents(warm, "s-1", 5)

    assert late == ["one", "two"]
    assert await early[0] in (["one"], ["one", "two"])


async def test_after_a_rollback_the_window_is_what_it_was(
    warm: Store, engine: AsyncEngine
) -> None:
    async with engine.connect() as connection:
        await say(warm.joined(connection), "s-1", "two")
        await connection.rollback()
        assert await contents(warm, "s-1", 5) == ["one"]
        await say(warm.joined(connection), "s-1", "three")
        # Closed without a word, which rolls back.

    assert await contents(warm, "s-1", 5) == ["one"]
    await say(warm, "s-1", "four")
    assert await contents(warm, "s-1", 5) == ["one", "four"]


async def test_every_window_is_a_prefix_of_the_next_and_holds_what_was_committed(
    warm: Store, engine: AsyncEngine
) -> None:
    done = asyncio.Event()

    async def host(name: str) -> None:
        for number in range(6):
            async with engine.begin() as connection:
                await say(warm.joined(connection), "s-1", f"{name}-{number}")
            assert f"{name}-{number}" in await contents(warm, "s-1")

    async def look() -> None:
        before: list[str] = []
        while not done.is_set():
            now = await contents(warm, "s-1")
            assert now[: len(before)] == before
            before = now
            await asyncio.sleep(0)  # a warm window waits for nothing

    looking = asyncio.create_task(look())
    await asyncio.gather(host("a"), host("b"))
    done.set()
    await looking

    assert len(await contents(warm, "s-1")) == 13


async def test_sessions_that_nobody_reads_are_let_go_of(
    warm: Store, engine: AsyncEngine
) -> None:
    tier = warm._scope.hot
    assert tier is not None
    tier._sweep_at = 4
    for number in range(9):
        async with engine.begin() as connection:
            await say(warm.joined(connection), f"s-{number}", "x")
        tier._sweep_at = 4

    assert len(tier._open) <= 5
