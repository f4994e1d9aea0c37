"""The retention job: recover → plan → archive → export → seal → purge, in batches.

Each step is idempotent, and whatever dies in between is finished by the next run. A
lease keeps two workers from doing the same work; what keeps them from doing harm is
the guard on every session's version.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from math import inf

from convstore.archive.archiver import Archived, archive
from convstore.archive.context import LEASE_TTL_S, Context
from convstore.concurrency.background import BackgroundTask
from convstore.db import (
    leases,
    lifecycle,
    retention_runs,
    session_counts,
    staleness,
)
from convstore.db.retention_runs import StoredRun
from convstore.db.unit import Key
from convstore.erasure.eraser import Eraser
from convstore.retention import breakers
from convstore.retention.plan import Decision, archive_cutoff
from convstore.retention.planner import Planner
from convstore.retention.purger import purge
from convstore.retention.recovery import Recovery
from convstore.retention.tally import Tally, report_of
from convstore.segments.segment import ArchiveLimits
from convstore.vocabulary.clock import from_micros, to_micros
from convstore.vocabulary.errors import (
    ConvstoreError,
    InvalidInputError,
    RetentionHaltedError,
    UnavailableError,
)
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.reports import RetentionReport, SessionProblem
from convstore.vocabulary.watch import Watch

log = logging.getLogger(__name__)

BATCH = 500
"""Sessions of one segment, unless the caller says otherwise."""

INTERRUPTED = "interrupted"
"""What is noted as the problem of a run that was cancelled, or failed unforeseen."""

UNFINISHED = "unfinished"
"""Of one that began after a silence, and ended before it came to the archives."""

_LEASE = "retention"
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How one run differs from the policy.

    Attributes:
        older_than_s: Replaces every idle time of the policy: an operator's own word, so
            the checks of share and clock are left out.
        tenant: Only this tenant's sessions.
        batch: Most sessions of one segment.
        max_batches: End after so many segments.
        time_budget_s: Begin no batch after so many seconds.
        dry_run: Decide and count; change nothing.
    """

    older_than_s: float | None = None
    tenant: str | None = None
    batch: int = BATCH
    max_batches: int | None = None
    time_budget_s: float | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        for name, least, most in (
            ("older_than_s", 0, inf),
            ("batch", 1, ArchiveLimits().max_entries),
            ("max_batches", 0, inf),
            ("time_budget_s", 0, inf),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InvalidInputError(name, f"must be from {least} to {most}")


class RetentionJob:
    """Runs retention over the sessions of every tenant."""

    def __init__(self, context: Context, eraser: Eraser, recovery: Recovery) -> None:
        self._context = context
        self._eraser = eraser
        self._recovery = recovery
        self._planner = Planner(context)
        self.watch = Watch()

    def plan(self, options: RunOptions) -> AsyncIterator[Decision]:
        """What a run would decide about each candidate, and why. Changes nothing."""
        return self._planner.decisions(options.older_than_s, options.tenant)

    async def run(
        self, options: RunOptions, on_progress: OnProgress | None = None
    ) -> RetentionReport:
        """Archive and purge what is stale; see `RetentionReport`.

        Raises:
            UnavailableError: The database or the archive is away; what was done so far
                stays done, and the next run goes on.
        """
        with self.watch.work("retention.run") as facts:
            report = await self._run_watched(options, on_progress)
            if report.skipped is not None:
                facts["outcome"] = "skipped"
            elif report.halted is not None:
                facts["outcome"] = "halted"
            facts |= {"archived": report.archived, "purged": report.purged}
            return report

    async def _run_watched(
        self, options: RunOptions, on_progress: OnProgress | None
    ) -> RetentionReport:
        started, tally = time.monotonic(), Tally()
        if options.dry_run:
            async for decision in self.plan(options):
                tally.count(decision)
            return report_of(tally, "", True, started)
        # The lease is the run's and not the worker's: two runs of one worker are two.
        run_id, began = new_id(), self._context.now()
        if not await self._lease(run_id):
            return RetentionReport(skipped="another worker is running retention")
        context = self._context
        silent = await self._is_silent()
        await context.write(lambda c: retention_runs.begin(c, run_id, began))
        problem: str | None = INTERRUPTED
        try:
            await self._run(run_id, options, tally, started, on_progress or _silent)
            # After a silence only what came to the archives' check has ended well:
            # the next run must not take this one's word for the clock.
            problem = UNFINISHED if silent and not tally.finished else None
        except RetentionHaltedError as error:
            tally.halted, problem = str(error), error.code
            log.error("retention halted: %s", error, extra={"event": "halted"})
        except ConvstoreError as error:
            problem = error.code
            raise
        finally:
            await self._end(run_id, began, tally, problem)
        return report_of(tally, run_id, False, started)

    async def _run(
        self,
        run_id: str,
        options: RunOptions,
        tally: Tally,
        started: float,
        on_progress: OnProgress,
    ) -> None:
        with self.watch.work("retention.recover"):
            recovered = await self._recovery.run()
        tally.recovered = recovered.purges_finished
        if options.older_than_s is None:
            await self._check(options)
        async with BackgroundTask(lambda: on_progress(tally.told())) as purging:
            if not await self._work_off(run_id, options, tally, started, purging):
                tally.finished = False
                return
        await self._expire(tally, options)

    async def _work_off(
        self,
        run_id: str,
        options: RunOptions,
        tally: Tally,
        started: float,
        purging: BackgroundTask,
    ) -> bool:
        """Archive and purge all that is due; whether there was time for it."""
        segments_begun = 0
        async for tenant, decisions in self._planner.batches(
            options.older_than_s, options.tenant, options.batch, tally.reasons
        ):
            while decisions:  # more than once where they fill a segment
                over_time = (
                    options.time_budget_s is not None
                    and time.monotonic() - started > options.time_budget_s
                )
                if over_time or segments_begun == options.max_batches:
                    return False
                if not await self._lease(run_id):
                    return False
                done = await self._archive(tenant, decisions, tally)
                await purging.begin(self._purge(done, tally))
                segments_begun += 1
                left = {session_id for _, session_id in done.left}
                decisions = [d for d in decisions if d.session.session_id in left]
        return True

    async def _archive(
        self, tenant: str, decisions: list[Decision], tally: Tally
    ) -> Archived:
        wanted = [(d.session.session_id, d.session.version) for d in decisions]
        with self.watch.work("retention.archive", sessions=len(wanted)):
            done = await archive(self._context, tenant, wanted, passes=True)
        tally.changed += len(done.changed)
        tally.held += len(done.held)
        await self._note_unreadable(done.unreadable, tally)
        if done.segment is not None:
            tally.archived += len(done.entries)
            tally.archived_bytes += done.segment.size_bytes
            tally.segments.append(done.segment.segment_id)
        return done

    async def _purge(self, done: Archived, tally: Tally) -> None:
        if done.segment is None:
            return
        with self.watch.work("retention.purge", sessions=len(done.entries)):
            purged = await purge(self._context, done.entries, done.fingerprints)
        tally.purged += len(purged.purged)
        tally.changed += len(purged.changed)
        tally.held += len(purged.held)
        for key in purged.mismatched:
            tally.problems.append(SessionProblem(*key, "purge_mismatch"))
        if purged.changed:
            # Deleted while it was being archived: that copy must go too. A segment that
            # is damaged by now is told by the next recovery.
            await self._eraser.sweep(purged.changed)
        log.info(
            "archived %d sessions, purged %d",
            len(done.entries),
            len(purged.purged),
            extra={"event": "segment_sealed", "segment_id": done.segment.segment_id},
        )

    async def _note_unreadable(self, unreadable: dict[Key, str], tally: Tally) -> None:
        for key, code in unreadable.items():
            tally.problems.append(SessionProblem(*key, code))
            await self._context.write(
                lambda c, k=key, p=code: lifecycle.note_problem(c, [k], p)  # type: ignore[misc]
            )

    async def _check(self, options: RunOptions) -> None:
        """Stop before a clock that jumped or a policy set by mistake does harm."""
        context = self._context
        newest = await context.read(staleness.newest_activity)
        breakers.check_clock(
            context.clock.now(),
            None if newest is None else from_micros(newest),
        )
        going = 0
        async for decision in self.plan(options):
            going += decision.action == "archive"
        if going <= breakers.SMALL_RUN:
            return  # whatever its share: most runs need not count
        counts = await context.read(session_counts.live)
        if options.tenant is not None:
            counts = {options.tenant: counts.get(options.tenant, 0)}
        breakers.check_fraction(context.policy, going, sum(counts.values()))

    async def _expire(self, tally: Tally, options: RunOptions) -> None:
        context, tenant = self._context, options.tenant
        cutoff = archive_cutoff(context.policy, context.clock.now(), tenant_id=tenant)
        if cutoff is None:
            return
        due = self._planner.expired_archives
        if options.older_than_s is None:
            going = 0
            async for keys in due(to_micros(cutoff), tenant):
                going += len(keys)
            # Archiving too early is harmless. This is not: it has checks of its own.
            if going:
                await self._check_silence()
            if going > breakers.SMALL_RUN:
                total = await context.read(
                    lambda c: session_counts.in_archive(c, tenant)
                )
                breakers.check_fraction(context.policy, going, total, what="archives")
        async for keys in due(to_micros(cutoff), tenant, tally.reasons):
            with self.watch.work("retention.expire", sessions=len(keys)):
                expired, held = await self._eraser.expire_archives(keys)
            tally.archives_expired += expired
            tally.held += held
        if tally.archives_expired:
            with self.watch.work("retention.sweep", sessions=tally.archives_expired):
                # Once, for all of them: a segment mostly holds some of each page.
                await self._recovery.sweep_archive()

    async def _check_silence(self) -> None:
        context = self._context
        last = await context.read(retention_runs.last_sound)
        breakers.check_silence(
            context.clock.now(),
            None if last is None else from_micros(last),
            context.policy.interval_s,
        )

    async def _is_silent(self) -> bool:
        """Whether archives that are due would wait for a person."""
        try:
            await self._check_silence()
        except RetentionHaltedError:
            return True
        return False

    async def _lease(self, run_id: str) -> bool:
        context = self._context
        now, ttl = context.now(), int(LEASE_TTL_S * _MICROS)
        epoch = await context.write(
            lambda c: leases.acquire(c, _LEASE, run_id, now, ttl)
        )
        context.on_step("lease.acquired")
        return epoch is not None

    async def _end(
        self, run_id: str, began: int, tally: Tally, problem: str | None
    ) -> None:
        context = self._context
        run = StoredRun(
            run_id,
            began,
            context.now(),
            tally.archived,
            tally.purged,
            len(tally.problems),
            problem,
        )
        try:
            await context.write(lambda c: retention_runs.finish(c, run))
            await context.write(lambda c: leases.release(c, _LEASE, run_id))
        except UnavailableError:
            # The database is away: the lease ends by itself, and the error that is
            # on its way to the caller says more than this one.
            log.warning("the end of a run could not be noted", extra={"event": "run"})


def _silent(_: Progress) -> None:
    pass
