"""The prefix stores that a deployment can choose from."""

from __future__ import annotations

from typing import Literal

from convstore.cache.choosing import redis_link
from convstore.cache.prefixes import MemoryPrefixes, PrefixBounds, PrefixStore
from convstore.cache.redis_prefixes import RedisPrefixes
from convstore.db.engine import Backend
from convstore.errors import ConfigError
from convstore.gateway.stored_prefixes import StoredPrefixes
from convstore.group_commit import GroupCommit
from convstore.policy import CachePolicy

PrefixKind = Literal["memory", "redis", "database"]


def prefix_store(
    kind: PrefixKind,
    bounds: PrefixBounds,
    backend: Backend,
    commits: GroupCommit,
    policy: CachePolicy,
    tenant_id: str,
) -> PrefixStore:
    """Entries in this process, on the server of `policy`, or in the database, where
    `commits` (of `prefix_commits`) writes them.

    Raises:
        ConfigError: No such kind, or no server is named.
    """
    if kind == "memory":
        return MemoryPrefixes(bounds)
    if kind == "redis":
        return RedisPrefixes(redis_link(policy), bounds, tenant_id)
    if kind == "database":
        return StoredPrefixes(backend, commits, bounds, tenant_id)
    raise ConfigError("a prefix cache is of kind memory, redis or database")
