"""The two ways a noun's work is carried out: in a commit of its own, shared with
whoever writes at the same time, or inside a transaction that the caller holds."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TypeVar

from convstore.db.batch import REFUSALS
from convstore.db.dialects.base import OpenTransaction
from convstore.db.engine import Backend, Connection, Work
from convstore.db.unit import Operation, Unit
from convstore.errors import ConfigError
from convstore.group_commit import GroupCommit

T = TypeVar("T")

# The task that holds a transaction open, and the backend it is on: a lone write of the
# same task would wait for the transaction that waits for it.
_holder: ContextVar[tuple[asyncio.Task[object] | None, Backend] | None] = ContextVar(
    "convstore_transaction", default=None
)


class Autocommit:
    """Reads on a pooled connection; writes through group commit."""

    def __init__(self, backend: Backend, commits: GroupCommit) -> None:
        self._backend = backend
        self._commits = commits

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        return await self._backend.read(work, snapshot=snapshot)

    async def write(self, operation: Operation[T]) -> T:
        if _holder.get() == (asyncio.current_task(), self._backend):
            raise ConfigError(
                "a write outside the open transaction would wait for it for ever: "
                "use the nouns of the transaction (tx.turns, tx.sessions, …)"
            )
        return await self._commits.submit(operation)


class InTransaction:
    """Reads and writes on the one connection of an open transaction."""

    def __init__(self, transaction: OpenTransaction, backend: Backend) -> None:
        self._transaction = transaction
        self._unit: Unit | None = None
        self._broken: Exception | None = None
        self._token = _holder.set((asyncio.current_task(), backend))

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        return await self._run(work)

    async def write(self, operation: Operation[T]) -> T:
        def work(connection: Connection) -> T:
            if self._unit is None:
                self._unit = Unit(connection)
            result = operation.apply(self._unit)
            self._unit.flush()
            return result

        return await self._run(work)

    async def _run(self, work: Work[T]) -> T:
        self.check()
        try:
            return await self._transaction.run(work)
        except REFUSALS:
            raise  # nothing was changed: the transaction goes on
        except Exception as error:
            self._broken = error
            raise

    def check(self) -> None:
        """Refuse to go on, or to commit, after the database failed a statement."""
        if self._broken is not None:
            raise self._broken

    def end(self) -> None:
        """The task may write outside again."""
        _holder.reset(self._token)
