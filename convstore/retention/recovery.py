"""Puts in order what a crash left behind. Idempotent; before each run, and by hand.

Nothing here destroys an only copy: a file that the ledger does not know goes only if
every session in it is in the database at the same version or a later one.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from convstore.archive.manifest import Manifest
from convstore.archive.reader import read_manifest, segment_keys
from convstore.archive.segment import segment_id_of
from convstore.archive.verify import rebuild_manifest, verify_segment
from convstore.db import erasures, segments, sessions
from convstore.db.engine import Connection
from convstore.db.segments import StoredSegment
from convstore.errors import (
    ConfigError,
    LegalHoldError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.reports import RecoveryReport
from convstore.retention.archiver import destroy_files
from convstore.retention.context import WRITER, Context
from convstore.retention.eraser import Eraser
from convstore.retention.purger import purge

log = logging.getLogger(__name__)

LEASE_TTL_S = 120.0
"""Seconds a worker's lease lasts between renewals."""

DEAD_AFTER_S = 2 * LEASE_TTL_S
"""A segment being written for longer than this without its writer's lease is dead."""

KEEP_SUPERSEDED_S = 86_400.0
"""A segment in which nothing is the only copy is kept this long, for backups."""

_MICROS = 1_000_000


class Recovery:
    """Finishes or removes what was under way when a worker died."""

    def __init__(self, context: Context, eraser: Eraser) -> None:
        self._context = context
        self._eraser = eraser

    async def run(self, *, alone: bool = False) -> RecoveryReport:
        """Put everything in order.

        Args:
            alone: No other worker is running: what is being written is dead whatever
                its age. The operator's word, for `convstore archive recover`.
        """
        report = RecoveryReport()
        report = await self._remove_dead(report, alone)
        report = await self._look_at_orphans(report, alone)
        report = await self._finish_purges(report)
        report = await self._finish_deletions(report)
        report = await self._finish_erasures(report)
        return await self._sweep_staged(report, alone)

    async def _remove_dead(self, report: RecoveryReport, alone: bool) -> RecoveryReport:
        """Segments that were never sealed: nothing can have been purged by them."""
        now = self._context.now()
        for segment in await self._by_state("writing"):
            age_s = abs(now - segment.created_at) / _MICROS
            if not alone and age_s < DEAD_AFTER_S:
                continue
            report = await self._remove_if_superseded(report, segment.key, segment)
        return report

    async def _look_at_orphans(
        self, report: RecoveryReport, alone: bool
    ) -> RecoveryReport:
        """Files without a row: the database is older than the archive."""
        keys = await self._context.files(lambda: segment_keys(self._context.blobs))
        for key in keys:
            segment_id = segment_id_of(key)
            known = await self._context.read(
                lambda c, i=segment_id: segments.find(c, i)  # type: ignore[misc]
            )
            if known is None:
                report = await self._remove_if_superseded(report, key, None)
            elif known.state in ("deleting", "deleted"):
                await self._context.files(lambda k=key: destroy_files(self._context, k))  # type: ignore[misc]
                await self._context.write(
                    lambda c, i=segment_id: segments.forget(c, i)  # type: ignore[misc]
                )
                report = replace(report, segments_removed=report.segments_removed + 1)
        return report

    async def _remove_if_superseded(
        self, report: RecoveryReport, key: str, known: StoredSegment | None
    ) -> RecoveryReport:
        context, segment_id = self._context, segment_id_of(key)
        try:
            manifest = await context.files(lambda: _manifest(context, key))
        except SegmentNotFoundError:
            manifest = None
        except (SegmentCorruptError, ConfigError):
            log.error(
                "segment %s is unknown and cannot be read: kept",
                segment_id,
                extra={"event": "orphan_unreadable", "segment_id": segment_id},
            )
            return replace(report, segments_kept=(*report.segments_kept, segment_id))
        if manifest is not None and not await context.read(
            lambda c: _all_in_database(c, manifest)
        ):
            return replace(report, segments_kept=(*report.segments_kept, segment_id))
        context.on_step("recover.remove")
        await context.files(lambda: destroy_files(context, key))
        if known is not None:
            await context.write(lambda c: segments.forget(c, segment_id))
        return replace(report, segments_removed=report.segments_removed + 1)

    async def _finish_purges(self, report: RecoveryReport) -> RecoveryReport:
        """Sealed, not purged: read the segment again before anything is destroyed."""
        context = self._context
        pending = await context.read(segments.with_pending_entries)
        for segment in pending:
            entries = await context.read(
                lambda c, s=segment: segments.entries_of(c, s.segment_id, "sealed")  # type: ignore[misc]
            )
            faults = await context.files(
                lambda s=segment: verify_segment(context.blobs, s.key)  # type: ignore[misc]
            )
            if faults:
                await self._quarantine(segment, faults[0].problem)
                report = replace(
                    report, entries_stale=report.entries_stale + len(entries)
                )
                continue
            context.on_step("recover.purge")
            done = await purge(context, entries)
            # A session erased or deleted while the segment was written has a copy
            # in it that nobody else knows of.
            await self._eraser.sweep([entry.key for entry in entries])
            report = replace(
                report,
                purges_finished=report.purges_finished + len(done.purged),
                entries_stale=report.entries_stale
                + len(done.changed)
                + len(done.mismatched),
            )
        return report

    async def _finish_deletions(self, report: RecoveryReport) -> RecoveryReport:
        context, removed = self._context, 0
        before = context.now() - int(KEEP_SUPERSEDED_S * _MICROS)
        useless = await context.read(lambda c: segments.without_use(c, before))
        for segment in useless:
            await context.write(
                lambda c, s=segment: segments.set_state(c, s.segment_id, "deleting")  # type: ignore[misc]
            )
            context.on_step("gc.mark")
        for segment in await self._by_state("deleting"):
            await context.files(lambda s=segment: destroy_files(context, s.key))  # type: ignore[misc]
            context.on_step("gc.unlink")
            await context.write(
                lambda c, s=segment: segments.forget(c, s.segment_id)  # type: ignore[misc]
            )
            removed += 1
        return replace(report, segments_removed=report.segments_removed + removed)

    async def _finish_erasures(self, report: RecoveryReport) -> RecoveryReport:
        done = 0
        for erasure in await self._context.read(lambda c: erasures.all_of(c, "begun")):
            try:
                await self._eraser.carry_out(erasure)
            except LegalHoldError:
                log.warning(
                    "erasure %s waits for a legal hold",
                    erasure.erasure_id,
                    extra={"event": "erasure_held", "erasure_id": erasure.erasure_id},
                )
                continue
            done += 1
        return replace(report, erasures_finished=done)

    async def _sweep_staged(
        self, report: RecoveryReport, alone: bool
    ) -> RecoveryReport:
        age_s = 0.0 if alone else DEAD_AFTER_S
        dropped = await self._context.files(lambda: self._context.blobs.sweep(age_s))
        return replace(report, staged_removed=len(dropped))

    async def _quarantine(self, segment: StoredSegment, problem: str) -> None:
        log.error(
            "segment %s does not verify: its sessions keep their rows",
            segment.segment_id,
            extra={"event": "segment_corrupt", "segment_id": segment.segment_id},
        )

        def work(connection: Connection) -> None:
            segments.set_state(
                connection, segment.segment_id, "quarantined", problem=problem[:255]
            )
            pending = segments.entries_of(connection, segment.segment_id, "sealed")
            segments.set_entries(
                connection, segment.segment_id, [e.key for e in pending], "stale"
            )

        await self._context.write(work)

    async def _by_state(self, state: str) -> list[StoredSegment]:
        return await self._context.read(lambda c: segments.by_state(c, state))


def _manifest(context: Context, key: str) -> Manifest:
    try:
        return read_manifest(context.blobs, key)
    except (SegmentNotFoundError, SegmentCorruptError):
        return rebuild_manifest(context.blobs, key, writer=WRITER)


def _all_in_database(connection: Connection, manifest: Manifest) -> bool:
    """Whether each session of a file is in the database, as new or newer."""
    return all(
        _is_in_database(connection, (entry.tenant_id, entry.session_id), version)
        for entry in manifest.entries
        for version in [entry.session_version]
    )


def _is_in_database(connection: Connection, key: tuple[str, str], version: int) -> bool:
    session = sessions.find(connection, key)
    if session is None:
        return False
    return session.state in ("erased", "deleted") or session.version >= version
