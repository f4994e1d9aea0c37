"""Our caches pass the suites that third parties are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from convstore.cache.base import SessionCache
from convstore.cache.memory import MemoryCache
from convstore.cache.redis import RedisCache
from convstore.cache.redis_link import RedisLink
from convstore.gateway.prefix_cache.cache import PrefixCache, prefix_bounds
from convstore.gateway.prefix_cache.memory import MemoryPrefixes, PrefixStore
from convstore.gateway.prefix_cache.redis import RedisPrefixes
from convstore.testing.cache_suite import TTL_S, PrefixCacheSuite, SessionCacheSuite
from convstore.vocabulary.clock import ManualClock

SERVERS = ["redis_url", "valkey_url"]


def link(url: str) -> RedisLink:
    return RedisLink(url, timeout_s=60, retry_after_s=1)


class TestMemoryCache(SessionCacheSuite):
    async def make_cache(self, tick: Callable[[], float]) -> SessionCache:
        return MemoryCache(max_sessions=10, ttl_s=TTL_S, tick=tick)


class TestRedisCache(SessionCacheSuite):
    @pytest.fixture(autouse=True, params=SERVERS)
    def _server(self, request: pytest.FixtureRequest) -> None:
        self.url = request.getfixturevalue(request.param)

    async def make_cache(self, tick: Callable[[], float]) -> SessionCache:
        return RedisCache(link(self.url), ttl_s=TTL_S, bound_s=60, tick=tick)


class _OfOneTenant(PrefixCacheSuite):
    """Makes the store of entries for each handle."""

    def prefixes(self, tenant_id: str, *bounds: Any) -> PrefixStore:
        raise NotImplementedError

    def make_cache(
        self,
        clock: ManualClock,
        *,
        max_entries: int = 256,
        ttl_s: float = TTL_S,
        expiry: Any = "sliding",
        tenant_id: str = "default",
    ) -> PrefixCache:
        return PrefixCache(
            self.prefixes(tenant_id, max_entries, ttl_s, expiry),
            max_entries=max_entries,
            ttl_s=ttl_s,
            expiry=expiry,
            tenant_id=tenant_id,
            clock=clock,
        )


class TestMemoryPrefixes(_OfOneTenant):
    def prefixes(self, tenant_id: str, *bounds: Any) -> PrefixStore:
        return MemoryPrefixes(prefix_bounds(*bounds))


class TestRedisPrefixes(_OfOneTenant):
    @pytest.fixture(autouse=True, params=SERVERS)
    def _server(self, request: pytest.FixtureRequest) -> None:
        self.url = request.getfixturevalue(request.param)

    def prefixes(self, tenant_id: str, *bounds: Any) -> PrefixStore:
        return RedisPrefixes(link(self.url), prefix_bounds(*bounds), tenant_id)
