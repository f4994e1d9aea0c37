"""The facade: what the rooms of the face have, in one class, opened and closed."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from convstore.archive.data_sets import check_formats
from convstore.blobs.base import StepHook, silent
from convstore.db.engine import open_backend
from convstore.db.shard_marks import take_seat
from convstore.gateway.prefix_cache.cache import Expiry, PrefixCache, prefix_bounds
from convstore.gateway.prefix_cache.stores import PrefixKind
from convstore.store.assembly import assemble
from convstore.store.places import backend_options, with_archive
from convstore.store.previewing import Previewing
from convstore.store.searching import Searching
from convstore.store.upkeep import Upkeep
from convstore.vocabulary.clock import Clock
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.records import Session
from convstore.vocabulary.reports import ErasureReceipt
from convstore.vocabulary.settings import StoreConfig
from convstore.vocabulary.sharding import Seat
from convstore.vocabulary.watch import Watch

if TYPE_CHECKING:
    from convstore.db.joined import HostEngine


class Store(Searching, Previewing, Upkeep):
    """An open store of one tenant; safe for any number of tasks of one event loop."""

    @classmethod
    async def open(
        cls,
        config: StoreConfig,
        clock: Clock,
        on_step: StepHook = silent,
        *,
        engine: HostEngine | None = None,
    ) -> Store:
        """Open the store that `config` describes; `open_store` is the usual way."""
        return await cls._open(config, clock, on_step, engine=engine)

    @classmethod
    async def _open(
        cls,
        config: StoreConfig,
        clock: Clock,
        on_step: StepHook,
        *,
        engine: HostEngine | None = None,
        seat: Seat | None = None,
        watch: Watch | None = None,
    ) -> Store:
        """As `open`; with a `seat` it is one database of several, which are marked as
        such, and share a `watch`."""
        check_formats(config.retention.exports)
        if config.shards:
            raise ConfigError("SHARDS: a store over several is opened by open_store")
        backend = await open_backend(backend_options(config, engine))
        try:
            mark = await take_seat(backend, seat)
            config = await with_archive(config, backend)
            parts, scope = await assemble(
                backend, config, clock, on_step, watch or Watch()
            )
            return cls(replace(parts, mark=mark), scope)
        except BaseException:
            # A setting that cannot be meant must not leave threads and files open.
            await backend.close()
            raise

    def for_tenant(self, tenant_id: str) -> Store:
        """The same face on another tenant's rows; shares connections with this store.

        Closing either closes both.
        """
        scope = replace(self._scope, tenant=check_id("tenant_id", tenant_id))
        return Store(self._parts, scope)

    async def restore(self, session_id: str) -> Session:
        """Bring an archived session back, deleted ones that were archived included.

        Idempotent: a live session is given as it is. Of any number of callers at once
        one restores, and all get the same session.

        Raises:
            SessionNotFoundError: Nothing is archived under this id.
            SegmentCorruptError: Its file is damaged or missing; nothing was changed.
            ArchiveAwayError: The archive folder is not there.
        """
        check_id("session_id", session_id)
        restorer, runner = self._parts.archive.restorer, self._scope.runner
        with self.watch.work("restore"):
            return await restorer.restore(
                runner, self.tenant, session_id, deleted_too=True
            )

    async def erase(
        self, *, user_id: str | None = None, session_id: str | None = None
    ) -> ErasureReceipt:
        """Destroy a user's data, or one session's, in rows, archive and shards.

        The ids are refused for ever; the receipt says what was destroyed, and is kept.
        What the user did in sessions of others until now stays there, under a name that
        says nothing.

        Raises:
            LegalHoldError: A session is under hold, or one of somebody else's in which
                the user did something; nothing was destroyed.
            SessionNotFoundError: There is no session with this id.
            ConfigError: Not exactly one of the two was given.
        """
        if (user_id is None) == (session_id is None):
            raise ConfigError("name a user or a session to erase, one of them")
        check_optional_id("user_id", user_id)
        check_optional_id("session_id", session_id)
        erase = self._parts.eraser.erase
        with self.watch.work("erase"):
            return await erase(self.tenant, user_id=user_id, session_id=session_id)

    def prefix_cache(
        self,
        kind: PrefixKind = "database",
        *,
        max_entries: int = 256,
        ttl_s: float = 1_800.0,
        expiry: Expiry = "sliding",
        secret: bytes = b"",
    ) -> PrefixCache:
        """A cache of which upstream session knows a conversation, of this tenant.

        Close one of kind `redis` when done; the others go with the store.

        Args:
            kind: Where the entries are: in this process (`memory`), on the server of
                `cache.url` (`redis`), or in the `database`, where they survive a
                restart. All handles of one shared kind share the entries: give them
                the same bounds.
            max_entries: Most entries of the tenant; 0 disables the cache.
            ttl_s: Seconds that an entry lives.
            expiry: `sliding` counts them from the last use, `absolute` from the store.
            secret: A server key for the hashes; the same in every worker.

        Raises:
            ConfigError: One of them cannot be meant.
        """
        bounds = prefix_bounds(max_entries, ttl_s, expiry)
        parts, tenant = self._parts, self.tenant
        return PrefixCache(
            parts.prefixes.of(kind, bounds, tenant),
            max_entries=max_entries,
            ttl_s=ttl_s,
            expiry=expiry,
            tenant_id=tenant,
            secret=secret,
            clock=self._scope.clock,
        )

    async def close(self) -> None:
        """Finish the writes that are queued and let go of everything. Idempotent."""
        async with AsyncExitStack() as last_to_first:
            last_to_first.push_async_callback(self._parts.backend.close)
            if self._scope.replica is not None:
                last_to_first.push_async_callback(self._scope.replica.close)
            if self._scope.hot is not None:
                last_to_first.push_async_callback(self._scope.hot.close)
            last_to_first.push_async_callback(self._parts.prefixes.close)
            last_to_first.push_async_callback(self._scope.lifecycle.close)
            last_to_first.push_async_callback(self._parts.commits.close)
