"""The nouns of a store, of a tenant and of a transaction: one line each."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from convstore.repositories.archive import Archive
from convstore.repositories.attachments import Attachments
from convstore.repositories.checkpoints import Checkpoints
from convstore.repositories.conversation import Conversation
from convstore.repositories.erasures import Erasures
from convstore.repositories.graph_states import GraphStates
from convstore.repositories.holds import Holds
from convstore.repositories.interactions import Interactions
from convstore.repositories.items import Items
from convstore.repositories.ledger import Ledger
from convstore.repositories.queues import Queues
from convstore.repositories.scope import Scope
from convstore.repositories.search_index import SearchIndex
from convstore.repositories.sessions import Sessions
from convstore.repositories.turns import Turns
from convstore.repositories.users import Users
from convstore.store.assembly import Parts
from convstore.store.joined import join
from convstore.store.runners import Autocommit
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.settings import StoreConfig
from convstore.vocabulary.watch import Watch

if TYPE_CHECKING:
    from convstore.db.joined import HostConnection


class Repositories:
    """What a store, a tenant's store and a transaction have in common."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.sessions = Sessions(scope)
        self.turns = Turns(scope)
        self.interactions = Interactions(scope)
        self.graph_states = GraphStates(scope)
        self.items = Items(scope)
        self.attachments = Attachments(scope)
        self.checkpoints = Checkpoints(scope)
        self.holds = Holds(scope)
        self.ledger = Ledger(scope)

    @property
    def tenant(self) -> str:
        """Whose rows these are."""
        return self._scope.tenant

    def conversation(
        self, session_id: str, *, user_id: str | None = None
    ) -> Conversation:
        """A handle bound to one session of one user; asks nothing of the database.

        Its first write creates the session. A session of another user is not found.
        """
        return Conversation(self._scope, check_id("session_id", session_id), user_id)


class Transaction(Repositories):
    """The nouns inside one transaction: everything is committed at its end, or nothing.

    A call that refuses (not found, conflict, invalid) leaves the transaction usable; a
    failure of the database ends it.
    """


class TenantRepositories(Repositories):
    """The nouns of one tenant that no transaction has, and what they stand on."""

    def __init__(self, parts: Parts, scope: Scope) -> None:
        super().__init__(scope)
        self._parts = parts
        self.archive = Archive(scope, parts.archive)
        self.erasures = Erasures(scope)
        self.queues = Queues(scope)
        self.users = Users(scope)
        self.search_index = SearchIndex(scope)

    @property
    def config(self) -> StoreConfig:
        """The settings in force."""
        return self._parts.config

    @property
    def loop(self) -> AbstractEventLoop:
        """The event loop that it was opened in and belongs to; tasks of another one,
        and threads, use `convstore.blocking.over(store)`."""
        return self._parts.loop

    @property
    def watch(self) -> Watch:
        """Where metrics and traces hook in; shared by all tenants' faces."""
        return self._parts.commits.watch

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Several writes, one commit: `async with store.transaction() as tx`.

        Durable when the block has ended without an error; with one, nothing happened.
        On SQLite it holds the one write lock from its start: keep it short.
        """
        runner = self._scope.runner
        assert isinstance(runner, Autocommit)
        async with runner.transaction() as held:
            yield Transaction(replace(self._scope, runner=held))

    def joined(self, connection: HostConnection) -> Transaction:
        """The nouns inside the application's own transaction of SQLAlchemy.

        Commit, rollback and savepoints stay the application's: what is written here is
        durable when *its* commit returns, and gone with its rollback. A call that fails
        is undone by itself, and the transaction goes on; where the connection was lost,
        the application's commit fails. If there is no transaction yet, the first call
        begins it. On SQLite the first write takes the one write lock, until the end.

        Args:
            connection: An `AsyncConnection` or `AsyncSession` to the store's database,
                by aiosqlite, asyncpg or psycopg; the `Connection` or `Session` inside
                `run_sync` too. With `convstore.blocking` a `Connection` or `Session`
                by sqlite3 or psycopg.

        Raises:
            ConfigError: By this call or by a verb: the connection cannot be joined, or
                its transaction is over; the message says what to do.
        """
        runner = self._scope.runner
        assert isinstance(runner, Autocommit)
        held = join(connection, self._parts.backend, runner)
        return Transaction(replace(self._scope, runner=held))
