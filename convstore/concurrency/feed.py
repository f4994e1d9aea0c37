"""Feeds an asynchronous stream to work that runs in a thread, in bounded memory.

For work that is synchronous to the core, such as writing files, over documents that
come from the event loop. A queue for both sides, such as janus, would be the half of
it: what is held is bounded by size, items cross in groups, and a caller that is
cancelled leaves neither a thread nor a stream behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Generic, TypeVar

from convstore.concurrency.completion import finished

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 64
"""Items of one crossing between the threads; twice as many are held at most."""

SIZE_AT_ONCE = 4 * 1024 * 1024
"""Of these items together, or one that is larger: twice that is held at most."""


def _nothing(_: object) -> int:
    return 0


class Feed(Generic[T]):
    """One stream for one piece of work; used once.

    `size_of` tells how large an item is, roughly; without it only their number counts.
    """

    def __init__(
        self, source: AsyncIterator[T], size_of: Callable[[T], int] = _nothing
    ) -> None:
        self._source = source
        self._size_of = size_of
        self._loop = asyncio.get_running_loop()
        self._next: Future[list[T]] | None = None
        self._stopped = False

    async def run(self, work: Callable[[Iterator[T]], R]) -> R:
        """Run `work` in a thread over the items; its result or its error.

        An error of the stream is raised where `work` takes the next item. When the
        caller is cancelled, `work` is interrupted there, and waited for: no thread and
        no half-read stream is left behind.
        """
        running = asyncio.ensure_future(asyncio.to_thread(work, self._items()))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._stop()
            with suppress(Exception):  # nobody is left to be told
                await finished(running)
            raise
        finally:
            self._stop()
            await finished(self._close())

    def check(self) -> None:
        """Interrupt the work if its caller is gone; for long stretches without items.

        Raises:
            CancelledError: It is.
        """
        if self._stopped:
            raise CancelledError

    def _items(self) -> Iterator[T]:
        self._ask()
        while items := self._answer():
            # The next ones are read while these are worked on.
            self._ask()
            items.reverse()
            while items:  # what was given is let go
                self.check()
                yield items.pop()

    def _ask(self) -> None:
        self.check()
        self._next = asyncio.run_coroutine_threadsafe(self._take(), self._loop)
        if self._stopped:
            # Stopped between the two lines above: nobody else would end it.
            self._next.cancel()

    def _answer(self) -> list[T]:
        assert self._next is not None
        return self._next.result()

    async def _take(self) -> list[T]:
        items, size = [], 0
        async for item in self._source:
            items.append(item)
            size += self._size_of(item)
            if len(items) == AT_ONCE or size >= SIZE_AT_ONCE:
                break
        return items

    def _stop(self) -> None:
        self._stopped = True
        if self._next is not None:
            self._next.cancel()

    async def _close(self) -> None:
        close = getattr(self._source, "aclose", None)
        if close is None:
            return
        while True:
            try:
                await close()
                return
            except RuntimeError:
                # The step that was just cancelled has not come back yet.
                await asyncio.sleep(0)
