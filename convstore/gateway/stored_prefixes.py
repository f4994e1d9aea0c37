"""Prefixes as rows of the store's database: shared by workers, and kept by a restart.

A use is written at most once a second for each entry, so that hits are mostly reads.
"""

from __future__ import annotations

from convstore.cache.prefixes import PrefixBounds, PrefixEntry, Removed
from convstore.db import prefixes as rows
from convstore.db.engine import Backend, Connection

_USE_EVERY = 1_000_000


class StoredPrefixes:
    """Prefixes of one tenant; away with the database, and raising what it raises."""

    def __init__(self, backend: Backend, bounds: PrefixBounds, tenant_id: str) -> None:
        self._backend = backend
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
            await self._backend.write(lambda c: rows.use(c, tenant, key, now, until))
        return PrefixEntry(upstream, instance), Removed()

    async def put(self, key: str, entry: PrefixEntry, now: int) -> Removed:
        tenant, bounds = self._tenant, self._bounds
        value = entry.upstream_session_id, entry.instance

        def work(connection: Connection) -> tuple[int, int]:
            rows.put(connection, tenant, key, value, now, now + bounds.ttl_micros)
            return rows.trim(connection, tenant, now, bounds.max_entries)

        return Removed(*await self._backend.write(work))

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
