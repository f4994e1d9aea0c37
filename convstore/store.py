"""The facade: puts the parts together and hands out the nouns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from convstore.clock import Clock
from convstore.config import StoreConfig
from convstore.db.batch import Outcome, run_batch
from convstore.db.engine import Backend, BackendOptions, open_backend
from convstore.db.unit import Operation
from convstore.group_commit import GroupCommit
from convstore.ids import check_id
from convstore.nouns.conversation import Conversation
from convstore.nouns.graph_states import GraphStates
from convstore.nouns.holds import Holds
from convstore.nouns.interactions import Interactions
from convstore.nouns.scope import Scope
from convstore.nouns.sessions import Sessions
from convstore.nouns.turns import Turns
from convstore.runners import Autocommit


class Nouns:
    """What a store, a tenant's store and a transaction have in common."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.sessions = Sessions(scope)
        self.turns = Turns(scope)
        self.interactions = Interactions(scope)
        self.graph_states = GraphStates(scope)
        self.holds = Holds(scope)

    @property
    def tenant(self) -> str:
        """Whose rows these are."""
        return self._scope.tenant

    def conversation(
        self, session_id: str, *, user_id: str | None = None
    ) -> Conversation:
        """A handle bound to one session of one user; made without touching the database.

        Its first write creates the session. A session of another user is not found.
        """
        return Conversation(self._scope, check_id("session_id", session_id), user_id)


class Transaction(Nouns):
    """The nouns inside one transaction: everything is committed at its end, or nothing.

    A call that refuses (not found, conflict, invalid) leaves the transaction usable; a
    failure of the database ends it.
    """


@dataclass(frozen=True, slots=True)
class _Parts:
    config: StoreConfig
    clock: Clock
    backend: Backend
    commits: GroupCommit


class Store(Nouns):
    """An open store of one tenant; safe for any number of tasks of one event loop."""

    def __init__(self, parts: _Parts, scope: Scope) -> None:
        super().__init__(scope)
        self._parts = parts

    @classmethod
    async def open(cls, config: StoreConfig, clock: Clock) -> Store:
        """Open the store that `config` describes; `open_store` is the usual way."""
        backend = await open_backend(
            BackendOptions(
                config.database_url, config.pool_size, config.pooler, config.limits
            )
        )

        async def flush(operations: Sequence[Operation[object]]) -> list[Outcome]:
            return await backend.write(lambda c: run_batch(c, operations))

        lanes = config.lanes or backend.lanes
        commits = GroupCommit(flush, lanes, config.limits)
        scope = Scope(
            runner=Autocommit(backend, commits),
            tenant=check_id("tenant", config.tenant),
            clock=clock,
            limits=config.limits,
            lifecycle=None,
        )
        return cls(_Parts(config, clock, backend, commits), scope)

    def for_tenant(self, tenant_id: str) -> Store:
        """The same face on another tenant's rows; shares connections with this store."""
        scope = replace(self._scope, tenant=check_id("tenant_id", tenant_id))
        return Store(self._parts, scope)

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

    async def close(self) -> None:
        """Finish the writes that are queued and let go of everything. Idempotent."""
        await self._parts.commits.close()
        await self._parts.backend.close()
