"""The recurring jobs of a worker: retention, verification, upkeep, compaction.

Each job is safe at any time, in any number of workers, and cut short anywhere, so the
scheduler only has to see that it comes round: after an error, after the database was
away, and after the machine's clock was set. What is wrong for many runs is said once.
The only module that imports APScheduler.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from convstore.concurrency.completion import finished
from convstore.vocabulary.clock import SystemClock
from convstore.vocabulary.errors import ConfigError, ConvstoreError
from convstore.vocabulary.reports import CompactionReport, RetentionReport, VerifyReport
from convstore.vocabulary.settings import StoreConfig

log = logging.getLogger(__name__)

VERIFY_ALL_S = 30 * 86_400.0
"""Seconds in which every segment is read back once: bit rot is found while backups of
that age are still kept."""

VERIFY_EVERY_S = 3_600.0
UPKEEP_EVERY_S = 900.0
COMPACT_BUDGET_S = 3_600.0
"""No segment is begun to be joined after so long; the next run goes on."""

INDEX_EVERY_S = 5.0
"""What waits meanwhile is indexed by the next search, if that is sooner."""

WATCH_EVERY_S = 30.0
"""Seconds between two looks at the clock."""

JUMP_S = 5.0
"""The wall clock may drift this much between two looks; more is a jump."""

Body = Callable[[], Awaitable[str | None]]
"""Does a job once; what is wrong and lasts, if something is."""


class KeptArchive(Protocol):
    """The part of the archive's noun that verification and compaction need."""

    async def count_segments(self) -> int: ...

    async def verify(
        self, *, most: int | None, on_progress: Callable[..., None] | None
    ) -> VerifyReport: ...

    async def compact(
        self, *, time_budget_s: float | None, on_progress: Callable[[Any], None] | None
    ) -> CompactionReport: ...


class Index(Protocol):
    """The part of the noun of the index that indexing needs."""

    async def run(self, *, on_progress: Callable[[Any], None] | None) -> object: ...


class Worked(Protocol):
    """What the jobs need of a store. So the store may start them, and they need not
    know it."""

    @property
    def config(self) -> StoreConfig: ...

    @property
    def archive(self) -> KeptArchive: ...

    @property
    def search_index(self) -> Index: ...

    async def run_retention(
        self, *, time_budget_s: float | None, on_progress: Callable[[Any], None] | None
    ) -> RetentionReport: ...

    async def maintain(self) -> dict[str, int]: ...


@dataclass(slots=True)
class _Job:
    """A job, the task that runs it now, and what was wrong the last time."""

    name: str
    every_s: float
    body: Body
    task: asyncio.Task[None] | None = None
    problem: str | None = None
    bad_runs: int = 0


class Scheduler:
    """Runs the jobs of one store on its event loop; `store.scheduler()` makes one."""

    def __init__(self, store: Worked) -> None:
        self._store = store
        self._wall, self._watch = SystemClock(), ClockWatch()
        self._log_kept = 0
        self._share = VerifyShare()
        self._stopping = False
        self._watcher: asyncio.Task[None] | None = None
        self._timer: AsyncIOScheduler | None = None
        self._halts = _HaltFilter()
        interval_s = store.config.retention.interval_s
        self._jobs = {
            job.name: job
            for job in (
                _Job("retention", interval_s, self._retention),
                _Job("verification", VERIFY_EVERY_S, self._verification),
                _Job("upkeep", UPKEEP_EVERY_S, self._upkeep),
                *self._of_compaction(),
                *self._of_search(),
            )
        }

    @property
    def jobs(self) -> tuple[str, ...]:
        """The names of the jobs."""
        return tuple(self._jobs)

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the jobs that are under way now."""
        return tuple(job.name for job in self._jobs.values() if job.task is not None)

    async def start(self) -> None:
        """Begin: every job comes round once soon, and then at its interval."""
        if self._timer is not None or self._stopping:
            raise ConfigError("the scheduler was started already: make another one")
        timer = self._timer = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={
                # Runs that were missed are one run, however late.
                "coalesce": True,
                "max_instances": 1,
                "misfire_grace_time": None,
            },
        )
        logging.getLogger(_HaltFilter.LOGGER).addFilter(self._halts)
        for job in self._jobs.values():
            timer.add_job(
                self.run,
                "interval",
                args=[job.name],
                id=job.name,
                seconds=job.every_s,
                # Workers that start together do not stay together.
                jitter=job.every_s / 20,
                next_run_time=self._wall.now(),
            )
        timer.start()
        self._watcher = asyncio.create_task(self._watch_clock(), name="convstore-clock")

    async def stop(self) -> None:
        """End: start nothing more, and wait for the batches under way. Idempotent.

        A run ends behind the batch or the segment that it is at; the next worker goes
        on there. Nothing is left behind on the event loop.
        """
        self._stopping = True
        timer, self._timer = self._timer, None
        if timer is None:
            return
        timer.pause()
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        if self._watcher is not None:
            self._watcher.cancel()
            tasks.append(self._watcher)
        if tasks:
            await finished(asyncio.wait(tasks))
        timer.remove_all_jobs()
        timer.shutdown(wait=False)
        logging.getLogger(_HaltFilter.LOGGER).removeFilter(self._halts)
        # APScheduler hands its own shutdown to the loop's next round.
        await asyncio.sleep(0)

    async def run(self, name: str) -> None:
        """Run a job now, as its interval would; wait for it if it is under way.

        Errors of ours are logged, once for each spell of trouble, and not raised.
        """
        job = self._jobs[name]
        if job.task is None:
            if self._stopping:
                return
            job.task = asyncio.create_task(self._once(job), name=f"convstore-{name}")
        task = job.task
        # The job goes on if only this caller is cancelled.
        await asyncio.wait([task])
        # A fault of ours, and no error: APScheduler logs it, and the job comes round.
        task.result()

    async def _once(self, job: _Job) -> None:
        try:
            self._note(job, await job.body())
        except ConvstoreError as error:
            self._note(job, f"{error.code}: {error}")
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            # Ended between two batches, by `_end_here`.
        finally:
            job.task = None

    def _note(self, job: _Job, problem: str | None) -> None:
        """Say once that something is wrong, and once that it is well again."""
        extra = {"event": "job", "job": job.name}
        if problem is None:
            if job.problem is not None:
                log.info(
                    "%s works again after %d runs", job.name, job.bad_runs, extra=extra
                )
            job.problem, job.bad_runs = None, 0
            return
        # By kind: the numbers in the text change from run to run.
        kind = problem.partition(":")[0]
        if kind != job.problem:
            log.error("%s: %s", job.name, problem, extra=extra)
        job.problem, job.bad_runs = kind, job.bad_runs + 1

    async def _retention(self) -> str | None:
        report = await self._store.run_retention(
            # Runs do not overlap; what is left over comes with the next one.
            time_budget_s=self._jobs["retention"].every_s,
            on_progress=lambda _: self._end_here(),
        )
        if report.halted:
            return f"halted: {report.halted}"
        if report.problems:
            return f"unarchived: {len(report.problems)} sessions were kept"
        return None

    def _of_search(self) -> list[_Job]:
        if self._store.config.search.mode == "off":
            return []
        return [_Job("indexing", INDEX_EVERY_S, self._indexing)]

    async def _indexing(self) -> str | None:
        await self._store.search_index.run(on_progress=lambda _: self._end_here())
        return None

    async def _verification(self) -> str | None:
        most = self._share.due(await self._store.archive.count_segments())
        if not most:
            return None
        report = await self._store.archive.verify(
            most=most, on_progress=lambda *_: self._end_here()
        )
        for fault in report.faults:
            log.error(
                "segment %s: %s",
                fault.segment_id,
                fault.problem,
                extra={"event": "segment_corrupt", "segment_id": fault.segment_id},
            )
        return None

    def _of_compaction(self) -> list[_Job]:
        every_s = self._store.config.retention.compact_interval_s
        return [_Job("compaction", every_s, self._compaction)] if every_s else []

    async def _compaction(self) -> str | None:
        report = await self._store.archive.compact(
            time_budget_s=COMPACT_BUDGET_S, on_progress=lambda _: self._end_here()
        )
        # What is damaged is verification's to tell; who was in use comes next time.
        if report.joined:
            log.info(
                "joined %d small segments",
                report.joined,
                extra={"event": "job", "job": "compaction"},
            )
        return None

    async def _upkeep(self) -> str | None:
        done = await self._store.maintain()
        kept, before = done.get("wal_frames_left", 0), self._log_kept
        self._log_kept = kept
        # One reader that is not done yet is no news; one of a quarter of an hour is.
        if kept and before:
            return (
                f"log_kept: an open read keeps {kept} pages in the write-ahead log, "
                "which grows until it ends: see `convstore doctor`"
            )
        return None

    def _end_here(self) -> None:
        """End a run behind a whole batch when the scheduler stops.

        The cancellation reaches the job where it waits next, which is before the next
        batch: this is called between the two.
        """
        if self._stopping:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    async def _watch_clock(self) -> None:
        """Bring the jobs round again when the wall clock, by which they are planned,
        was set: back, they would all wait until it has caught up."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            self.look_at_clock(self._wall.now(), time.monotonic())

    def look_at_clock(self, wall: datetime, monotonic_s: float) -> None:
        """Plan every job anew if the wall clock has jumped since the last look."""
        if not self._watch.jumped(wall, monotonic_s) or self._timer is None:
            return
        log.warning("the clock was set: jobs are planned anew", extra={"event": "job"})
        for job in self._jobs.values():
            at = wall + timedelta(seconds=job.every_s)
            self._timer.modify_job(job.name, next_run_time=at)

    def next_run_at(self, name: str) -> datetime | None:
        """When a job comes round next, by the wall clock."""
        job = None if self._timer is None else self._timer.get_job(name)
        return None if job is None else job.next_run_time


class ClockWatch:
    """Tells a wall clock that was set from one that merely goes on."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def jumped(self, wall: datetime, monotonic_s: float) -> bool:
        """Whether the two clocks have gone apart since the last call."""
        last, self._last = self._last, (wall, monotonic_s)
        if last is None:
            return False
        apart_s = (wall - last[0]).total_seconds() - (monotonic_s - last[1])
        return abs(apart_s) > JUMP_S


class VerifyShare:
    """How many segments a run verifies, so that all are read in `VERIFY_ALL_S`.

    Starts with one, so that a worker that is restarted often still gets on.
    """

    def __init__(self) -> None:
        self._credit = 1.0

    def due(self, segments: int) -> int:
        """Segments of this run; called once every `VERIFY_EVERY_S`."""
        self._credit += segments * VERIFY_EVERY_S / VERIFY_ALL_S
        most = min(int(self._credit), segments)
        self._credit -= most
        return most


class _HaltFilter(logging.Filter):
    """Keeps back what the retention job says of each halted run: the scheduler says it
    once for all of them."""

    LOGGER = "convstore.retention.job"

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "event", None) != "halted"
