"""Writes that wait for a commit: bounded, and taken in fair turns between sessions.

A session that floods the queue delays the others by one write a round, not by all of
its own. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from convstore.errors import DatabaseBusyError, StoreClosedError
from convstore.limits import Limits

R_co = TypeVar("R_co", covariant=True)
Key = tuple[str, str]


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


@dataclass(slots=True, eq=False)
class Waiting:
    """A write whose caller waits for its commit."""

    write: Write[Any]
    done: asyncio.Future[Any]
    deadline: float

    def fail(self, error: BaseException) -> None:
        """Tell the caller, if it is still there."""
        if not self.done.done():
            self.done.set_exception(error)


class WriteQueue:
    """One queue a session, in the order in which the sessions' turns come."""

    def __init__(self, limits: Limits) -> None:
        self.count = 0
        self._limits = limits
        self._queues: OrderedDict[Key, deque[Waiting]] = OrderedDict()
        self._space: deque[asyncio.Future[None]] = deque()
        self._closing = False

    @property
    def is_full(self) -> bool:
        """Whether a new write has to wait for a place, or behind those who do."""
        return self.count >= self._limits.queue_size or bool(self._space)

    def add(self, write: Write[Any], deadline: float) -> asyncio.Future[Any]:
        """Queue a write that is given up at `deadline`, of the monotonic clock.

        Raises:
            StoreClosedError: The queue takes no more.
        """
        if self._closing:
            raise StoreClosedError("the store is closed")
        waiting = Waiting(write, asyncio.get_running_loop().create_future(), deadline)
        queue = self._queues.get(write.key)
        if queue is None:
            queue = self._queues[write.key] = deque()
        queue.append(waiting)
        self.count += 1
        return waiting.done

    def take(self) -> list[Waiting]:
        """The next batch: one write of each session in turn, within the bounds."""
        batch: list[Waiting] = []
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
        self._give_space()
        return batch

    def close(self) -> None:
        """Take no more; whoever waits for a place is told."""
        self._closing = True
        self._give_space()

    def turn_away(self) -> None:
        """Tell all who wait that nobody will come for them."""
        for queue in self._queues.values():
            for waiting in queue:
                waiting.fail(StoreClosedError("the store is closed"))
        self._queues.clear()
        self.count = 0

    async def wait_for_space(self) -> None:
        """Wait for a place, after all who came before.

        Raises:
            DatabaseBusyError: None was free in `busy_timeout_s`.
        """
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
