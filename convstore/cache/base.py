"""The contract of the hot tier's cache: versioned entries, with the time of proof.

An entry is never replaced by one of a lower version, so a slow reader cannot undo a
fast writer. No method raises because a server is away: it then knows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Session, Turn

Key = tuple[str, str]
"""Tenant and session id."""


class CacheEntry(Value, frozen=True):
    """One session as the database had it at one version.

    `session` is None where there is none. `turns` are the newest of the active branch,
    oldest first, `complete` says that there are no others; None is not known.
    """

    session: Session | None
    turns: tuple[Turn, ...] | None
    complete: bool

    @property
    def version(self) -> int:
        """The session's version; 0 where there is no session."""
        return 0 if self.session is None else self.session.version

    def has(self, limit: int) -> bool:
        """Whether the newest `limit` turns are here."""
        if self.session is None or limit == 0:
            return True
        turns = self.turns
        return turns is not None and (self.complete or len(turns) >= limit)


@dataclass(slots=True)
class CacheStats:
    """What happened to entries since the cache was opened."""

    evicted: int = 0
    expired: int = 0
    errors: int = 0


class SessionCache(Protocol):
    """Where warm sessions are kept; times are seconds of the tier's own clock."""

    stats: CacheStats

    async def get(self, key: Key) -> tuple[CacheEntry, float] | None:
        """The entry and the time at which it was still proven; extends its life."""
        ...

    async def put(self, key: Key, entry: CacheEntry, proven_at: float) -> None:
        """Keep an entry, unless a higher version, or its tombstone, is here."""
        ...

    async def confirm(self, key: Key, version: int, proven_at: float) -> None:
        """The entry of this version was still the database's at `proven_at`."""
        ...

    async def bury(self, key: Key, version: int) -> None:
        """Leave a tombstone: no entry below `version` is kept from here on."""
        ...

    async def forget(self, key: Key) -> None:
        """Drop whatever is here."""
        ...

    def size(self) -> int:
        """Entries kept by this process; with a server, copies of what it keeps."""
        ...

    def available(self) -> bool:
        """Whether the cache's server, if it has one, answered last time."""
        ...

    async def close(self) -> None:
        """Let go of connections. Idempotent."""
        ...
