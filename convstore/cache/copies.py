"""Decoded copies of what a cache server holds, so that a read need not decode again.

A copy says nothing by itself: it is used when the server, or the database, has said
that it is still the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from convstore.cache.base import CacheEntry, CacheStats, Key
from convstore.cache.sweep import Sweeper
from convstore.vocabulary.clock import to_micros


def tag_of(entry: CacheEntry) -> str:
    """What tells one content of a version from another.

    An entry of one version may come to know more turns; and a database that was
    restored from a backup gives versions out again.
    """
    if entry.session is None or entry.turns is None:
        count = "-"
    else:
        count = f"{len(entry.turns)}{'.' if entry.complete else ''}"
    at = 0 if entry.session is None else to_micros(entry.session.updated_at)
    return f"{count}@{at}"


class Copies:
    """The copies of one process: the least recently used go first, idle ones expire."""

    def __init__(
        self,
        most: int,
        ttl_s: float,
        cleanup_interval_s: float,
        stats: CacheStats,
        tick: Callable[[], float],
    ) -> None:
        self._stats = stats
        self._most = most
        self._ttl_s = ttl_s
        self._tick = tick
        self._kept: OrderedDict[Key, tuple[CacheEntry, str, float]] = OrderedDict()
        self._sweeper = Sweeper(cleanup_interval_s, self._sweep)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> tuple[CacheEntry, str] | None:
        """The copy and its tag."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept[key] = *kept[:2], self._tick()
        self._kept.move_to_end(key)
        return kept[:2]

    def keep(self, key: Key, entry: CacheEntry) -> None:
        """Keep the entry, unless one of a higher version is here."""
        kept = self._kept.get(key)
        if kept is not None and kept[0].version > entry.version:
            return
        self._kept[key] = entry, tag_of(entry), self._tick()
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
            self._stats.evicted += 1
        self._sweeper.arm()

    def drop(self, key: Key) -> None:
        """Forget the copy, if there is one."""
        self._kept.pop(key, None)

    def close(self) -> None:
        """Forget them all. Idempotent."""
        self._sweeper.stop()
        self._kept.clear()

    def _sweep(self) -> bool:
        due = self._tick() - self._ttl_s
        while self._kept and next(iter(self._kept.values()))[2] <= due:
            self._kept.popitem(last=False)
            self._stats.expired += 1
        return bool(self._kept)
