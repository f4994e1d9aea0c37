"""The memory cache: order of use, expiry and threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from convstore.cache.base import SessionCache
from convstore.cache.memory import MemoryCache
from convstore.cache.redis import RedisCache
from convstore.cache.redis_link import RedisLink
from convstore.testing.cache_suite import Ticks, entry


def key(number: int) -> tuple[str, str]:
    return "t", f"s-{number}"


async def test_the_least_recently_used_session_goes_first() -> None:
    cache = MemoryCache(max_sessions=2, ttl_s=60, tick=Ticks())
    await cache.put(key(1), entry(1, key(1)), 0)
    await cache.put(key(2), entry(1, key(2)), 0)
    await cache.get(key(1))

    await cache.put(key(3), entry(1, key(3)), 0)

    assert await cache.get(key(2)) is None
    assert await cache.get(key(1)) is not None
    assert (cache.size(), cache.stats.evicted) == (2, 1)


async def test_idle_entries_expire_and_used_ones_live_on() -> None:
    ticks = Ticks()
    cache = MemoryCache(max_sessions=9, ttl_s=60, tick=ticks)
    await cache.put(key(1), entry(1, key(1)), 0)
    await cache.put(key(2), entry(1, key(2)), 0)
    ticks.now += 40
    await cache.get(key(1))
    ticks.now += 40

    await cache.put(key(3), entry(1, key(3)), 0)

    assert cache.size() == 2
    assert await cache.get(key(1)) is not None
    assert cache.stats.expired == 1
    ticks.now += 61
    assert await cache.get(key(1)) is None
    assert cache.stats.expired == 2


async def test_a_tombstone_is_no_entry() -> None:
    cache = MemoryCache(max_sessions=9, ttl_s=60, tick=Ticks())

    await cache.bury(key(1), 5)

    assert cache.size() == 0


def test_threads_may_share_it() -> None:
    cache = MemoryCache(max_sessions=8, ttl_s=60)

    def work(number: int) -> None:
        async def use() -> None:
            for step in range(200):
                place = key((number + step) % 16)
                await cache.put(place, entry(1, place), 0)
                await cache.get(place)
                await cache.forget(key(step % 16))

        asyncio.run(use())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert cache.size() <= 8


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_idle_entries_leave_a_process_where_nothing_happens(
    kind: str, request: pytest.FixtureRequest
) -> None:
    # Only the sweep goes by the machine's clock, and long before `ttl_s` has passed.
    ticks = Ticks()
    settings = {"ttl_s": 600.0, "cleanup_interval_s": 0.01}
    cache: SessionCache = MemoryCache(max_sessions=9, tick=ticks, **settings)
    if kind == "redis":
        link = RedisLink(
            request.getfixturevalue("redis_url"), timeout_s=60, retry_after_s=1
        )
        cache = RedisCache(link, bound_s=1, tick=ticks, **settings)
    for number in range(3):
        await cache.put(key(number), entry(1, key(number)), 0)

    ticks.now += 601
    async with asyncio.timeout(120):
        while cache.size():  # noqa: ASYNC110 - nothing tells of a timer
            await asyncio.sleep(0)

    assert (cache.stats.expired, cache.stats.evicted) == (3, 0)
    await cache.close()
