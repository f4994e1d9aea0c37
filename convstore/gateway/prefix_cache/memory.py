"""The contract of prefix stores, and the one in memory.

A prefix store maps keys of one tenant to upstream sessions. It knows no scope and no
message: keys are hashes. Times are microseconds since 1970, given by the caller.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """Which upstream session knows a conversation, and the pool member serving it."""

    upstream_session_id: str
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class PrefixBounds:
    """How many entries, for how long: microseconds from the last use if `sliding`,
    from the last store if not."""

    max_entries: int
    ttl_micros: int
    sliding: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """Entries that went on the way."""

    expired: int = 0
    evicted: int = 0


class PrefixStore(Protocol):
    """Entries of one tenant; safe for many tasks, and where shared, many workers."""

    async def get(self, key: str, now: int) -> tuple[PrefixEntry | None, Removed]:
        """The entry, counted as used; an expired one is removed."""
        ...

    async def put(self, key: str, entry: PrefixEntry, now: int) -> Removed:
        """Keep an entry, in place of an older one; the least recently used go."""
        ...

    async def remove(
        self,
        *,
        key: str | None = None,
        upstream_session_id: str | None = None,
        instance: str | None = None,
    ) -> int:
        """Drop the entries that fit the one thing given; how many."""
        ...

    async def size(self, now: int) -> int:
        """Entries that have not expired."""
        ...

    async def close(self) -> None:
        """Let go of connections. Idempotent."""
        ...


class MemoryPrefixes:
    """Prefixes of one process; any number of threads and event loops."""

    def __init__(self, bounds: PrefixBounds) -> None:
        self._bounds = bounds
        self._entries: OrderedDict[str, tuple[PrefixEntry, int]] = OrderedDict()
        self._lock = threading.Lock()

    async def get(self, key: str, now: int) -> tuple[PrefixEntry | None, Removed]:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None, Removed()
            entry, expires_at = found
            if expires_at <= now:
                del self._entries[key]
                return None, Removed(expired=1)
            if self._bounds.sliding:
                self._entries[key] = entry, now + self._bounds.ttl_micros
            self._entries.move_to_end(key)
            return entry, Removed()

    async def put(self, key: str, entry: PrefixEntry, now: int) -> Removed:
        with self._lock:
            self._entries[key] = entry, now + self._bounds.ttl_micros
            self._entries.move_to_end(key)
            due = [k for k, (_, expires) in self._entries.items() if expires <= now]
            for old in due:
                del self._entries[old]
            evicted = 0
            while len(self._entries) > self._bounds.max_entries:
                self._entries.popitem(last=False)
                evicted += 1
            return Removed(len(due), evicted)

    async def remove(
        self,
        *,
        key: str | None = None,
        upstream_session_id: str | None = None,
        instance: str | None = None,
    ) -> int:
        with self._lock:
            gone = [
                k
                for k, (entry, _) in self._entries.items()
                if k == key
                or (
                    upstream_session_id is not None
                    and entry.upstream_session_id == upstream_session_id
                )
                or (instance is not None and entry.instance == instance)
            ]
            for k in gone:
                del self._entries[k]
            return len(gone)

    async def size(self, now: int) -> int:
        with self._lock:
            return sum(expires > now for _, expires in self._entries.values())

    async def close(self) -> None:
        with self._lock:
            self._entries.clear()
