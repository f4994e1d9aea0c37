"""Prefixes as rows of the store's database: shared by workers, and kept by a restart.

A use is written at most once a second for each entry, so that hits are mostly reads.
Writes of many requests share a commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convstore.commits.group_commit import GroupCommit
from convstore.db import prefixes as rows
from convstore.db.batch import Outcome
from convstore.db.engine import Backend
from convstore.db.prefixes import PutPrefix, UsePrefix
from convstore.gateway.prefix_cache.memory import PrefixBounds, PrefixEntry, Removed
from convstore.vocabulary.limits import Limits

_USE_EVERY = 1_000_000


def prefix_commits(backend: Backend, limits: Limits) -> GroupCommit:
    """Where prefixes are written, of every handle of a store.

    Apart from the commits of sessions: an entry must not make a turn wait.
    """

    async def flush(writes: Sequence[Any]) -> list[Outcome]:
        return await backend.write(lambda c: rows.write(c, writes))

    return GroupCommit(flush, 1, limits)


class StoredPrefixes:
    """Prefixes of one tenant; away with the database, and raising what it raises."""

    def __init__(
        self,
        backend: Backend,
        commits: GroupCommit,
        bounds: PrefixBounds,
        tenant_id: str,
    ) -> None:
        self._backend = backend
        self._commits = commits
        self._bounds = bounds
        self._tenant = tenant_id

    async def get(self, key: str, now: int) -> tuple[PrefixEntry | None, Removed]:
        tenant, bounds = self._tenant, self._bounds
        found = await self._backend.read(lambda c: rows.find(c, tenant, key))
        if found is None:
            return None, Removed()
        upstream, instance, expires_at, used_at = found
        if expires_at <= now:
            gone = await self._backend.write(lambda c: rows.expire(c, tenant, key, now))
            return None, Removed(expired=gone)
        if now - used_at >= min(_USE_EVERY, bounds.ttl_micros // 4):
            until = now + bounds.ttl_micros if bounds.sliding else None
            await self._commits.submit(UsePrefix((tenant, key), now, until))
        return PrefixEntry(upstream, instance), Removed()

    async def put(self, key: str, entry: PrefixEntry, now: int) -> Removed:
        tenant, bounds = self._tenant, self._bounds
        put = PutPrefix(
            (tenant, key),
            entry.upstream_session_id,
            entry.instance,
            now,
            now + bounds.ttl_micros,
            bounds.max_entries,
        )
        return Removed(*await self._commits.submit(put))

    async def remove(
        self,
        *,
        key: str | None = None,
        upstream_session_id: str | None = None,
        instance: str | None = None,
    ) -> int:
        return await self._backend.write(
            lambda c: rows.remove(
                c,
                self._tenant,
                key=key,
                upstream_session_id=upstream_session_id,
                instance=instance,
            )
        )

    async def size(self, now: int) -> int:
        return await self._backend.read(lambda c: rows.count(c, self._tenant, now))

    async def close(self) -> None:
        """Nothing: the connections are the store's."""
