"""Prefixes in the database: the suite, and what only a database shows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from convstore import ConfigError, InvalidInputError, StoreConfig, open_store
from convstore.gateway import PrefixCache
from convstore.store import Store
from convstore.testing.cache_suite import TTL_S, PrefixCacheSuite, talk
from convstore.vocabulary.clock import ManualClock


class TestPrefixesInTheDatabase(PrefixCacheSuite):
    @pytest.fixture(autouse=True)
    async def _store(self, open_another: Callable[..., Awaitable[Store]]) -> None:
        self.opened = await open_another()

    def make_cache(
        self,
        clock: ManualClock,
        *,
        max_entries: int = 256,
        ttl_s: float = TTL_S,
        expiry: Any = "sliding",
        tenant_id: str = "default",
    ) -> PrefixCache:
        store = self.opened.for_tenant(tenant_id)
        store._scope = _at(store, clock)
        return store.prefix_cache(max_entries=max_entries, ttl_s=ttl_s, expiry=expiry)


def _at(store: Store, clock: ManualClock) -> Any:
    from dataclasses import replace

    return replace(store._scope, clock=clock)


async def test_entries_survive_a_restart(
    database_url: str, tmp_path: Any, clock: ManualClock
) -> None:
    @asynccontextmanager
    async def opened() -> Any:
        config = StoreConfig(url=database_url, archive_dir=tmp_path / "archive")
        async with open_store(config, clock=clock) as store:
            yield store.prefix_cache()

    async with opened() as cache:
        await cache.store("key", talk("a"), "up-1", "pool-a")

    async with opened() as cache:
        found = await cache.look_up("key", talk("a", "b"))

    assert found is not None
    assert found.upstream_session_id == "up-1"


async def test_many_workers_share_entries_and_keep_the_bound(
    open_another: Callable[..., Awaitable[Store]],
) -> None:
    caches = [(await open_another()).prefix_cache(max_entries=10) for _ in range(3)]

    async def work(cache: PrefixCache, number: int) -> None:
        await cache.store("key", talk(f"{number % 20}"), f"up-{number % 20}", "pool")
        await cache.look_up("key", talk(f"{(number + 1) % 20}", "?"))

    await asyncio.gather(*(work(caches[n % 3], n) for n in range(60)))
    await caches[0].store("key", talk("last"), "up-last")

    stats = [await cache.stats() for cache in caches]
    # Two workers that are over the bound at once may each drop an entry.
    assert all(0 < s.size <= 10 for s in stats)
    assert sum(s.hit_total + s.miss_total for s in stats) == 60
    for cache in caches:
        assert await cache.look_up("key", talk("last", "?")) is not None


async def test_nothing_said_and_no_scope_is_in_the_database(
    store: Store, database_url: str
) -> None:
    from sqlalchemy import select

    from convstore.db.prefixes import models

    cache = store.prefix_cache()
    await cache.store("sk-secret-key", talk("private words"), "up-1")

    rows = await store._parts.backend.read(
        lambda c: [tuple(row) for row in c.execute(select(models.prefix_entries))]
    )
    assert len(rows) == 1
    assert "sk-secret" not in repr(rows)
    assert "private" not in repr(rows)


@pytest.mark.parametrize("server", ["redis_url", "valkey_url"])
async def test_nothing_said_and_no_scope_is_on_the_server(
    open_another: Callable[..., Awaitable[Store]],
    server: str,
    request: pytest.FixtureRequest,
) -> None:
    import redis.asyncio

    url = request.getfixturevalue(server)
    cache = (await open_another(cache={"url": url})).prefix_cache("redis")
    await cache.store("sk-secret-key", talk("private words"), "up-1", "pool-a")

    held: list[bytes] = []
    async with redis.asyncio.from_url(url) as client:
        for name in await client.keys("*"):
            held += [name, await client.dump(name)]
    await cache.close()

    text = b"".join(held)
    assert b"up-1" in text
    assert b"secret" not in text
    assert b"private" not in text


async def test_settings_that_cannot_be_meant_are_refused(store: Store) -> None:
    kinds: list[dict[str, Any]] = [
        {"kind": "disk"},
        {"kind": "redis"},
        {"max_entries": -1},
        {"ttl_s": 0},
        {"expiry": "whenever"},
    ]

    for settings in kinds:
        with pytest.raises(ConfigError):
            store.prefix_cache(**settings)


async def test_an_invalidation_names_one_thing(store: Store) -> None:
    cache = store.prefix_cache("memory")

    with pytest.raises(InvalidInputError):
        await cache.invalidate()
    with pytest.raises(InvalidInputError):
        await cache.invalidate(key="k", instance="i")


async def test_redis_that_is_away_is_nothing_found(
    open_another: Callable[..., Awaitable[Store]], caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"url": "redis://127.0.0.1:1/0", "timeout_s": 2}
    cache = (await open_another(cache=settings)).prefix_cache("redis")

    key = await cache.store("key", talk("a"), "up-1")
    found = await cache.look_up("key", talk("a", "?"))
    dropped = await cache.invalidate(key=key)

    assert (found, dropped) == (None, 0)
    assert [r.event for r in caplog.records if hasattr(r, "event")] == ["cache_away"]
    await cache.close()
