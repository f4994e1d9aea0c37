"""What an operator asks of a store over several databases: each is asked by itself."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from convstore.commits.group_commit import CommitStats
from convstore.shards.erasing import take_up
from convstore.shards.merging import by, merged
from convstore.shards.reach import Reach
from convstore.shards.reports import added, first, folded, newest, oldest
from convstore.shards.retention import run_retention
from convstore.vocabulary.errors import ShardUnavailableError
from convstore.vocabulary.overviews import TenantSummary
from convstore.vocabulary.records import Page
from convstore.vocabulary.reports import (
    BackupReport,
    ErasureReceipt,
    Finding,
    RetentionReport,
    StoreStats,
    TierStats,
)
from convstore.vocabulary.sharding import HOME

if TYPE_CHECKING:
    from convstore.tasks.scheduler import Scheduler

T = TypeVar("T")


class Upkeep:
    """The verbs that keep all databases in order, and tell how they are."""

    _reach: Reach

    async def run_retention(self, **given: Any) -> RetentionReport:
        """Archive, verify and purge what is stale, one shard after the other, and go on
        with erasures that wait. A shard that is away is passed over, and said."""
        return await run_retention(self._reach, **given)

    async def replay_erasures(self) -> list[ErasureReceipt]:
        """Repeat every erasure in every database."""
        told = await _every(self._reach, lambda face: face.replay_erasures())
        await take_up(self._reach)
        return [receipt for some in told for receipt in some]

    async def maintain(self, on_progress: Any = None) -> dict[str, int]:
        """The upkeep of every database that is due, added up."""
        told = await _every(self._reach, lambda face: face.maintain(on_progress))
        return added(told)

    async def backup(self, to: Path | str, *, on_progress: Any = None) -> BackupReport:
        """Copy every database and its archive, each into a folder of its own below
        `to`; each is of one moment, not of the same. After an error none is left."""
        reach, folder = self._reach, Path.cwd() / to
        told: list[BackupReport] = []
        try:
            for number in (HOME, *range(len(reach.shards))):
                below = folder / ("home" if number == HOME else f"shard-{number}")
                told.append(
                    await reach.at(
                        number,
                        lambda face, to=below: face.backup(to, on_progress=on_progress),  # type: ignore[misc]
                    )
                )
        except BaseException:
            for each in told:
                shutil.rmtree(each.folder)
            raise
        return folded(BackupReport, told, folder=lambda _: str(folder))

    async def probe_archive(self) -> list[str]:
        """Write, read back, list and delete a file in every archive."""
        reach, told = self._reach, []
        for number in (HOME, *range(len(reach.shards))):
            said = await reach.at(number, lambda face: face.probe_archive())
            told += [f"{reach.name(number)}: {each}" for each in said]
        return told

    async def examine(self) -> list[Finding]:
        """What every database needs to keep the guarantees; one that is away is a
        finding of its own."""
        return await _found(self._reach, lambda face: face.examine())

    async def health(self) -> list[Finding]:
        """Whether what should run by itself runs, of every database; one that is away
        is a finding of its own."""
        return await _found(self._reach, lambda face: face.health())

    async def tenants(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[TenantSummary]:
        """Every tenant of any shard by id, with what it has in all of them."""
        pages = await self._reach.everywhere(
            lambda face: face.tenants(limit=limit, cursor=cursor)
        )
        return merged(pages, limit, by("tenant_id"), (str,), combine=_together)

    async def stats(self) -> StoreStats:
        """Counts of the tenant and sizes of all databases."""
        told = await _every(self._reach, lambda face: face.stats())
        return folded(
            StoreStats,
            told,
            oldest_stale_at=oldest,
            retention_lag_s=max,
            last_run_at=newest,
            last_run_problem=first,
        )

    def commit_stats(self) -> CommitStats:
        """What group commit has done in this process, in all databases."""
        told = [face.commit_stats() for face in _open(self._reach)]
        return folded(CommitStats, told, largest_batch=max)

    def cache_stats(self) -> TierStats | None:
        """What the hot tiers did in this process; None without any."""
        told = [each for face in _open(self._reach) if (each := face.cache_stats())]
        return folded(TierStats, told) if told else None

    @asynccontextmanager
    async def scheduler(self) -> AsyncIterator[Scheduler]:
        """The recurring jobs of a worker, of every database by itself."""
        from convstore.shards.scheduling import Schedulers

        scheduler = Schedulers(self._reach)
        await scheduler.start()
        try:
            yield scheduler
        finally:
            await scheduler.stop()


async def _found(
    reach: Reach, work: Callable[[Any], Awaitable[list[Finding]]]
) -> list[Finding]:
    """The findings of every database, each with its name."""
    found = []
    for number in (HOME, *range(len(reach.shards))):
        name = reach.name(number)
        try:
            told = await reach.at(number, work)
        except ShardUnavailableError as error:
            remedy = "start its server, or say in SHARDS where it is now"
            found.append(Finding(name, False, error.problem, remedy))
            continue
        found += [replace(each, check=f"{name}: {each.check}") for each in told]
    return found


async def _every(reach: Reach, work: Callable[[Any], Awaitable[T]]) -> list[T]:
    """What the home database and every shard say."""
    return [await reach.at(HOME, work), *await reach.everywhere(work)]


def _open(reach: Reach) -> list[Any]:
    """The stores that were there since this one was opened."""
    shards = [shard.opened for shard in reach.shards]
    return [reach.home_store, *(store for store in shards if store is not None)]


def _together(one: TenantSummary, other: TenantSummary) -> TenantSummary:
    return TenantSummary(
        one.tenant_id,
        added([one.sessions, other.sessions]),
        newest([one.last_activity_at, other.last_activity_at]),
    )
