"""The third way to run a noun's work: inside a transaction of the application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from convstore.db.engine import Connection, Work
from convstore.db.ledger import OwnersBook
from convstore.db.unit import Operation, Unit, keys_of
from convstore.vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from convstore.db.engine import Backend
    from convstore.db.joined import HostConnection, HostTransaction
    from convstore.db.visits import Visit
    from convstore.store.runners import Autocommit

T = TypeVar("T")


def join(connection: HostConnection, backend: Backend, beside: Autocommit) -> Joined:
    """Run work in the transaction of the application on this connection.

    `beside` is the store's own runner, which is told of what is written here.
    """
    from convstore.db.joined import HostTransaction  # loads SQLAlchemy's sessions

    return Joined(HostTransaction(connection, backend), beside)


class Joined:
    """Reads and writes on the application's connection, one at a time.

    Each write is undone by itself when it fails, and each has a unit of its own: after
    a rollback to a savepoint of the application, heads that were kept would be wrong.
    """

    in_transaction = True

    def __init__(self, transaction: HostTransaction, beside: Autocommit) -> None:
        self._transaction = transaction
        self._beside = beside
        self._loop = beside.loop
        self._one_at_a_time = asyncio.Lock()

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        async with self._one_at_a_time:
            return await self._transaction.read(await self._visit(), work)

    async def write(self, operation: Operation[T]) -> T:
        def work(connection: Connection) -> T:
            unit = Unit(connection)
            unit.ledger = OwnersBook(connection)
            result = unit.carry_out(operation)
            unit.flush()
            return result

        async with self._one_at_a_time:
            self._beside.refuse_to_join()
            visit = await self._visit()
            # Before the first row: nobody may be given what is warm of this session
            # from the commit on, and only the transaction itself tells of that.
            self._beside.joined(keys_of(operation), visit.root)
            return await self._transaction.write(visit, work)

    async def _visit(self) -> Visit:
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigError(
                "the store was opened in another event loop: open one in each"
            )
        return await self._transaction.visit()
