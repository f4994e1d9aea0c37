"""One lane of writes, with one commit in flight: sends batches down, and tells each
caller what became of its own write. Knows futures, and no SQL."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from convstore.commits.queue import Waiting, Write, WriteQueue
from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    DatabaseUnavailableError,
    UnavailableError,
)
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.watch import Watch

log = logging.getLogger(__name__)
T = TypeVar("T")
_UNKNOWN = "the store was closed during the commit: its outcome is unknown"


class Result(Protocol):
    """What the flush says of one write."""

    @property
    def value(self) -> Any: ...

    @property
    def error(self) -> ConvstoreError | None: ...

    @property
    def held(self) -> bool:
        """Nothing was done: somebody else holds what it writes to."""
        ...


Flush = Callable[[Sequence[Write[Any]]], Awaitable[Sequence[Result]]]
Flight: TypeAlias = "asyncio.Future[T]"


@dataclass(slots=True)
class CommitStats:
    """Counts since the store was opened; `queued` and `queue_size` are of now."""

    commits: int = 0
    writes: int = 0
    largest_batch: int = 0
    commit_seconds: float = 0.0
    failures: int = 0
    queued: int = 0
    queue_size: int = 0


class Lane:
    """One commit in flight at a time; steps are callbacks, because a task that wakes
    for each would cost a lone writer more than its statements do (ADR 0003)."""

    def __init__(
        self,
        flush: Flush,
        limits: Limits,
        stats: CommitStats,
        watch: Watch,
        patient: Flush | None = None,
    ) -> None:
        self._flush = flush
        self._patient = patient
        # Writes of a session that is waited for, beside the commit in flight.
        self._waiting_for_lock: list[Waiting] = []
        self._timeout_s = limits.busy_timeout_s
        self._stats = stats
        self._watch = watch
        self._queue = WriteQueue(limits)
        self._in_flight: list[Waiting] = []
        self._start_is_due = False
        self._idle: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Who waits to be told that a commit has ended, whichever.
        self._spectators: list[asyncio.Future[None]] = []

    @property
    def count(self) -> int:
        """Writes that wait for a commit now."""
        return self._queue.count

    def submit(self, write: Write[Any]) -> Awaitable[Any]:
        """Queue a write; the result comes when its commit is durable."""
        if self._queue.is_full:
            return self._submit_when_there_is_space(write)
        return self._enqueue(write, time.monotonic() + self._timeout_s)

    async def until_landed(self, write: Write[Any]) -> None:
        """Return when no commit carries `write` any more; its caller has given up."""
        while any(
            w.write is write for w in (*self._in_flight, *self._waiting_for_lock)
        ):
            landing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._spectators.append(landing)
            await landing

    def _tell_spectators(self) -> None:
        for landing in self._spectators:
            if not landing.done():
                landing.set_result(None)
        self._spectators.clear()

    async def close(self) -> None:
        """Take no more, and finish what is queued."""
        self._queue.close()
        # In a child process what is in flight is its parent's, on a loop that never
        # runs.
        ours = self._loop is asyncio.get_running_loop()
        while ours and (self._in_flight or self._waiting_for_lock or self.count):
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            try:
                await asyncio.shield(self._idle)
            except asyncio.CancelledError:
                # Leave nobody waiting for what nobody is there to see through.
                for waiting in (*self._in_flight, *self._waiting_for_lock):
                    waiting.fail(DatabaseUnavailableError(_UNKNOWN))
                self._queue.turn_away()
                raise

    async def _submit_when_there_is_space(self, write: Write[Any]) -> Any:
        deadline = time.monotonic() + self._timeout_s
        await self._queue.wait_for_space()
        return await self._enqueue(write, deadline)

    def _enqueue(self, write: Write[Any], deadline: float) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise ConfigError(
                    "the store was opened in another event loop: open one in each"
                )
            self._loop = loop
        done = self._queue.add(write, deadline)
        if not self._in_flight:
            self._start_soon()
        return done

    def _start_soon(self) -> None:
        """Start in the loop's next round, when all who have just been told could write
        again, and what one caller sends together is together.

        Not sooner, even if as many as last time are here: of a caller who then sends
        more together, each time two parts would go down one after the other.
        """
        if not self._start_is_due:
            self._start_is_due = True
            asyncio.get_running_loop().call_soon(self._start_if_due)

    def _start_at(self, at: float) -> None:
        """Start when a session that was held is to be tried again; of its own accord,
        or with the writes of others that come before."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        delay = at - time.monotonic()
        if delay <= 0:
            self._start_soon()
        else:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(delay, self._start_if_idle)

    def _start_if_idle(self) -> None:
        if not self._in_flight:
            self._start()

    def _start_if_due(self) -> None:
        if self._start_is_due and not self._in_flight:
            self._start()

    def _start(self) -> None:
        """Send the next batch down, if anybody waits."""
        self._start_is_due = False
        self._in_flight = batch = self._queue.take()
        if not batch:  # all who waited have given up
            self._go_on()
            return
        landed = partial(self._landed, batch, time.monotonic())
        self._send(batch, self._flush).add_done_callback(landed)

    def _go_on(self) -> None:
        self._in_flight = []
        self._tell_spectators()
        self._wait_for_lock()
        next_at = self._queue.next_at()
        if next_at is not None:
            self._start_at(next_at)
        elif self._waiting_for_lock:
            pass
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _wait_for_lock(self) -> None:
        """Have a session that is never free when it is looked at waited for by its
        lock, where others do not wait behind it: one at a time in a lane."""
        if self._patient is None or self._waiting_for_lock:
            return
        self._waiting_for_lock = batch = self._queue.take_starved()
        if batch:
            landed = partial(self._landed_with_lock, batch, time.monotonic())
            self._send(batch, self._patient).add_done_callback(landed)

    def _landed_with_lock(
        self, batch: list[Waiting], started: float, flight: Flight[Sequence[Result]]
    ) -> None:
        self._waiting_for_lock = []
        self._tell_spectators()
        if _refused_by_database(flight) and len(batch) > 1:
            held = batch  # by the long way it shows which of them it was
        else:
            held = self._tell(batch, started, flight)
        self._queue.put_back(held)
        self._queue.release(batch[0].write.key)
        if not self._in_flight:
            self._go_on()

    def _send(self, batch: list[Waiting], flush: Flush) -> Flight[Sequence[Result]]:
        writes = [waiting.write for waiting in batch]
        if self._watch.observers:
            return _flight(self._watched(writes, flush))
        try:
            return _flight(flush(writes))
        except ConvstoreError as error:  # such as a database that is closed
            refused: Flight[Sequence[Result]]
            refused = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    async def _watched(
        self, writes: list[Write[Any]], flush: Flush
    ) -> Sequence[Result]:
        with self._watch.work("commit", writes=len(writes)):
            return await flush(writes)

    def _landed(
        self, batch: list[Waiting], started: float, flight: Flight[Sequence[Result]]
    ) -> None:
        """Tell each caller what became of its write, and go on with the next batch."""
        if _refused_by_database(flight) and len(batch) > 1:
            # One write that the database itself refuses must not take others along:
            # nothing was committed, so each goes down again on its own.
            self._stats.failures += 1
            log.warning(
                "a commit of %d writes failed; they go down one by one",
                len(batch),
                extra={
                    "event": "batch_failed",
                    "error": type(flight.exception()).__name__,
                },
            )
            self._alone(deque(batch), [])
            return
        self._queue.put_back(self._tell(batch, started, flight))
        self._go_on()

    def _alone(self, rest: deque[Waiting], held: list[Waiting]) -> None:
        """Send down one write of a batch that failed; the others follow."""

        def landed(flight: Flight[Sequence[Result]]) -> None:
            held.extend(self._tell([waiting], started, flight))
            self._alone(rest, held)

        keys = {waiting.write.key for waiting in held}
        while rest and rest[0].write.key in keys:
            held.append(rest.popleft())  # it must not overtake
        if not rest:
            self._queue.put_back(held)
            self._go_on()
            return
        waiting, started = rest.popleft(), time.monotonic()
        self._send([waiting], self._flush).add_done_callback(landed)

    def _tell(
        self, batch: list[Waiting], started: float, flight: Flight[Sequence[Result]]
    ) -> list[Waiting]:
        """Tell each caller what became of its write; gives those that were held."""
        error = (
            DatabaseUnavailableError(_UNKNOWN)
            if flight.cancelled()
            else flight.exception()
        )
        if error is not None:
            self._stats.failures += 1
            for waiting in batch:
                waiting.fail(error)
            return []
        held = []
        for waiting, result in zip(batch, flight.result(), strict=True):
            if result.held:
                held.append(waiting)
            elif result.error is not None:
                waiting.fail(result.error)
            elif not waiting.done.done():
                waiting.done.set_result(result.value)
        if done := len(batch) - len(held):
            self._count(done, time.monotonic() - started)
        return held

    def _count(self, size: int, seconds: float) -> None:
        stats = self._stats
        stats.commits += 1
        stats.writes += size
        stats.largest_batch = max(stats.largest_batch, size)
        stats.commit_seconds += seconds


def _flight(commit: Awaitable[T]) -> Flight[T]:
    if isinstance(commit, asyncio.Future):
        return commit
    # In a context of its own: a commit serves many callers, and must not look like
    # the work of the one who came first.
    return asyncio.get_running_loop().create_task(
        _of(commit), name="convstore-group-commit", context=Context()
    )


async def _of(commit: Awaitable[T]) -> T:
    return await commit


def _refused_by_database(flight: Flight[Any]) -> bool:
    """Whether it failed for what was in it, and not because the database is away."""
    if flight.cancelled():
        return False
    error = flight.exception()
    return isinstance(error, Exception) and not isinstance(error, UnavailableError)
