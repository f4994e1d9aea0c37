"""Many writes, one commit: what gathers while a commit is in flight goes down next.

A lone writer waits for nobody. Each caller wakes when its own commit is durable, and
a write that fails, fails alone. Knows futures and fairness, and no SQL.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast

from convstore.errors import (
    ConfigError,
    ConvstoreError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    StoreClosedError,
    UnavailableError,
)
from convstore.limits import Limits
from convstore.observing import Watch

log = logging.getLogger(__name__)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
Key = tuple[str, str]
_UNKNOWN = "the store was closed during the commit: its outcome is unknown"


class Write(Protocol[R_co]):
    """One caller's write; the flush knows what it means."""

    @property
    def key(self) -> Key:
        """Writes with one key keep their order."""
        ...

    @property
    def size(self) -> int:
        """Payload bytes."""
        ...

    def apply(self, unit: Any, /) -> R_co:
        """Carry it out; called by the flush."""
        ...


class Result(Protocol):
    """What the flush says of one write."""

    @property
    def value(self) -> Any: ...

    @property
    def error(self) -> ConvstoreError | None: ...


Flush = Callable[[Sequence[Write[Any]]], Awaitable[Sequence[Result]]]


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


@dataclass(slots=True, eq=False)
class _Waiting:
    write: Write[Any]
    done: asyncio.Future[Any]
    deadline: float


class GroupCommit:
    """Lanes of writes; a session always takes the same lane, so its order is kept."""

    def __init__(self, flush: Flush, lanes: int, limits: Limits) -> None:
        self.stats = CommitStats(queue_size=lanes * limits.queue_size)
        self.watch = Watch()
        self._lanes = [_Lane(flush, limits, self) for _ in range(lanes)]
        self._closed = False

    async def submit(self, write: Write[R]) -> R:
        """Queue `write` and wait until it is durable.

        Cancelling the caller withdraws a write that no commit has taken up; one that
        is in flight happens or does not, as a whole.

        Raises:
            DatabaseBusyError: No place in the queue, or no commit, in
                `busy_timeout_s`; nothing was written.
            StoreClosedError: The store is closed.
        """
        if self._closed:
            raise StoreClosedError("the store is closed")
        lane = self._lanes[hash(write.key) % len(self._lanes)]
        return cast(R, await lane.submit(write))

    def queued(self) -> int:
        """Writes that wait for a commit now."""
        return sum(lane.count for lane in self._lanes)

    def snapshot(self) -> CommitStats:
        """The counts as they are now."""
        return replace(self.stats, queued=self.queued())

    async def close(self) -> None:
        """Take no more, finish what is queued, leave no task behind. Idempotent."""
        self._closed = True
        for lane in self._lanes:
            await lane.close()


class _Lane:
    def __init__(self, flush: Flush, limits: Limits, group: GroupCommit) -> None:
        self._flush = flush
        self._limits = limits
        self._stats = group.stats
        self._watch = group.watch
        # One queue a session, taken in turn: a session that floods the lane delays
        # the others by one write a round, not by its whole queue.
        self._queues: OrderedDict[Key, deque[_Waiting]] = OrderedDict()
        self.count = 0
        self._space: deque[asyncio.Future[None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._closing = False
        self._in_flight: list[_Waiting] = []

    async def submit(self, write: Write[Any]) -> Any:
        loop = asyncio.get_running_loop()
        if (
            self._task is not None
            and not self._task.done()
            and self._task.get_loop() is not loop
        ):
            raise ConfigError(
                "the store was opened in another event loop: open one in each"
            )
        deadline = time.monotonic() + self._limits.busy_timeout_s
        if self.count >= self._limits.queue_size or self._space:
            await self._wait_for_space()
        if self._closing:
            raise StoreClosedError("the store is closed")
        waiting = _Waiting(write, loop.create_future(), deadline)
        queue = self._queues.get(write.key)
        if queue is None:
            queue = self._queues[write.key] = deque()
        queue.append(waiting)
        self.count += 1
        if self._task is None or self._task.done():
            self._wake = asyncio.Event()
            # In a context of its own: a commit serves many callers, and must not look
            # like the work of the one who came first.
            self._task = loop.create_task(
                self._run(), name="convstore-group-commit", context=Context()
            )
        assert self._wake is not None
        self._wake.set()
        return await waiting.done

    async def close(self) -> None:
        self._closing = True
        if (
            self._task is not None
            and self._wake is not None
            # In a child process the task is its parent's, on a loop that never runs.
            and self._task.get_loop() is asyncio.get_running_loop()
        ):
            self._wake.set()
            await self._task
            self._task = None
        self._give_space()

    async def _wait_for_space(self) -> None:
        place = asyncio.get_running_loop().create_future()
        self._space.append(place)
        try:
            async with asyncio.timeout(self._limits.busy_timeout_s):
                await place
                while self.count >= self._limits.queue_size and not self._closing:
                    place = asyncio.get_running_loop().create_future()
                    self._space.appendleft(place)
                    await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._give_space()  # the place was ours already: the next may have it
            raise
        except TimeoutError:
            raise DatabaseBusyError(
                f"{self.count} writes are queued already; none went down in time"
            ) from None
        finally:
            if place in self._space:
                self._space.remove(place)

    async def _run(self) -> None:
        try:
            await self._serve()
        except BaseException:
            # The loop is being torn down, or whoever closes us was cancelled: nobody
            # comes back here, and nobody must be left waiting for it.
            for waiting in self._in_flight:
                _fail(waiting, DatabaseUnavailableError(_UNKNOWN))
            for queue in self._queues.values():
                for waiting in queue:
                    _fail(waiting, StoreClosedError("the store is closed"))
            self._queues.clear()
            self.count = 0
            raise

    async def _serve(self) -> None:
        assert self._wake is not None
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._take():
                self._give_space()
                self._in_flight = batch
                await self._commit(batch)
                self._in_flight = []
            if self._closing:
                return

    def _take(self) -> list[_Waiting]:
        """The next batch: one write of each session in turn, within the bounds."""
        batch: list[_Waiting] = []
        room, now = self._limits.batch_bytes, time.monotonic()
        while self._queues and len(batch) < self._limits.batch_size:
            key, queue = next(iter(self._queues.items()))
            waiting = queue[0]
            if not waiting.done.done():
                if batch and waiting.write.size > room:
                    break
                if waiting.deadline < now:
                    waiting.done.set_exception(
                        DatabaseBusyError("no commit took the write up in time")
                    )
                else:
                    batch.append(waiting)
                    room -= waiting.write.size
            queue.popleft()
            self.count -= 1
            if queue:
                self._queues.move_to_end(key)
            else:
                del self._queues[key]
        return batch

    def _give_space(self) -> None:
        room = (
            len(self._space)
            if self._closing
            else (self._limits.queue_size - self.count)
        )
        while self._space and room > 0:
            place = self._space.popleft()
            if not place.done():
                place.set_result(None)
                room -= 1

    async def _commit(self, batch: list[_Waiting]) -> None:
        started = time.monotonic()
        try:
            with self._watch.work("commit", writes=len(batch)):
                results = await self._flush([waiting.write for waiting in batch])
        except UnavailableError as error:
            self._stats.failures += 1
            for waiting in batch:
                _fail(waiting, error)
        except Exception as error:  # noqa: BLE001 - told to each caller below
            # One write that the database itself refuses must not take others along:
            # nothing was committed, so each goes down again on its own.
            self._stats.failures += 1
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            log.warning(
                "a commit of %d writes failed; they go down one by one",
                len(batch),
                extra={"event": "batch_failed", "error": type(error).__name__},
            )
            for waiting in batch:
                await self._commit([waiting])
        else:
            self._count(len(batch), time.monotonic() - started)
            for waiting, result in zip(batch, results, strict=True):
                if result.error is not None:
                    _fail(waiting, result.error)
                elif not waiting.done.done():
                    waiting.done.set_result(result.value)

    def _count(self, size: int, seconds: float) -> None:
        stats = self._stats
        stats.commits += 1
        stats.writes += size
        stats.largest_batch = max(stats.largest_batch, size)
        stats.commit_seconds += seconds


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
