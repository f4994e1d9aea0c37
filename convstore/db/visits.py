"""One call in a transaction of somebody else, and who does our work there.

What a backend has for it, and what the transaction is told by; `joined.py` has the
transaction itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Connection
from sqlalchemy.engine import RootTransaction
from sqlalchemy.util import greenlet_spawn

from convstore.concurrency.completion import finished
from convstore.concurrency.relay import relay

T = TypeVar("T")


class Ongoing:
    """Whether a transaction is still open; keeps nothing of it alive."""

    __slots__ = ("_root",)

    def __init__(self, root: RootTransaction) -> None:
        self._root = ref(root)

    @property
    def is_active(self) -> bool:
        """False only after COMMIT or ROLLBACK has come back from the database."""
        root = self._root()
        return root is not None and root.is_active


class Visit:
    """One call in an application's transaction.

    Attributes:
        outer: The application's connection.
        kept: What is known of its transaction, from the calls before.
    """

    def __init__(self, outer: Connection, kept: dict[str, Any]) -> None:
        self.outer = outer
        self.kept = kept
        self.root: Ongoing

    async def hop(self, work: Callable[[], T]) -> T:
        """Run `work` where the connection may be used."""
        if self.outer.dialect.is_async:
            return cast(T, await greenlet_spawn(work))
        waiting = relay.get()
        assert waiting is not None
        return await waiting.run(work)

    def lose(self, error: BaseException) -> None:
        """Have the application's commit fail. Where the connection may be used."""
        if not self.outer.closed:
            self.outer.invalidate(error)

    async def lost(self, error: BaseException) -> None:
        """As `lose`, seen through however often the caller is cancelled."""
        await finished(self.hop(lambda: self.lose(error)))


class Guest(ABC):
    """How work of ours is done in transactions that are not ours; one of a backend."""

    def __init__(self) -> None:
        self.known: WeakKeyDictionary[RootTransaction, dict[str, Any]] = (
            WeakKeyDictionary()
        )

    @abstractmethod
    async def check(self, visit: Visit) -> None:
        """Refuse the connection of another database or schema, once a transaction."""

    @abstractmethod
    async def read(self, visit: Visit, work: Callable[[Connection], T]) -> T:
        """Run reading work."""

    @abstractmethod
    async def write(self, visit: Visit, work: Callable[[Connection], T]) -> T:
        """Run writing work: done as a whole, or undone."""
