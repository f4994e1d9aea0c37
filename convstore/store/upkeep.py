"""What an operator asks of a store: retention, upkeep, counts, findings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from convstore.commits.group_commit import CommitStats
from convstore.db import foreign_keys
from convstore.erasure.replay import replay_erasures
from convstore.repositories.users import tenants
from convstore.retention.job import BATCH, RunOptions
from convstore.store.backups import Backups
from convstore.store.due import remove_due
from convstore.store.health import health
from convstore.store.statistics import count
from convstore.vocabulary.ids import check_optional_id
from convstore.vocabulary.overviews import TenantSummary
from convstore.vocabulary.progress import OnProgress
from convstore.vocabulary.records import Page
from convstore.vocabulary.reports import (
    ErasureReceipt,
    Finding,
    RetentionReport,
    StoreStats,
    TierStats,
)

if TYPE_CHECKING:
    from convstore.tasks.scheduler import Scheduler


class Upkeep(Backups):
    """The verbs that keep a store in order, and tell how it is."""

    async def run_retention(
        self,
        *,
        older_than_s: float | None = None,
        tenant_id: str | None = None,
        batch: int = BATCH,
        max_batches: int | None = None,
        time_budget_s: float | None = None,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> RetentionReport:
        """Archive, verify and purge what is stale, in every tenant.

        Nothing is purged that was not read back from its segment and compared, that
        changed since, or that is under hold. Several callers do no harm: one runs, the
        others are told so in the report. Cut short anywhere, the next run goes on.

        Args:
            older_than_s: Idle seconds in place of the policy's. An operator's own
                word: the checks for a clock that jumped are left out.
            tenant_id: Only this tenant's sessions.
            batch: Sessions of one segment.
            max_batches: End after so many segments.
            time_budget_s: Begin no segment after so many seconds.
            dry_run: Decide and count; change nothing.
            on_progress: Called after each segment.
        """
        check_optional_id("tenant_id", tenant_id)
        options = RunOptions(
            older_than_s, tenant_id, batch, max_batches, time_budget_s, dry_run
        )
        return await self._parts.archive.job.run(options, on_progress)

    async def replay_erasures(self) -> list[ErasureReceipt]:
        """Repeat every erasure of the ledger and of the archive folder.

        For a database restored from a backup older than an erasure. Idempotent. What
        an erased user began after the erasure is left alone.
        """
        return await replay_erasures(self._parts.archive.context, self._parts.eraser)

    async def maintain(self, on_progress: OnProgress | None = None) -> dict[str, int]:
        """The database's upkeep that is due: checkpoint, vacuum, statistics.

        On SQLite a call gives back up to a gigabyte to the disk: `pages_freed`, and
        `pages_left` for the next; `wal_frames_left` are pages of the write-ahead log
        that a reader keeps in it. On PostgreSQL autovacuum does that: nothing is told.
        On both, in every tenant, items that have expired are removed, and attachments
        that no session has named in a day: `items_expired` and `attachments_removed`
        where there were any.

        Args:
            on_progress: Told of each step of some megabytes.
        """
        gone = await remove_due(self._parts.archive.context)
        return await self._parts.backend.maintain(on_progress) | gone

    async def probe_archive(self) -> list[str]:
        """Write, read back, list and delete a file in the archive.

        Gives what should be set up otherwise there, for a person: of a bucket that it
        keeps versions, so that what is erased stays.

        Raises:
            ConfigError: The folder, or its file system, cannot serve as an archive.
            UnavailableError: It is away or full.
        """
        return await self._parts.archive.inspector.probe()

    async def examine(self) -> list[Finding]:
        """What the database needs to keep the guarantees, and whether it has it."""
        backend = self._parts.backend
        return [*await backend.examine(), await foreign_keys.examine(backend)]

    async def health(self) -> list[Finding]:
        """Whether what should run by itself runs: retention, the indexer, the archive.

        A few reads by an index, and no file: cheap enough for every look. `doctor` of
        the command line tells them, too, and looks deeper.
        """
        context, read = self._parts.archive.context, self._scope.read_broadly
        return await health(context, read, self.tenant, self._scope.indexer)

    async def tenants(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[TenantSummary]:
        """Every tenant of the database by id, a page at a time: for an operator.

        Counts are kept, and not counted anew.
        """
        return await tenants(self._scope, limit, cursor)

    async def stats(self) -> StoreStats:
        """Counts of the tenant and sizes of the whole; reads a bounded number of rows.

        Sessions are counted exactly. What was said and judged in live ones is added up
        over the 20,000 that were last active; `complete` says whether those were all.
        """
        return await count(
            self._parts.archive.context,
            self.commit_stats(),
            self.tenant,
            self._scope.read_broadly,
        )

    def commit_stats(self) -> CommitStats:
        """What group commit has done in this process, and what waits for it now."""
        return self._parts.commits.snapshot()

    def cache_stats(self) -> TierStats | None:
        """What the hot tier did in this process; None without one."""
        hot = self._scope.hot
        return None if hot is None else hot.report()

    @asynccontextmanager
    async def scheduler(self) -> AsyncIterator[Scheduler]:
        """The recurring jobs of a worker, for as long as the block lasts.

        Retention every `retention.interval_s`, verification of the archive by and by,
        upkeep of the database, small segments joined every
        `retention.compact_interval_s`. On leaving, a batch that is under way is
        finished. Any number of workers may run it. Inside a FastAPI lifespan:
        `async with store.scheduler(): yield`.
        """
        from convstore.tasks.scheduler import Scheduler

        scheduler = Scheduler(self)
        await scheduler.start()
        try:
            yield scheduler
        finally:
            await scheduler.stop()
