"""The two ways a noun's work is carried out: in a commit of its own, shared with
whoever writes at the same time, or inside a transaction that the caller holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from convstore.commits.group_commit import GroupCommit
from convstore.db.batch import REFUSALS
from convstore.db.dialects.base import OpenTransaction
from convstore.db.engine import Backend, Connection, Work
from convstore.db.ledger import OwnersBook
from convstore.db.unit import Key, Operation, Unit, keys_of
from convstore.repositories.hot_tier import HotTier
from convstore.vocabulary.errors import (
    ConfigError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    UnavailableError,
)

if TYPE_CHECKING:
    from convstore.db.visits import Ongoing

T = TypeVar("T")

# Of a write to several sessions, which a lane has no room for.
_ATTEMPTS = 4

# Who calls, where that is not the task: the blocking face runs each call in a task of
# its own, for the thread that waits for it.
caller: ContextVar[object] = ContextVar("convstore_caller", default=None)


_WAITS_FOR_ITSELF = (
    "a write outside the open transaction would wait for it for ever: use the nouns of "
    "the transaction (tx.turns, tx.sessions, …)"
)


class Autocommit:
    """Reads on a pooled connection; writes through group commit."""

    in_transaction = False

    def __init__(
        self,
        backend: Backend,
        commits: GroupCommit,
        hot: HotTier | None = None,
        *,
        busy_timeout_s: float,
    ) -> None:
        self._backend = backend
        self._commits = commits
        self._hot = hot
        self._busy_timeout_s = busy_timeout_s
        self._watch = commits.watch
        self._holders: set[object] = set()
        # Who wrote in which transactions of the application.
        self._guests: WeakKeyDictionary[Any, list[Ongoing]] = WeakKeyDictionary()
        self.loop = asyncio.get_running_loop()

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        if not self._watch.observers:
            return await self._backend.read(work, snapshot=snapshot)
        # `Turns.get`, for the work that a noun defines inside its verb.
        name = getattr(work, "__qualname__", "").partition(".<locals>")[0]
        with self._watch.work("read", operation=name):
            return await self._backend.read(work, snapshot=snapshot)

    def write(self, operation: Operation[T]) -> Coroutine[Any, Any, T]:
        self._refuse_holder()
        if len(keys_of(operation)) > 1:
            return self._together(operation)  # a lane has room for one session's
        if self._watch.observers:
            return self._watched(operation)
        return self._write(operation)

    async def _together(self, operation: Operation[T]) -> T:
        deadline = time.monotonic() + self._busy_timeout_s
        for attempt in range(1, _ATTEMPTS + 1):
            carried_out = False
            try:
                async with self.transaction() as held:
                    result = await held.write(operation)
                    carried_out = True
                return result
            except (DatabaseBusyError, DatabaseUnavailableError) as error:
                # Nothing was committed, unless the connection was lost with the commit:
                # then only the caller can ask what became of it. A deadlock is over as
                # soon as it is told; a lock that was not to be had in the time set is
                # not waited for again.
                lost = isinstance(error, DatabaseUnavailableError)
                late = time.monotonic() > deadline
                if attempt == _ATTEMPTS or late or (lost and carried_out):
                    raise
            await asyncio.sleep(0.05 * attempt if lost else 0.002 * attempt)
        raise AssertionError("unreachable")

    async def _watched(self, operation: Operation[T]) -> T:
        with self._watch.work("write", operation=type(operation).__name__):
            return await self._write(operation)

    def _write(self, operation: Operation[T]) -> Coroutine[Any, Any, T]:
        if self._hot is not None and keys_of(operation):
            return self._hot.write(self._commits, operation)
        return self._commits.submit(operation)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[InTransaction]:
        """Hold a transaction open: committed at the end, rolled back on any error."""
        self._refuse_holder()
        written: set[Key] = set()
        try:
            with self._watch.work("transaction") as facts:
                async with self._held(written) as runner:
                    yield runner
                facts["sessions"] = len(written)
        except BaseException:
            if self._hot is not None:  # it may have been committed all the same
                for key in written:
                    self._hot.doubt(key)
            raise
        if self._hot is not None:
            await self._hot.changed(sorted(written))

    @asynccontextmanager
    async def _held(self, written: set[Key]) -> AsyncIterator[InTransaction]:
        holder = _caller()
        async with self._backend.transaction() as transaction:
            runner = InTransaction(transaction, written)
            self._holders.add(holder)
            try:
                yield runner
            finally:
                self._holders.discard(holder)
                runner.end()
            runner.check()

    def joined(self, keys: Collection[Key], transaction: Ongoing) -> None:
        """The caller is about to write, to these sessions, in the application's
        transaction; call it before the first row."""
        if self._hot is not None:
            for key in keys:
                self._hot.joined(key, transaction)
        theirs = self._guests.setdefault(_caller(), [])
        if transaction not in theirs:
            theirs[:] = [*(each for each in theirs if each.is_active), transaction]

    def refuse_to_join(self) -> None:
        """Refuse to wait for a write lock that the caller itself holds elsewhere."""
        waits = not self._backend.dialect.has_row_locks
        if waits and self._holders and _caller() in self._holders:
            raise ConfigError(_WAITS_FOR_ITSELF)

    def _refuse_holder(self) -> None:
        if self._holders and _caller() in self._holders:
            raise ConfigError(_WAITS_FOR_ITSELF)
        if self._guests and (theirs := self._guests.get(_caller())):
            if any(transaction.is_active for transaction in theirs):
                raise ConfigError(_WAITS_FOR_ITSELF)
            del self._guests[_caller()]


class InTransaction:
    """Reads and writes on the one connection of an open transaction, one at a time."""

    in_transaction = True

    def __init__(self, transaction: OpenTransaction, written: set[Key]) -> None:
        self._transaction = transaction
        self._written = written
        self._unit: Unit | None = None
        self._broken: Exception | None = None
        self._over = False
        self._one_at_a_time = asyncio.Lock()

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        return await self._run(work)

    async def write(self, operation: Operation[T]) -> T:
        def work(connection: Connection) -> T:
            if self._unit is None:
                self._unit = Unit(connection)
                self._unit.ledger = OwnersBook(connection)
            result = self._unit.carry_out(operation)
            self._unit.flush()
            return result

        self._written.update(keys_of(operation))
        return await self._run(work)

    async def _run(self, work: Work[T]) -> T:
        async with self._one_at_a_time:
            if self._over:
                raise ConfigError("the transaction is over: its nouns end with it")
            self.check()
            try:
                return await self._transaction.run(work)
            except REFUSALS:
                raise  # nothing was changed: the transaction goes on
            except Exception as error:
                self._broken = error
                raise
            except BaseException:
                # A cancelled statement may have ended the transaction on the server,
                # where COMMIT would then roll back and call it a success.
                self._broken = UnavailableError(
                    "a call of the transaction was cancelled: nothing was committed"
                )
                raise

    def check(self) -> None:
        """Refuse to go on, or to commit, after the database failed a statement."""
        if self._broken is not None:
            raise self._broken

    def end(self) -> None:
        """Refuse every later call: the connection belongs to somebody else then."""
        self._over = True


def _caller() -> object:
    return caller.get() or asyncio.current_task()
