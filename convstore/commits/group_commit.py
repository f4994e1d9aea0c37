"""Many writes, one commit: what gathers while a commit is in flight goes down next.

A lone writer waits for nobody. Each caller wakes when its own commit is durable, and
a write that fails, fails alone.
"""

from __future__ import annotations

from asyncio import CancelledError
from dataclasses import replace
from typing import TypeVar, cast

from convstore.commits.lane import CommitStats, Flush, Lane
from convstore.commits.queue import Write
from convstore.concurrency.completion import finished, told_at_the_end
from convstore.vocabulary.errors import StoreClosedError
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.watch import Watch

__all__ = ["CommitStats", "GroupCommit"]

R = TypeVar("R")


class GroupCommit:
    """Lanes of writes; a session always takes the same lane, so its order is kept.

    Writes of a session that `flush` finds held time and again go to `patient`, which
    waits for it, beside the commits of the others. All is shown to `watch`.
    """

    def __init__(
        self,
        flush: Flush,
        lanes: int,
        limits: Limits,
        patient: Flush | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.stats = CommitStats(queue_size=lanes * limits.queue_size)
        self.watch = watch or Watch()
        self._lanes = [
            Lane(flush, limits, self.stats, self.watch, patient) for _ in range(lanes)
        ]
        self._closed = False

    async def submit(self, write: Write[R]) -> R:
        """Queue `write` and wait until it is durable.

        Cancelling the caller withdraws a write that no commit has taken up; one that
        is in flight happens or does not, as a whole, and is waited for only where
        `told_at_the_end` says so.

        Raises:
            DatabaseBusyError: No place in the queue, or no commit, in
                `busy_timeout_s`; nothing was written.
            StoreClosedError: The store is closed.
        """
        if self._closed:
            raise StoreClosedError("the store is closed")
        lane = self._lanes[hash(write.key) % len(self._lanes)]
        try:
            return cast(R, await lane.submit(write))
        except CancelledError:
            if told_at_the_end.get():
                await finished(lane.until_landed(write))
            raise

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
