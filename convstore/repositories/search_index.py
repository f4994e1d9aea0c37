"""The noun `search_index`: upkeep of what `search` looks things up in."""

from __future__ import annotations

from convstore.archive.indexer import Indexer
from convstore.repositories.scope import Scope
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.hits import IndexReport
from convstore.vocabulary.progress import OnProgress


class SearchIndex:
    """The index of words of the store's database; `check` looks at one tenant."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def run(self, *, on_progress: OnProgress | None = None) -> IndexReport:
        """Index what waits, of every tenant: what a worker does by and by.

        In bounded steps, others write between two of them. Any number may run at once,
        and be cut short anywhere: the next run goes on.

        Raises:
            ConfigError: The mode of search is `off`.
        """
        return await self._indexer().run(on_progress=on_progress)

    async def rebuild(self, *, on_progress: OnProgress | None = None) -> IndexReport:
        """Make the index anew, from rows and archive. A search meanwhile is incomplete,
        and says so.

        Raises:
            ConfigError: The mode of search is `off`.
        """
        return await self._indexer().rebuild(on_progress)

    async def check(self) -> IndexReport:
        """Compare the index of the tenant with its sessions; changes nothing. Walks
        both."""
        return await self._any().check(self._scope.tenant)

    def _any(self) -> Indexer:
        indexer = self._scope.indexer
        assert indexer is not None
        return indexer

    def _indexer(self) -> Indexer:
        indexer = self._any()
        if not indexer.is_on:
            raise ConfigError(
                "SEARCH__MODE: is off, so there is no index: set deferred or inline"
            )
        return indexer
