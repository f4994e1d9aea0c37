"""Warm sessions in this process: least recently used goes first, idle ones expire.

What was people's words leaves an idle process at most `ttl_s` and `cleanup_interval_s`
after its last use.

Our own few lines on an OrderedDict, not cachetools: its TTLCache counts from the last
write, and ours from the last use, so that the order of use is the order of expiry and
one step from the front finds everything that is due.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from convstore.cache.base import CacheEntry, CacheStats, Key
from convstore.cache.sweep import Sweeper


class _Kept:
    __slots__ = ("entry", "proven_at", "used_at", "version")

    def __init__(
        self, entry: CacheEntry | None, version: int, proven_at: float, used_at: float
    ) -> None:
        self.entry = entry  # None is a tombstone
        self.version = version
        self.proven_at = proven_at
        self.used_at = used_at


class MemoryCache:
    """Entries of any number of threads and tasks; of one process."""

    def __init__(
        self,
        *,
        max_sessions: int,
        ttl_s: float,
        cleanup_interval_s: float = 300.0,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = CacheStats()
        self._max_sessions = max_sessions
        self._ttl_s = ttl_s
        self._tick = tick
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._sweeper = Sweeper(cleanup_interval_s, self._sweep)

    async def get(self, key: Key) -> tuple[CacheEntry, float] | None:
        now = self._tick()
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.entry is None:
                return None
            if kept.used_at + self._ttl_s <= now:
                del self._kept[key]
                self.stats.expired += 1
                return None
            kept.used_at = now
            self._kept.move_to_end(key)
            return kept.entry, kept.proven_at

    async def put(self, key: Key, entry: CacheEntry, proven_at: float) -> None:
        self._keep(key, entry, entry.version, proven_at)

    async def confirm(self, key: Key, version: int, proven_at: float) -> None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.version == version:
                kept.proven_at = max(kept.proven_at, proven_at)

    async def bury(self, key: Key, version: int) -> None:
        self._keep(key, None, version, 0.0)

    async def forget(self, key: Key) -> None:
        with self._lock:
            self._kept.pop(key, None)

    def size(self) -> int:
        with self._lock:
            return sum(kept.entry is not None for kept in self._kept.values())

    def available(self) -> bool:
        return True

    async def close(self) -> None:
        self._sweeper.stop()
        with self._lock:
            self._kept.clear()

    def _keep(
        self, key: Key, entry: CacheEntry | None, version: int, proven_at: float
    ) -> None:
        now = self._tick()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                if kept.version > version:
                    return
                if kept.version == version and kept.entry is not None:
                    if entry is None:
                        return  # what is here is not below the tombstone
                    proven_at = max(proven_at, kept.proven_at)
            self._kept[key] = _Kept(entry, version, proven_at, now)
            self._kept.move_to_end(key)
            self._trim(now)
            self._sweeper.arm()

    def _sweep(self) -> bool:
        with self._lock:
            self._trim(self._tick())
            return bool(self._kept)

    def _trim(self, now: float) -> None:
        """Drop what is due: the order of use is the order of expiry."""
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            due = kept.used_at + self._ttl_s <= now
            if not due and len(self._kept) <= self._max_sessions:
                return
            del self._kept[key]
            if kept.entry is not None:
                if due:
                    self.stats.expired += 1
                else:
                    self.stats.evicted += 1
