"""The hook through which metrics and traces watch a store; knows neither.

Names and facts only: an operation, its tenant, how many, how long. Never an id, and
never what anybody said. Without an observer it costs one truth test a call.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, TypeAlias

Facts: TypeAlias = dict[str, str | int | float]


class Observer(Protocol):
    """Somebody who watches what a store does."""

    def watching(self, name: str, facts: Facts) -> AbstractContextManager[None]:
        """Entered before and left after each piece of work, in the task that does it.

        `facts` may have grown by the time it is left. Must not raise, nor swallow.
        """
        ...


class Watch:
    """The observers of one store."""

    def __init__(self) -> None:
        self.observers: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """Show `observer` all work that begins from now on."""
        self.observers = (*self.observers, observer)

    def remove(self, observer: Observer) -> None:
        """Show it no more. Idempotent."""
        self.observers = tuple(o for o in self.observers if o is not observer)

    def work(
        self, name: str, **facts: str | int | float
    ) -> AbstractContextManager[Facts]:
        """One piece of work; more facts may be put into what is entered."""
        return _Work(self.observers, name, facts)


class _Work:
    """Enters every observer, and leaves them in reverse.

    A class and no generator with an ExitStack, which took three times as long: it is
    around every read and write of a store that is watched.
    """

    __slots__ = ("_entered", "_facts", "_name", "_observers")

    def __init__(
        self, observers: tuple[Observer, ...], name: str, facts: Facts
    ) -> None:
        self._observers = observers
        self._name = name
        self._facts = facts
        self._entered: list[AbstractContextManager[None]] = []

    def __enter__(self) -> Facts:
        for observer in self._observers:
            manager = observer.watching(self._name, self._facts)
            manager.__enter__()
            self._entered.append(manager)
        return self._facts

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for manager in reversed(self._entered):
            manager.__exit__(kind, error, traceback)
