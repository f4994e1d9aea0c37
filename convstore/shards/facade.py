"""The face of a store over several databases: that of a store, with its verbs placed.

It is one, for whoever asks: what its verbs do is in `convstore.store`, where they are
carried out in `placing`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from convstore.shards.archive import Archive
from convstore.shards.documents import documents
from convstore.shards.erasing import Erasures, erase_user
from convstore.shards.importing import take_in_everywhere
from convstore.shards.nouns import Queues, SearchIndex, Users
from convstore.shards.reach import Reach
from convstore.shards.routed import show_signatures
from convstore.shards.searching import search
from convstore.shards.transaction import Nouns, Transaction, transaction
from convstore.shards.upkeep import Upkeep
from convstore.store import facade
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.hits import SearchOrder, SearchPage
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import Session, SessionDocument
from convstore.vocabulary.reports import ErasureReceipt
from convstore.vocabulary.settings import StoreConfig

if TYPE_CHECKING:
    from convstore.db.joined import HostConnection
    from convstore.imports.importer import ImportOptions
    from convstore.imports.model import ImportReport
    from convstore.store.importing import Asked, Marks
    from convstore.vocabulary.progress import OnProgress


@show_signatures
class Store(Nouns, Upkeep, facade.Store):
    """An open store over several databases, of one tenant."""

    def __init__(self, reach: Reach, config: StoreConfig) -> None:
        super().__init__(reach)
        self._settings = config
        # Of the home database: the verbs that are the store's own code read settings
        # and limits there.
        self._parts = reach.home_store._parts
        self.archive = Archive(reach)
        self.queues = Queues(reach)
        self.users = Users(reach)
        self.erasures = Erasures(reach)
        self.search_index = SearchIndex(reach)

    @property
    def config(self) -> StoreConfig:
        """The settings in force, of all databases together."""
        return self._settings

    def for_tenant(self, tenant_id: str) -> Store:
        """The same face on another tenant's rows; shares connections with this one."""
        return Store(self._reach.for_tenant(tenant_id), self._settings)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Several writes to one shard, one commit: the shard of the first call.

        Raises:
            ConfigError: By a verb: what it is about lies in another database.
        """
        async with transaction(self._reach) as tx:
            yield tx

    def joined(self, connection: HostConnection) -> Transaction:
        """Refused: an application's transaction is of one database, and which one a
        session lies in is not for the application to know."""
        raise ConfigError(
            f"a transaction cannot be joined by a store over {len(self._reach.shards)} "
            "shards: it is of one database, and sessions lie in all of them"
        )

    async def documents(
        self, *, session_ids: Sequence[str] | None = None, **given: Any
    ) -> AsyncIterator[SessionDocument]:
        """Whole sessions of all shards in the order of their ids."""
        async for document in documents(self._reach, session_ids, given):
            yield document

    async def search(
        self,
        text: str,
        *,
        order: SearchOrder = "newest",
        limit: int = 20,
        cursor: str | None = None,
        **given: Any,
    ) -> SearchPage:
        """As of one database: `newest` over all shards, `best` of each in turn."""
        return await search(
            self._reach, text, limit=limit, cursor=cursor, order=order, given=given
        )

    async def erase(
        self, *, user_id: str | None = None, session_id: str | None = None
    ) -> ErasureReceipt:
        """As of one database. Of a user everywhere, with one receipt, which is open
        while a shard is away: `databases_waiting`. Workers go on with it."""
        if (user_id is None) == (session_id is None):
            raise ConfigError("name a user or a session to erase, one of them")
        if session_id is not None:
            return await self._reach.on(
                session_id, lambda face: face.erase(session_id=session_id)
            )
        check_id("user_id", user_id)
        assert user_id is not None
        return await erase_user(self._reach, user_id)

    async def _take_in(
        self,
        asked: Asked,
        labels: Marks,
        options: ImportOptions,
        on_progress: OnProgress | None,
        *,
        dry_run: bool,
    ) -> ImportReport:
        return await take_in_everywhere(
            self._reach, labels, asked, options, on_progress, dry_run=dry_run
        )

    async def restore(self, session_id: str) -> Session:
        """As of one database."""
        return await self._reach.on(session_id, lambda face: face.restore(session_id))

    async def close(self) -> None:
        """Finish what is queued, everywhere, and let go of everything. Idempotent."""
        async with AsyncExitStack() as last_to_first:
            last_to_first.push_async_callback(self._reach.home_store.close)
            for shard in self._reach.shards:
                last_to_first.push_async_callback(shard.close)
