"""The noun `archive`: what is in it, what is due, whether it is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from os import PathLike
from pathlib import Path
from typing import Any

from convstore.archive.context import Context
from convstore.archive.inspection import Agreement, Inspector
from convstore.archive.restorer import Restorer
from convstore.db import overviews, retention_runs, segments
from convstore.repositories.cursors import check_limit, keyed_page
from convstore.repositories.scope import Scope
from convstore.retention.adoption import adopt
from convstore.retention.compaction import CompactionOptions, compact
from convstore.retention.job import RetentionJob, RunOptions
from convstore.retention.plan import Decision
from convstore.retention.rebuild import rebuild
from convstore.retention.recovery import Recovery
from convstore.vocabulary.clock import from_micros, to_micros
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.overviews import ArchiveSegment, RetentionRun
from convstore.vocabulary.progress import OnProgress
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import NEW_CHAT, Page, SessionDocument
from convstore.vocabulary.reports import (
    AdoptionReport,
    ArchivedSession,
    CompactionReport,
    RebuildReport,
    RecoveryReport,
    TablesReport,
    VerifyReport,
)


class ArchiveParts(Value, frozen=True):
    """What the noun speaks for."""

    context: Context
    restorer: Restorer
    recovery: Recovery
    inspector: Inspector
    job: RetentionJob


class Archive:
    """The archive: sessions of the scope's tenant, and the files of all."""

    def __init__(self, scope: Scope, parts: ArchiveParts) -> None:
        self._scope = scope
        self._parts = parts

    async def list(
        self,
        *,
        user_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[ArchivedSession]:
        """Archived sessions of the tenant by id, a page at a time.

        Args:
            user_id: Only this user's.
            cursor: `next_cursor` of the page before, or `previous_cursor` of the one
                behind.
        """
        check_limit(self._scope.limits, limit)
        user = check_optional_id("user_id", user_id)

        async def read(
            place: tuple[str] | None, back: bool, most: int
        ) -> list[ArchivedSession]:
            after = "" if place is None else place[0]
            found = await self._scope.runner.read(
                lambda c: segments.archived_sessions(
                    c,
                    self._scope.tenant,
                    after=after,
                    limit=most,
                    user_id=user,
                    back=back,
                )
            )
            return [_archived(self._scope.tenant, row) for row in found]

        return await keyed_page(cursor, (str,), limit, read, lambda s: (s.session_id,))

    async def read(self, session_id: str) -> SessionDocument:
        """An archived session, verified, without restoring it.

        Raises:
            SessionNotFoundError: No archived session of this tenant has the id.
            SegmentCorruptError: Its file is damaged or missing.
            ArchiveAwayError: The archive folder is not there.
        """
        return await self._parts.restorer.read(
            self._scope.runner, self._scope.tenant, check_id("session_id", session_id)
        )

    def plan(
        self, *, older_than_s: float | None = None, tenant_id: str | None = None
    ) -> AsyncIterator[Decision]:
        """What a run of retention would do with each candidate, and why.

        Of every tenant, or one. Changes nothing; flat in memory.
        """
        tenant = check_optional_id("tenant_id", tenant_id)
        return self._parts.job.plan(
            RunOptions(older_than_s=older_than_s, tenant=tenant)
        )

    async def verify(
        self,
        segment_id: str | None = None,
        *,
        most: int | None = None,
        deep: bool = False,
        record: bool = True,
        on_progress: OnProgress | None = None,
    ) -> VerifyReport:
        """Read segments back from the disk, those longest unread first; all or one.

        A segment with a fault is quarantined and reported with the sessions concerned.

        Args:
            segment_id: Only this one.
            most: At most so many.
            deep: Also decode every document.
            record: Note in the database what was read, and put into quarantine what is
                damaged. Without, nothing is written: for a standby.
            on_progress: Told of each segment.

        Raises:
            SegmentNotFoundError: There is no segment with this id.
        """
        return await self._parts.inspector.verify(
            segment_id,
            most=most,
            deep=deep,
            record=record,
            on_progress=on_progress,
        )

    async def count_segments(self) -> int:
        """How many segments the archive has, damaged ones included; reads no file."""
        found = await self._scope.runner.read(segments.totals)
        return sum(found.get(state, (0, 0))[0] for state in ("sealed", "quarantined"))

    async def segments(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[ArchiveSegment]:
        """The files of the archive, of every tenant, the newest first; reads none."""
        check_limit(self._scope.limits, limit)

        async def read(
            place: tuple[int, str] | None, back: bool, most: int
        ) -> list[ArchiveSegment]:
            found = await self._scope.runner.read(
                lambda c: overviews.segments(c, place, most, back=back)
            )
            return [_segment(one) for one in found]

        return await keyed_page(
            cursor,
            (int, str),
            limit,
            read,
            lambda s: (to_micros(s.created_at), s.segment_id),
        )

    async def runs(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[RetentionRun]:
        """What retention did, the newest run first; the last 1,000 are remembered."""
        check_limit(self._scope.limits, limit)

        async def read(
            place: tuple[str] | None, back: bool, most: int
        ) -> list[RetentionRun]:
            at = None if place is None else place[0]
            found = await self._scope.runner.read(
                lambda c: retention_runs.page(c, at, most, back=back)
            )
            return [_run(one) for one in found]

        return await keyed_page(cursor, (str,), limit, read, lambda r: (r.run_id,))

    async def agreement(self) -> Agreement:
        """Where files and ledger differ, by name and size; reads no segment."""
        return await self._parts.inspector.agreement()

    async def recover(self, *, alone: bool = False) -> RecoveryReport:
        """Finish or remove what a crash left behind. Idempotent.

        Args:
            alone: No other worker runs: what is half written is dead whatever its age.
        """
        return await self._parts.recovery.run(alone=alone)

    async def adopt(self, *, dry_run: bool = False) -> AdoptionReport:
        """Go on with the archive folder that is there, in place of the one that is
        lost, or that a copy of this database worked on: a person's word.

        Sessions whose only copy is not there are damaged from then on; the report says
        how many. A copy of this database, or its original, stops. Idempotent.

        Args:
            dry_run: Change nothing; say what would be lost.

        Raises:
            ConfigError: The folder holds another database's segments alone.
        """
        return await adopt(self._parts.context, dry_run=dry_run)

    async def compact(
        self,
        *,
        tenant_id: str | None = None,
        segment_bytes: int | None = None,
        time_budget_s: float | None = None,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> CompactionReport:
        """Join small segments of a tenant and month to larger ones.

        Copies that rows or later copies have superseded for a day are left out. The
        new segment is read back before the old ones are destroyed, and reads, restores,
        erasures, holds and verification go on beside it. Cut short anywhere, nothing is
        lost, and the next call goes on there: what was made already is read back and
        takes its place. Several callers do no harm: one does the work.

        Args:
            tenant_id: Only this tenant's; all without.
            segment_bytes: Joined up to this size, packed; `retention.segment_bytes`
                without. Those under half of it are small.
            time_budget_s: Begin no new segment after so many seconds.
            dry_run: Count what would be joined; change nothing.
            on_progress: Told of each new segment.

        Raises:
            ArchiveAwayError, ArchiveTakenError: The folder is not proven to be this
                database's.
            StorageFullError: There is no room for the new one beside the old ones.
        """
        context = self._parts.context
        most = context.policy.segment_bytes if segment_bytes is None else segment_bytes
        if most < 1:
            raise InvalidInputError("segment_bytes", "must be at least 1")
        if time_budget_s is not None and not time_budget_s >= 0:
            raise InvalidInputError("time_budget_s", "must be at least 0")
        tenant = check_optional_id("tenant_id", tenant_id)
        options = CompactionOptions(most, tenant, time_budget_s, dry_run)
        return await compact(context, options, on_progress)

    async def tables(
        self,
        to: str | PathLike[str],
        *,
        tenant_id: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> TablesReport:
        """Write the archive as Parquet tables for analysts, or bring them up to date.

        Below `to` there are `sessions`, `turns` and `interactions`, by month of the
        segment, with one file for each segment and each archived session in one of
        them. Again, only what is new is written; what was restored, deleted or erased
        since is removed. Live sessions are not in there. What was said is: keep the
        folder like the archive.

        Args:
            to: A folder that is empty, not there, or has the tables of before.
            tenant_id: Only this tenant's; all without.
            on_progress: Told of each few segments.

        Raises:
            ConfigError: The folder holds something else, is being written, or may not
                be written to.
            StorageFullError: There is no room; the next run goes on from what is there.
            MissingExtraError: pyarrow is not installed.
            ArchiveAwayError: The archive is not there.
        """
        from convstore.archive.tables import write_tables

        tenant = check_optional_id("tenant_id", tenant_id)
        return await write_tables(self._parts.context, Path(to), tenant, on_progress)

    async def rebuild(self, *, on_progress: OnProgress | None = None) -> RebuildReport:
        """Take up every session of the archive folder that the database lacks.

        Overwrites nothing, leaves out what was erased. Idempotent.
        """
        return await rebuild(self._parts.context, on_progress)


def _archived(tenant: str, row: Any) -> ArchivedSession:
    return ArchivedSession(
        tenant_id=tenant,
        session_id=row.session_id,
        user_id=row.user_id,
        title=NEW_CHAT if row.title is None else row.title,
        turn_count=row.turn_count,
        archived_at=from_micros(row.archived_at),
        segment_id=row.segment_id,
        size_bytes=row.length,
    )


def _segment(one: overviews.SegmentSummary) -> ArchiveSegment:
    return ArchiveSegment(
        one.segment_id,
        one.state,
        one.size_bytes,
        one.raw_bytes,
        one.entry_count,
        one.problem,
        from_micros(one.created_at),
        None if one.sealed_at is None else from_micros(one.sealed_at),
        None if one.verified_at is None else from_micros(one.verified_at),
    )


def _run(run: retention_runs.StoredRun) -> RetentionRun:
    return RetentionRun(
        run.run_id,
        from_micros(run.started_at),
        None if run.finished_at is None else from_micros(run.finished_at),
        run.archived,
        run.purged,
        run.failed,
        run.problem,
    )
