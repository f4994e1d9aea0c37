"""Threads for a driver that blocks, which tell the event loop what came of its calls.

The standard executor does the same by way of a second future, a condition and four
locks: 40 µs of CPU for a call where this takes 28, and 112 where it takes 74 when the
caches have gone cold during a commit (ADR 0003). And it wakes a thread for each call:
threads that read at once take the interpreter's lock from each other with every row.
Thirty readers of twenty turns took twice the CPU of one, and now less than it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from convstore.vocabulary.errors import StoreClosedError, UnavailableError

T = TypeVar("T")

_STUCK_S = 0.002
"""A call that takes longer waits for a disk, or is a large one: others go past it."""
_TELL_S = 0.001
"""So long a result is kept while the thread goes on with the next call."""


class _Call(NamedTuple):
    future: asyncio.Future[Any]
    work: Callable[[], Any]


class _Done(NamedTuple):
    future: asyncio.Future[Any]
    result: Any
    error: BaseException | None


class DriverThreads:
    """Carries out calls in the order in which they were asked for.

    One thread does all of them while none takes long; another joins in, up to `most`,
    where calls wait and none of them has begun for `_STUCK_S`. Called in one event
    loop.
    """

    def __init__(self, name: str, most: int = 1) -> None:
        self._name, self._most = name, most
        self._calls: deque[_Call] = deque()
        self._threads: list[threading.Thread] = []
        # One entry sets one thread to work; None ends it.
        self._go: SimpleQueue[asyncio.AbstractEventLoop | None] = SimpleQueue()
        # Between who starts threads and who ends them, another thread.
        self._lock = threading.Lock()
        self._ends = False
        # How many threads are at work; changed in the event loop's thread alone.
        self._at_work = 0
        # Changes with each call that is begun.
        self._begun = 0
        self._watched: asyncio.TimerHandle | None = None

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have `work` done after all that was asked for before has begun.

        A cancelled future of work that has not begun withdraws it; other work is seen
        through, and nobody is told.

        Raises:
            StoreClosedError: The threads are told to end.
            UnavailableError: The system starts no thread; it is not done later either.
        """
        if self._ends:
            raise StoreClosedError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.append(_Call(future, work))
        if not self._at_work:
            try:
                self._set_to_work(loop)
            except RuntimeError as error:
                self._calls.pop()
                raise UnavailableError(
                    "the system starts no more threads: see its limits of processes "
                    "and of memory"
                ) from error
        elif self._watched is None and self._at_work < self._most:
            self._watch(loop)
        return future

    def close(self) -> None:
        """Finish what was asked for, and end. Blocks; idempotent."""
        with self._lock:
            self._ends = True  # no thread joins in, that would not be told to end
            for _ in self._threads:
                self._go.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _set_to_work(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._ends:
                return  # whoever is told to end does first what is left
            if self._at_work == len(self._threads):
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
            self._at_work += 1
            self._go.put(loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        begun = self._begun
        self._watched = loop.call_later(_STUCK_S, self._look, loop, begun)

    def _look(self, loop: asyncio.AbstractEventLoop, begun: int) -> None:
        self._watched = None
        if not self._calls:
            return
        if self._begun == begun and self._at_work < self._most:
            self._set_to_work(loop)
        if self._at_work < self._most:
            self._watch(loop)

    def _run(self) -> None:
        while (loop := self._go.get()) is not None:
            rests = False
            while not rests:
                done = self._some()
                rests = not self._calls
                # RuntimeError: the loop was closed meanwhile; nobody is left to tell.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._tell, loop, done, rests)
                # Not kept until the next call comes: it may hold what a caller said.
                del done
        while done := self._some():
            loop = done[0].future.get_loop()
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell, loop, done, False)

    def _some(self) -> list[_Done]:
        """Do what waits, and give what came of it before long."""
        done: list[_Done] = []
        started = time.monotonic()
        while not done or time.monotonic() - started < _TELL_S:
            try:
                future, work = self._calls.popleft()
            except IndexError:
                break
            self._begun += 1
            if not future.cancelled():
                done.append(_Done(future, *_outcome(work)))
        return done

    def _tell(
        self, loop: asyncio.AbstractEventLoop, done: Sequence[_Done], rests: bool
    ) -> None:
        if rests:
            self._at_work -= 1
            if self._calls and not self._at_work:  # asked for since
                self._set_to_work(loop)
        for future, result, error in done:
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


def _outcome(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    # By itself: the error's traceback holds this frame, and no future, which would hold
    # the error in turn.
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001 - told to the caller
        return None, error
