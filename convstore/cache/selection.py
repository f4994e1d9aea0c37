"""The caches that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable

from convstore.cache.base import SessionCache
from convstore.cache.memory import MemoryCache
from convstore.cache.redis import RedisCache
from convstore.cache.redis_link import RedisLink
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.policy import CachePolicy

_POSITIVE = (
    "staleness_s", "ttl_s", "cleanup_interval_s", "max_sessions", "max_turns",
    "timeout_s",
)  # fmt: skip


def session_cache(policy: CachePolicy, namespace: str) -> SessionCache | None:
    """The hot tier's cache, or None when it is switched off.

    `namespace` tells the database whose copies it keeps from any other.

    Raises:
        ConfigError: A setting cannot be meant.
        MissingExtraError: It needs the extra `redis`.
    """
    if policy.kind == "none":
        return None
    for name in _POSITIVE:
        if not getattr(policy, name) > 0:
            raise ConfigError(f"cache.{name} must be more than 0")
    return CACHES[policy.kind](policy, namespace)


def redis_link(policy: CachePolicy, namespace: str) -> RedisLink:
    """A connection to the server that the settings name.

    Raises:
        ConfigError: They name none.
    """
    if not policy.url:
        raise ConfigError("cache.url must name a Redis server: redis://HOST:PORT/0")
    return RedisLink(
        policy.url,
        timeout_s=policy.timeout_s,
        retry_after_s=policy.retry_after_s,
        namespace=namespace,
    )


def _memory(policy: CachePolicy, _: str) -> SessionCache:
    return MemoryCache(
        max_sessions=policy.max_sessions,
        ttl_s=policy.ttl_s,
        cleanup_interval_s=policy.cleanup_interval_s,
    )


def _redis(policy: CachePolicy, namespace: str) -> SessionCache:
    return RedisCache(
        redis_link(policy, namespace),
        ttl_s=policy.ttl_s,
        bound_s=policy.staleness_s,
        max_copies=policy.max_sessions,
        cleanup_interval_s=policy.cleanup_interval_s,
    )


CACHES: dict[str, Callable[[CachePolicy, str], SessionCache]] = {
    "memory": _memory,
    "redis": _redis,
}
"""What makes a cache of the settings, by its kind; `none` makes none."""
