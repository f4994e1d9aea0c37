"""The link to a cache server: it is left alone while it is away, and said so once."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from convstore.cache.base import CacheEntry
from convstore.cache.redis import RedisCache
from convstore.cache.redis_link import RedisLink
from convstore.errors import ConfigError
from convstore.testing.cache_suite import KEY, OTHER, Ticks, entry, session
from convstore.vocabulary.clock import EPOCH
from tests.servers import RedisServer

HOUR = timedelta(hours=1)
ECHO = "return ARGV[1]"


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.event for r in caplog.records if hasattr(r, "event")]


async def test_an_episode_is_logged_once_and_its_end_too(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = Ticks()
    link = RedisLink(own_redis.url, timeout_s=60, retry_after_s=10, tick=ticks)
    before = await link.run(ECHO, [], ["1"])
    own_redis.kill()
    away = [await link.run(ECHO, [], ["2"]) for _ in range(3)]
    ticks.now += 11
    still = await link.run(ECHO, [], ["3"])
    own_redis.start()
    early = await link.run(ECHO, [], ["4"])
    ticks.now += 11
    back = await link.run(ECHO, [], ["5"])

    assert (before, back) == (b"1", b"5")
    assert [*away, still, early] == [None] * 5
    assert link.errors == 2
    assert link.available
    assert events(caplog) == ["cache_away", "cache_back"]
    await link.close()


async def test_a_server_that_hangs_is_given_up_in_time(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    link = RedisLink(own_redis.url, timeout_s=0.05, retry_after_s=60)
    own_redis.pause()

    answers = [await link.run(ECHO, [], ["1"]) for _ in range(50)]

    assert answers == [None] * 50
    assert link.errors == 1
    assert events(caplog) == ["cache_away"]
    own_redis.resume()
    await link.close()


async def test_a_restarted_server_is_used_without_a_gap(own_redis: RedisServer) -> None:
    """The pooled connection is one of its former life."""
    link = RedisLink(own_redis.url, timeout_s=60, retry_after_s=60)
    await link.run(ECHO, [], ["1"])
    own_redis.kill()
    own_redis.start()

    assert await link.run(ECHO, [], ["2"]) == b"2"
    await link.close()


async def test_foreign_bytes_are_a_miss(redis_url: str) -> None:
    import redis.asyncio

    link = RedisLink(redis_url, timeout_s=60, retry_after_s=1)
    cache = RedisCache(link, ttl_s=60, bound_s=1)
    await cache.put(KEY, entry(1), 0)
    async with redis.asyncio.from_url(redis_url) as client:
        (name,) = await client.keys("cs:*")
        for payload in (b"\x80\x04.", b"[]", b'[3,{"a":1}]', b"[1,null]", b"7"):
            await client.hset(name, mapping={"d": payload, "t": "of another"})
            assert await cache.get(KEY) is None
    await cache.close()


def cache_on(url: str, ticks: Ticks | None = None, **settings: Any) -> RedisCache:
    link = RedisLink(url, timeout_s=60, retry_after_s=1)
    bounds = {"ttl_s": 60, "bound_s": 10, **settings}
    return RedisCache(link, tick=ticks or Ticks(), **bounds)


async def test_what_is_known_here_is_not_sent_again(redis_url: str) -> None:
    import redis.asyncio

    caches = [cache_on(redis_url) for _ in range(2)]
    await caches[0].put(KEY, entry(2), 0)
    async with redis.asyncio.from_url(redis_url) as client:
        (name,) = await client.keys("cs:*")
        await client.hset(name, "d", b"damaged")

        found = await caches[0].get(KEY)

        assert found is not None
        assert found[0] == entry(2)
        assert await caches[1].get(KEY) is None
    for cache in caches:
        await cache.close()


async def test_what_another_process_has_learned_replaces_the_copy(
    redis_url: str,
) -> None:
    mine, other = cache_on(redis_url), cache_on(redis_url)
    bare = CacheEntry(session(2), None, False)
    restored = replace(bare, session=replace(session(2), updated_at=EPOCH + HOUR))
    for known in (bare, entry(2), restored, entry(3)):
        await mine.get(KEY)
        await other.put(KEY, known, 0)

        found = await mine.get(KEY)

        assert found is not None
        assert found[0] == known
    await mine.close()
    await other.close()


async def test_copies_are_there_unproven_while_the_server_is_away(
    own_redis: RedisServer,
) -> None:
    cache = cache_on(own_redis.url, max_copies=1)
    await cache.put(OTHER, entry(1, OTHER), 0)
    await cache.put(KEY, entry(1), 0)
    own_redis.kill()

    assert await cache.get(KEY) == (entry(1), -math.inf)
    assert await cache.get(OTHER) is None
    assert cache.size() == 1
    await cache.bury(KEY, 2)
    assert await cache.get(KEY) is None
    await cache.close()


async def test_no_id_is_part_of_a_key_or_shared_by_tenants(redis_url: str) -> None:
    import redis.asyncio

    link = RedisLink(redis_url, timeout_s=60, retry_after_s=1)
    cache = RedisCache(link, ttl_s=60, bound_s=1)
    odd = ("t:1", "s:*\n🙂")
    await cache.put(odd, CacheEntry(session(1, odd), None, False), 0)
    async with redis.asyncio.from_url(redis_url) as client:
        names = await client.keys("*")
        lives = await client.pttl(names[0])
        await client.pexpire(names[0], 20_000)
        await cache.get(odd)
        used = await client.pttl(names[0])

    assert 20_000 < used <= 60_000
    assert len(names) == 1
    assert names[0].startswith(b"cs:1:")
    assert b"t:1" not in names[0]
    assert b"\n" not in names[0]
    assert 0 < lives <= 60_000
    await cache.close()


async def test_what_was_seen_is_not_undone_by_a_server_that_lost_it(
    redis_url: str,
) -> None:
    """A server that comes back with an older copy takes no reader back."""
    ticks = Ticks()
    caches = [cache_on(redis_url, ticks) for _ in range(2)]
    await caches[0].put(KEY, entry(2), ticks.now)
    await caches[0].forget(KEY)
    await caches[1].put(KEY, entry(1), ticks.now)

    assert await caches[0].get(KEY) is None
    assert await caches[1].get(KEY) is not None
    for cache in caches:
        await cache.close()


async def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(ConfigError):
        RedisLink("https://example.org", timeout_s=1, retry_after_s=1)
