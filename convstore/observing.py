"""The hook through which metrics and traces watch a store; knows neither.

Names and facts only: an operation, its tenant, how many, how long. Never an id, and
never what anybody said. Without an observer it costs one truth test a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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

    @contextmanager
    def work(self, name: str, **facts: str | int | float) -> Iterator[Facts]:
        """One piece of work; more facts may be put into what is yielded."""
        with ExitStack() as stack:
            for observer in self.observers:
                stack.enter_context(observer.watching(name, facts))
            yield facts
