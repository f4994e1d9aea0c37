"""The prefix stores that a deployment can choose from."""

from __future__ import annotations

from typing import Literal

from convstore.cache.redis_link import RedisLink
from convstore.cache.selection import redis_link
from convstore.db.engine import Backend
from convstore.gateway.prefix_cache.durable import StoredPrefixes, prefix_commits
from convstore.gateway.prefix_cache.memory import (
    MemoryPrefixes,
    PrefixBounds,
    PrefixStore,
)
from convstore.gateway.prefix_cache.redis import RedisPrefixes
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.policy import CachePolicy

PrefixKind = Literal["memory", "redis", "database"]


class PrefixStores:
    """Makes the prefix stores of one convstore, and commits for those in its database.

    Those in this process, on the server of `policy`, or in the database.
    """

    def __init__(
        self, backend: Backend, policy: CachePolicy, limits: Limits, namespace: str
    ) -> None:
        self._backend = backend
        self._policy, self._namespace = policy, namespace
        self._commits = prefix_commits(backend, limits)
        # One for all handles, however many a backend makes.
        self._link: RedisLink | None = None

    def of(self, kind: PrefixKind, bounds: PrefixBounds, tenant_id: str) -> PrefixStore:
        """One tenant's store.

        Raises:
            ConfigError: No such kind, or no server is named.
        """
        if kind == "memory":
            return MemoryPrefixes(bounds)
        if kind == "redis":
            if self._link is None:
                self._link = redis_link(self._policy, self._namespace)
            return RedisPrefixes(self._link, bounds, tenant_id, shared=True)
        if kind == "database":
            return StoredPrefixes(self._backend, self._commits, bounds, tenant_id)
        raise ConfigError("a prefix cache is of kind memory, redis or database")

    async def close(self) -> None:
        """Finish what is queued and let go of the server. Idempotent."""
        await self._commits.close()
        if self._link is not None:
            await self._link.close()
