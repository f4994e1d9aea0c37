"""The recurring jobs over several databases: those of each, by itself, so that one that
is away keeps nobody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from convstore.shards.erasing import take_up
from convstore.shards.reach import Reach
from convstore.tasks.scheduler import Scheduler
from convstore.vocabulary.reports import CompactionReport, RetentionReport, VerifyReport
from convstore.vocabulary.settings import StoreConfig
from convstore.vocabulary.sharding import HOME


class WorkedShard:
    """One database as its jobs see it: asked when they come round."""

    def __init__(self, reach: Reach, number: int) -> None:
        self._reach, self._number = reach, number
        self.archive, self.search_index = self, _Index(reach, number)

    @property
    def config(self) -> StoreConfig:
        """The settings of the home database, which are those of all."""
        return self._reach.home_store.config

    async def run_retention(
        self, *, time_budget_s: float | None, on_progress: Callable[[Any], None] | None
    ) -> RetentionReport:
        """Retention of this database; the home's goes on with erasures, too."""
        if self._number == HOME:
            await take_up(self._reach)
        return await self._reach.at(
            self._number,
            lambda face: face.run_retention(
                time_budget_s=time_budget_s, on_progress=on_progress
            ),
        )

    async def maintain(self) -> dict[str, int]:
        """Upkeep of this database."""
        return await self._reach.at(self._number, lambda face: face.maintain())

    async def count_segments(self) -> int:
        """Segments of this database's archive."""
        return await self._reach.at(
            self._number, lambda face: face.archive.count_segments()
        )

    async def verify(
        self, *, most: int | None, on_progress: Callable[..., None] | None
    ) -> VerifyReport:
        """Verify some of them."""
        return await self._reach.at(
            self._number,
            lambda face: face.archive.verify(most=most, on_progress=on_progress),
        )

    async def compact(
        self, *, time_budget_s: float | None, on_progress: Callable[[Any], None] | None
    ) -> CompactionReport:
        """Join small segments of this database's archive."""
        return await self._reach.at(
            self._number,
            lambda face: face.archive.compact(
                time_budget_s=time_budget_s, on_progress=on_progress
            ),
        )


class _Index:
    def __init__(self, reach: Reach, number: int) -> None:
        self._reach, self._number = reach, number

    async def run(self, *, on_progress: Callable[[Any], None] | None) -> object:
        """Index what waits in this database."""
        return await self._reach.at(
            self._number, lambda face: face.search_index.run(on_progress=on_progress)
        )


class Schedulers(Scheduler):
    """The schedulers of all databases, as one."""

    def __init__(self, reach: Reach) -> None:
        numbers = (HOME, *range(len(reach.shards)))
        self._all = [Scheduler(WorkedShard(reach, number)) for number in numbers]

    @property
    def jobs(self) -> tuple[str, ...]:
        """The names of the jobs."""
        return self._all[0].jobs

    @property
    def running(self) -> tuple[str, ...]:
        """The names of those that are under way in some database."""
        return tuple(dict.fromkeys(n for each in self._all for n in each.running))

    async def start(self) -> None:
        """Begin, in all databases."""
        for each in self._all:
            await each.start()

    async def stop(self) -> None:
        """End: every batch that is under way is finished. Idempotent."""
        async with AsyncExitStack() as stack:
            for each in self._all:
                stack.push_async_callback(each.stop)

    async def run(self, name: str) -> None:
        """Run a job now in all databases, and wait for it."""
        await asyncio.gather(*(each.run(name) for each in self._all))

    def look_at_clock(self, wall: datetime, monotonic_s: float) -> None:
        """Plan every job anew if the wall clock has jumped."""
        for each in self._all:
            each.look_at_clock(wall, monotonic_s)

    def next_run_at(self, name: str) -> datetime | None:
        """When a job comes round next in some database."""
        times = [each.next_run_at(name) for each in self._all]
        return min((at for at in times if at is not None), default=None)
