"""The hot tier: warm reads equal cold ones, and none is older than the bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from convstore import (
    ConfigError,
    SessionErasedError,
    SessionNotFoundError,
    Store,
    StoreConfig,
    VersionConflictError,
    open_store,
)
from convstore.cache.base import CacheEntry, Key
from convstore.policy import CachePolicy
from convstore.repositories.hot_tier import HotTier
from convstore.testing.cache_suite import Ticks
from convstore.vocabulary.reports import TierStats
from tests.integration.conversations import contents, say
from tests.servers import RedisServer

Open = Callable[..., Awaitable[Store]]


@pytest.fixture(params=["memory", "redis"])
def tiered(request: pytest.FixtureRequest, open_another: Open) -> Open:
    """Opens stores with a hot tier; those with Redis share it."""
    settings: dict[str, Any] = {"kind": request.param, "timeout_s": 60}
    if request.param == "redis":
        settings["url"] = request.getfixturevalue("redis_url")

    async def open_one(**more: Any) -> Store:
        return await open_another(cache={**settings, **more})

    return open_one


def patient(server: RedisServer) -> dict[str, Any]:
    """Away is a server that is away, not one that a busy machine makes slow."""
    return {"kind": "redis", "url": server.url, "timeout_s": 60}


def tier(store: Store) -> HotTier:
    assert store._scope.hot is not None
    return store._scope.hot


def _stats(store: Store) -> TierStats:
    stats = store.cache_stats()
    assert stats is not None
    return stats


async def same_as_cold(warm: Store, cold: Store, session_id: str) -> None:
    for limit in (1, 3, 20, 500):
        assert await warm.turns.window(session_id, limit=limit) == (
            await cold.turns.window(session_id, limit=limit)
        )
    assert await warm.sessions.get(session_id) == await cold.sessions.get(session_id)


async def test_the_tier_is_off_unless_asked_for(store: Store) -> None:
    assert store._scope.hot is None


async def test_warm_reads_equal_cold_ones_through_a_session_s_life(
    tiered: Open, open_another: Open
) -> None:
    warm, cold = await tiered(), await open_another()
    await say(warm, "s-1", "a", "b", "c")
    await same_as_cold(warm, cold, "s-1")

    await warm.turns.append("s-1", role="user", content="d", slots={"k": "v"})
    await same_as_cold(warm, cold, "s-1")
    await warm.turns.append("s-1", role="assistant", content="b2", parent_seq=1)
    await same_as_cold(warm, cold, "s-1")
    await warm.turns.switch("s-1", 4)
    await same_as_cold(warm, cold, "s-1")
    await warm.sessions.update("s-1", metadata={"a": [1]}, title="named")
    await warm.interactions.record("s-1", action="feedback", feedback="correct")
    await warm.graph_states.put("s-1", {"nodes": []})
    await warm.holds.place("s-1", reason="case")
    await same_as_cold(warm, cold, "s-1")


async def test_repeated_reads_ask_the_database_for_nothing(tiered: Open) -> None:
    store = await tiered(staleness_s=600)
    await say(store, "s-1", "a", "b")
    await store.turns.window("s-1", limit=2)
    before = replace(tier(store).stats)
    reads = []
    backend = store._parts.backend
    original = backend.read

    async def counted(work: Any, *, snapshot: bool = False) -> Any:
        reads.append(work)
        return await original(work, snapshot=snapshot)

    backend.read = counted  # type: ignore[method-assign]
    for _ in range(5):
        await store.turns.window("s-1", limit=2)
        await store.sessions.get("s-1")

    assert reads == []
    assert tier(store).stats.hits == before.hits + 10


async def test_an_append_keeps_the_window_warm(tiered: Open) -> None:
    store = await tiered(staleness_s=600)
    await say(store, "s-1", "a", "b")
    await store.turns.window("s-1", limit=2)
    misses = tier(store).stats.misses

    for number in range(5):
        await store.turns.append("s-1", role="user", content=f"{number}")
        assert (await contents(store, "s-1", 2))[-1] == f"{number}"

    assert tier(store).stats.misses == misses


async def test_what_another_process_wrote_is_seen_within_the_bound(
    open_another: Open,
) -> None:
    reader = await open_another(cache={"kind": "memory", "staleness_s": 10})
    writer = await open_another()
    ticks = Ticks()
    _use(reader, ticks)
    await say(writer, "s-1", "a")
    await contents(reader, "s-1")
    await writer.turns.append("s-1", role="assistant", content="b")

    ticks.now += 9.5
    within = await contents(reader, "s-1")
    ticks.now += 1
    after = await contents(reader, "s-1")

    assert (within, after) == (["a"], ["a", "b"])
    assert tier(reader).stats.validations == 1


async def test_while_redis_is_away_only_versions_are_asked_for(
    open_another: Open, own_redis: RedisServer
) -> None:
    store = await open_another(cache=patient(own_redis))
    other = await open_another()
    await store.sessions.get_or_create("s-1")
    await say(store, "s-1", "one", "two")
    own_redis.kill()

    assert await contents(store, "s-1") == ["one", "two"]
    assert _stats(store).validations == 1
    misses = _stats(store).misses
    await say(other, "s-1", "three")
    assert await contents(store, "s-1") == ["one", "two", "three"]
    assert _stats(store).misses == misses + 1


async def test_what_the_tier_did_is_told(tiered: Open) -> None:
    store = await tiered(staleness_s=600, max_sessions=2)
    for number in range(3):
        await store.sessions.get_or_create(f"s-{number}")
    for number in (2, 2, 0):
        await store.turns.window(f"s-{number}")

    stats = _stats(store)

    assert (stats.active, stats.evicted, stats.expired) == (2, 2, 0)
    assert (stats.validations, stats.available, stats.errors) == (0, True, 0)
    assert stats.hits + stats.misses == 3
    assert stats.hits >= 2
    assert sum((await store.stats()).sessions.values()) == 3


async def test_a_server_that_is_away_is_told(
    open_another: Open, own_redis: RedisServer
) -> None:
    store = await open_another(cache=patient(own_redis))
    await say(store, "s-1", "a")
    before = _stats(store)
    own_redis.kill()

    await contents(store, "s-1")

    after = _stats(store)
    assert (before.available, before.errors) == (True, 0)
    assert (after.available, after.errors) == (False, 1)


async def test_nothing_is_warm_before_it_is_in_the_database(
    tiered: Open, open_another: Open
) -> None:
    store, cold = await tiered(staleness_s=600), await open_another()
    put, kept = tier(store).cache.put, []

    async def looking(key: Key, entry: CacheEntry, proven_at: float) -> None:
        stored = await cold.sessions.get(key[1])
        kept.append((entry.version, stored.version))
        await put(key, entry, proven_at)

    tier(store).cache.put = looking  # type: ignore[method-assign]
    await say(store, "s-1", "a", "b")
    await store.sessions.update("s-1", title="x")
    await store.turns.window("s-1")

    assert len(kept) >= 3
    assert all(warm == stored for warm, stored in kept)


async def test_a_bound_of_nothing_compares_every_read(
    tiered: Open, open_another: Open
) -> None:
    reader, writer = await tiered(staleness_s=1e-9), await open_another()
    await say(writer, "s-1", "a")

    for number in range(5):
        await writer.turns.append("s-1", role="user", content=f"{number}")
        assert (await contents(reader, "s-1", 5))[-1] == f"{number}"


async def test_an_unchanged_session_is_compared_and_stays_warm(tiered: Open) -> None:
    store = await tiered(staleness_s=1e-9)
    await say(store, "s-1", "a")
    await contents(store, "s-1")
    before = replace(tier(store).stats)

    for _ in range(3):
        assert await contents(store, "s-1") == ["a"]

    assert tier(store).stats.misses == before.misses
    assert tier(store).stats.validations == before.validations + 3


async def test_a_session_that_is_not_there_is_remembered_until_it_is_made(
    tiered: Open,
) -> None:
    store = await tiered(staleness_s=600)
    for _ in range(3):
        assert await store.sessions.find("s-1") is None
    misses = tier(store).stats.misses
    await store.sessions.get_or_create("s-1")

    assert misses == 1
    assert await store.sessions.find("s-1") is not None
    assert await store.turns.window("s-1") == []


async def test_of_many_readers_of_a_cold_session_one_asks_the_database(
    tiered: Open,
) -> None:
    store = await tiered(staleness_s=600)
    await say(store, "s-1", "a", "b")
    await tier(store).cache.forget((store.tenant, "s-1"))
    loads = []
    original = store._parts.backend.read

    async def counted(work: Any, *, snapshot: bool = False) -> Any:
        loads.append(work)
        return await original(work, snapshot=snapshot)

    store._parts.backend.read = counted  # type: ignore[method-assign]
    found = await asyncio.gather(
        *(store.turns.window("s-1", limit=2) for _ in range(50))
    )

    assert len(loads) == 1
    assert all(window == found[0] for window in found)


async def test_a_transaction_sees_its_own_writes_and_leaves_nothing_old(
    tiered: Open, open_another: Open
) -> None:
    warm, cold = await tiered(staleness_s=600), await open_another()
    await say(warm, "s-1", "a")
    await contents(warm, "s-1")

    async with warm.transaction() as tx:
        await tx.turns.append("s-1", role="assistant", content="b")
        inside = await contents(tx, "s-1")
        outside = await contents(warm, "s-1")
    after = await contents(warm, "s-1")

    assert (inside, outside, after) == (["a", "b"], ["a"], ["a", "b"])
    await same_as_cold(warm, cold, "s-1")


async def test_a_transaction_that_failed_leaves_no_trace(tiered: Open) -> None:
    store = await tiered(staleness_s=600)
    await say(store, "s-1", "a")

    async def fail() -> None:
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="assistant", content="b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert await contents(store, "s-1") == ["a"]


async def test_a_lost_race_shows_the_winner(tiered: Open, open_another: Open) -> None:
    """Whoever reads again after a conflict must not be given the same old version."""
    store, other = await tiered(staleness_s=600), await open_another()
    await store.sessions.get_or_create("s-1")
    old = await store.sessions.get("s-1")
    await other.sessions.update("s-1", title="theirs")

    with pytest.raises(VersionConflictError):
        await store.sessions.update("s-1", title="x", expected_version=old.version)

    assert (await store.sessions.get("s-1")).title == "theirs"


async def test_a_repeated_append_shows_what_the_first_one_stored(
    tiered: Open, open_another: Open
) -> None:
    store, other = await tiered(staleness_s=600), await open_another()
    await store.sessions.get_or_create("s-1")
    await contents(store, "s-1")
    await other.turns.append("s-1", role="user", content="a", external_id="e")

    await store.turns.append("s-1", role="user", content="a", external_id="e")

    assert await contents(store, "s-1") == ["a"]


async def test_a_purged_session_is_not_served_and_comes_back_restored(
    tiered: Open, open_another: Open
) -> None:
    warm, cold = await tiered(staleness_s=600), await open_another()
    await say(warm, "s-1", "a", "b")
    await same_as_cold(warm, cold, "s-1")

    await warm.run_retention(older_than_s=0)
    archived = await warm.sessions.get("s-1")
    await warm.restore("s-1")

    assert archived.state == "archived"
    assert await contents(warm, "s-1") == ["a", "b"]
    await same_as_cold(warm, cold, "s-1")


async def test_an_erased_session_is_not_served(tiered: Open) -> None:
    store = await tiered(staleness_s=600)
    await say(store, "s-1", "a")
    await contents(store, "s-1")

    await store.erase(session_id="s-1")

    with pytest.raises(SessionErasedError):
        await store.turns.window("s-1")
    with pytest.raises(SessionErasedError):
        await store.sessions.get("s-1")


async def test_a_deleted_session_is_not_served(tiered: Open) -> None:
    store = await tiered(staleness_s=600)
    for session_id, archive in (("s-1", True), ("s-2", False)):
        await say(store, session_id, "a")
        await contents(store, session_id)

        await store.sessions.delete(session_id, archive=archive)

        assert await store.sessions.find(session_id) is None


async def test_tenants_and_users_stay_apart_when_warm(tiered: Open) -> None:
    store = await tiered(staleness_s=600)
    mine = store.conversation("s-1", user_id="u-1")
    await mine.append(role="user", content="mine")
    await mine.window()

    with pytest.raises(SessionNotFoundError):
        await store.conversation("s-1", user_id="u-2").window()
    with pytest.raises(SessionNotFoundError):
        await store.for_tenant("other").turns.window("s-1")


async def test_a_caller_cannot_change_what_others_are_given(tiered: Open) -> None:
    store = await tiered(staleness_s=600)
    await store.sessions.get_or_create("s-1", metadata={"k": {"n": 1}})
    await store.turns.append("s-1", role="user", content="a", metadata={"k": [1]})
    first = (await store.turns.window("s-1"))[0]
    changed = await store.sessions.get("s-1")

    for record in (first, changed):
        try:
            record.metadata["k"] = "changed"
        except TypeError:
            continue  # shared, and read-only

    assert (await store.turns.window("s-1"))[0].metadata == {"k": [1]}
    assert (await store.sessions.get("s-1")).metadata == {"k": {"n": 1}}


async def test_long_windows_and_long_sessions_are_whole(
    tiered: Open, open_another: Open
) -> None:
    warm, cold = await tiered(max_turns=10), await open_another()
    await say(warm, "s-1", *(f"{n}" for n in range(35)))
    await warm.turns.append("s-1", role="user", content="last")

    for limit in (5, 10, 11, 34, 36, 100):
        assert await contents(warm, "s-1", limit) == await contents(cold, "s-1", limit)


@pytest.mark.parametrize(
    "settings",
    [{"kind": "redis"}, {"kind": "memory", "staleness_s": 0}, {"max_turns": 0}],
)
async def test_settings_that_cannot_be_meant_are_refused(
    settings: dict[str, Any], sqlite_url: str
) -> None:
    config = StoreConfig(url=sqlite_url, cache={"kind": "memory", **settings})

    with pytest.raises(ConfigError):
        async with open_store(config):
            pass


def _use(store: Store, ticks: Ticks) -> None:
    hot = tier(store)
    hot._tick = ticks
    hot.cache._tick = ticks  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["redis", "none"])
async def test_two_databases_share_a_server_and_no_entry(
    database_url: str,
    new_database: Callable[[str], str],
    redis_url: str,
    tmp_path: Path,
    kind: Literal["redis", "none"],
) -> None:
    cache = CachePolicy(kind=kind, url=redis_url, staleness_s=60)
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(
                open_store(
                    StoreConfig(url=url, archive_dir=str(tmp_path / name), cache=cache)
                )
            )
            for name, url in (
                ("one", database_url),
                ("other", new_database(_kind_of(database_url))),
            )
        ]
        for place, store in zip(("here", "there"), stores, strict=True):
            await say(store, "s-1", place)
            await store.turns.window("s-1")
            prefixes = store.prefix_cache("redis")
            await prefixes.store("key", MESSAGES, place)

        said = [await contents(store, "s-1") for store in stores]
        found = [
            await store.prefix_cache("redis").look_up("key", [*MESSAGES, NEXT])
            for store in stores
        ]

    assert said == [["here"], ["there"]]
    assert [entry and entry.upstream_session_id for entry in found] == ["here", "there"]


MESSAGES = [{"role": "user", "content": "Welke archieven?"}]
NEXT = {"role": "user", "content": "En in Hengelo?"}


def _kind_of(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgres"
