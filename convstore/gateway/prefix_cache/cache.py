"""Finds the upstream session that knows a conversation already.

A gateway looks up the conversation without its newest message, sends only that message
to the session found, and stores the whole list afterwards: the next request's prefix.
Scopes and messages are hashed by `prefix_key`; neither is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from convstore.gateway.prefix_cache.keys import INPUT_ROLES, prefix_key
from convstore.gateway.prefix_cache.memory import (
    MemoryPrefixes,
    PrefixBounds,
    PrefixEntry,
    PrefixStore,
    Removed,
)
from convstore.vocabulary.clock import Clock, SystemClock, to_micros
from convstore.vocabulary.errors import ConfigError, InvalidInputError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.records import DEFAULT_TENANT, Json

Expiry = Literal["sliding", "absolute"]
Messages = Sequence[Mapping[str, Json]]


@dataclass(frozen=True, slots=True)
class PrefixCacheStats:
    """Counts of this handle since it was made; `size` is of all who share the store.

    `hit_rate` is 0 before the first look-up. A prefix without inputs is no miss:
    there is nothing that could be found.
    """

    enabled: bool
    size: int
    max: int
    ttl_s: float
    hit_total: int
    miss_total: int
    hit_rate: float
    evict_total: int
    expire_total: int
    invalidate_total: int


class PrefixCache:
    """Look up and store prefixes; safe for many tasks and threads.

    Args:
        store: Where the entries are: in this process by default. `Store.prefix_cache`
            makes shared ones.
        max_entries: Most entries; 0 disables the cache.
        ttl_s: Seconds that an entry lives.
        expiry: `sliding` counts them from the last use, `absolute` from the store.
        secret: A server key for the hashes; the same in every worker.
    """

    def __init__(
        self,
        store: PrefixStore | None = None,
        *,
        max_entries: int = 256,
        ttl_s: float = 1_800.0,
        expiry: Expiry = "sliding",
        tenant_id: str = DEFAULT_TENANT,
        secret: bytes = b"",
        clock: Clock | None = None,
    ) -> None:
        bounds = prefix_bounds(max_entries, ttl_s, expiry)
        self._store = MemoryPrefixes(bounds) if store is None else store
        self._max = max_entries
        self._ttl_s = ttl_s
        self._tenant = tenant_id
        self._secret = secret
        self._clock = SystemClock() if clock is None else clock
        self._counts = dict.fromkeys(("hit", "miss", "evict", "expire", "drop"), 0)
        self._lock = threading.Lock()

    async def look_up(
        self, scope: str, messages: Messages, *, branch: str | None = None
    ) -> PrefixEntry | None:
        """Who knows `messages` without the last one; None if nobody is known to.

        Args:
            scope: Who asks, usually the API key; see `prefix_key`.
            messages: The whole list of the request.
            branch: Tells conversations apart that differ in the answers only.
        """
        if self._max == 0 or not _has_inputs(messages[:-1]):
            return None
        key = self._key(scope, messages[:-1], branch)
        entry, removed = await self._store.get(key, self._now())
        self._count(removed, hit=entry is not None, miss=entry is None)
        return entry

    async def store(
        self,
        scope: str,
        messages: Messages,
        upstream_session_id: str,
        instance: str | None = None,
        *,
        branch: str | None = None,
    ) -> str:
        """Remember that `upstream_session_id` now knows all of `messages`.

        Returns:
            The key, for `invalidate`.
        """
        entry = PrefixEntry(
            check_id("upstream_session_id", upstream_session_id),
            check_optional_id("instance", instance),
        )
        key = self._key(scope, messages, branch)
        if self._max and _has_inputs(messages):
            self._count(await self._store.put(key, entry, self._now()))
        return key

    async def invalidate(
        self,
        *,
        key: str | None = None,
        upstream_session_id: str | None = None,
        instance: str | None = None,
    ) -> int:
        """Drop the entries of a key, an upstream session or a pool member; how many.

        Raises:
            InvalidInputError: Not exactly one of them was given.
        """
        given = (key, upstream_session_id, instance)
        if sum(value is not None for value in given) != 1:
            raise InvalidInputError("key", "name a key, a session or an instance")
        if self._max == 0:
            return 0
        dropped = await self._store.remove(
            key=key, upstream_session_id=upstream_session_id, instance=instance
        )
        self._count(Removed(), drop=dropped)
        return dropped

    async def stats(self) -> PrefixCacheStats:
        """The counts so far."""
        size = await self._store.size(self._now()) if self._max else 0
        with self._lock:
            counts = dict(self._counts)
        asked = counts["hit"] + counts["miss"]
        return PrefixCacheStats(
            enabled=self._max > 0,
            size=size,
            max=self._max,
            ttl_s=self._ttl_s,
            hit_total=counts["hit"],
            miss_total=counts["miss"],
            hit_rate=counts["hit"] / asked if asked else 0.0,
            evict_total=counts["evict"],
            expire_total=counts["expire"],
            invalidate_total=counts["drop"],
        )

    async def close(self) -> None:
        """Let go of the entries of this process, and of connections that are not the
        store's own. Idempotent."""
        await self._store.close()

    def _key(self, scope: str, messages: Messages, branch: str | None) -> str:
        return prefix_key(
            scope, messages, tenant_id=self._tenant, branch=branch, secret=self._secret
        )

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _count(
        self, removed: Removed, *, hit: int = 0, miss: int = 0, drop: int = 0
    ) -> None:
        counts = self._counts
        with self._lock:
            counts["hit"] += hit
            counts["miss"] += miss
            counts["drop"] += drop
            counts["evict"] += removed.evicted
            counts["expire"] += removed.expired


def _has_inputs(messages: Messages) -> bool:
    """Whether anything would tell this conversation from others."""
    return any(message.get("role") in INPUT_ROLES for message in messages)


def prefix_bounds(max_entries: int, ttl_s: float, expiry: Expiry) -> PrefixBounds:
    """The bounds of a prefix store, checked.

    Raises:
        ConfigError: One of them cannot be meant.
    """
    if max_entries < 0:
        raise ConfigError("max_entries of a prefix cache: 0 disables, or more")
    if not ttl_s > 0:
        raise ConfigError("ttl_s of a prefix cache: more than 0 seconds")
    if expiry not in get_args(Expiry):
        raise ConfigError("expiry of a prefix cache: sliding or absolute")
    return PrefixBounds(max_entries, int(ttl_s * 1_000_000), expiry == "sliding")
