"""Writes that wait for a commit: bounded, and taken in fair turns between sessions.

A session that floods the queue delays the others by one write a round, not by all of
its own. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from convstore.vocabulary.errors import DatabaseBusyError, StoreClosedError
from convstore.vocabulary.limits import Limits

R_co = TypeVar("R_co", covariant=True)
Key = tuple[str, str]

# A session is mostly held for the commit of another process; but one may be held for
# long, and asking costs a trip to the server.
_FIRST_S = 0.001
_LONGEST_S = 0.025
# One that was held so many times, for a tenth of a second together, is perhaps free
# for moments only, between those who wait for its lock: then so must we.
_TRIES = 8
_NEVER = float("inf")
_LATE = "no commit took the write up in time"
_HELD = "another transaction has held the session all the time; nothing was written"


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
    # How long it rests when its session is found held; 0 until it is.
    pause_s: float = 0.0
    # How often it was.
    tries: int = 0

    def fail(self, error: BaseException) -> None:
        """Tell the caller, if it is still there."""
        if not self.done.done():
            self.done.set_exception(error)


class WriteQueue:
    """One queue a session, in the order in which the sessions' turns come.

    A session that is held elsewhere rests: its writes keep their places, and the others
    pass by. Nobody tells when it is free, so it is tried again.
    """

    def __init__(self, limits: Limits) -> None:
        self.count = 0
        self._limits = limits
        self._queues: OrderedDict[Key, deque[Waiting]] = OrderedDict()
        # Until when, of the monotonic clock, and what waits.
        self._resting: dict[Key, tuple[float, deque[Waiting]]] = {}
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
            if write.key in self._resting:
                _, queue = self._resting[write.key]
            else:
                queue = self._queues[write.key] = deque()
        queue.append(waiting)
        self.count += 1
        return waiting.done

    def put_back(self, held: Iterable[Waiting]) -> None:
        """Give writes their places again, before all that came after them, and let
        their sessions rest."""
        now = time.monotonic()
        for waiting in reversed([each for each in held if not each.done.done()]):
            key = waiting.write.key
            queue = self._queues.pop(key, None)
            if queue is None:
                # Behind the others that rest, as to who is waited for next.
                _, queue = self._resting.pop(key, (0.0, deque()))
            queue.appendleft(waiting)
            self.count += 1
            waiting.tries += 1
            waiting.pause_s = min(max(2 * waiting.pause_s, _FIRST_S), _LONGEST_S)
            # Not all at the same moment: several processes may wait for one session.
            until = now + waiting.pause_s * random.uniform(0.5, 1.5)
            self._resting[key] = until, queue

    def next_at(self) -> float | None:
        """When there is something to take, of the monotonic clock; None when nothing
        waits."""
        if self._queues:
            return 0.0
        times = [until for until, _ in self._resting.values() if until != _NEVER]
        return min(times, default=None)

    def take_starved(self) -> list[Waiting]:
        """Writes of one session that was found held time and again, in order, within
        the bounds of a batch. Until `release`, no other of the session is taken."""
        starved = (
            (key, queue)
            for key, (until, queue) in self._resting.items()
            if until != _NEVER and queue and queue[0].tries >= _TRIES
        )
        key, queue = next(starved, (None, deque[Waiting]()))
        if key is None:
            return []
        batch: list[Waiting] = []
        room, now = self._limits.batch_bytes, time.monotonic()
        while queue and len(batch) < self._limits.batch_size:
            if batch and queue[0].write.size > room:
                break
            waiting = queue.popleft()
            self.count -= 1
            if waiting.deadline < now:
                waiting.fail(DatabaseBusyError(_HELD))
            elif not waiting.done.done():
                batch.append(waiting)
                room -= waiting.write.size
        self._resting[key] = (_NEVER if batch else 0.0), queue
        self._give_space()
        return batch

    def release(self, key: Key) -> None:
        """Let the writes of a session be taken again, behind those put back."""
        until, queue = self._resting.get(key, (0.0, None))
        if queue is not None and until == _NEVER:
            self._resting[key] = 0.0, queue

    def take(self) -> list[Waiting]:
        """The next batch: one write of each session in turn, within the bounds."""
        batch: list[Waiting] = []
        room, now = self._limits.batch_bytes, time.monotonic()
        if self._resting:
            self._rouse(now)
        while self._queues and len(batch) < self._limits.batch_size:
            key, queue = next(iter(self._queues.items()))
            waiting = queue[0]
            if not waiting.done.done():
                if batch and waiting.write.size > room:
                    break
                if waiting.deadline < now:
                    waiting.fail(DatabaseBusyError(_HELD if waiting.pause_s else _LATE))
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
        resting = [queue for _, queue in self._resting.values()]
        for queue in [*self._queues.values(), *resting]:
            for waiting in queue:
                waiting.fail(StoreClosedError("the store is closed"))
        self._queues.clear()
        self._resting.clear()
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

    def _rouse(self, now: float) -> None:
        for key, (until, queue) in list(self._resting.items()):
            if until <= now:
                del self._resting[key]
                if queue:
                    self._queues[key] = queue

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
