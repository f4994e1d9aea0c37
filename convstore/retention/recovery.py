"""Puts in order what a crash left behind. Idempotent; before each run, and by hand.

Nothing here destroys an only copy: a file that the ledger does not know goes only if
every session in it is in the database, or in another file, at the same version or a
later one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from convstore.archive.archiver import destroy, destroy_marked
from convstore.archive.context import DEAD_AFTER_S, WRITER, Context
from convstore.archive.inspection import verify_sealed
from convstore.archive.ownership import claim, guard, renew
from convstore.db import archive_entries, segments, sessions, unfinished
from convstore.db.archive_entries import StoredEntry
from convstore.db.codec.documents import fingerprint_of
from convstore.db.engine import Connection
from convstore.db.segments import StoredSegment
from convstore.db.unit import Key
from convstore.erasure.eraser import Eraser
from convstore.erasure.replay import finish_erasures
from convstore.erasure.sweeper import SweepError
from convstore.retention.purger import purge
from convstore.segments.manifest import Manifest
from convstore.segments.reader import next_keys, read_document, read_manifest
from convstore.segments.segment import segment_id_of
from convstore.segments.verify import rebuild_manifest
from convstore.vocabulary.errors import (
    ConfigError,
    DatabaseBusyError,
    LegalHoldError,
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.reports import RecoveryReport

log = logging.getLogger(__name__)

KEEP_SUPERSEDED_S = 86_400.0
"""A segment in which nothing is the only copy is kept this long, for backups."""

_MICROS = 1_000_000

_AT_ONCE = 500
"""Files that are compared with the ledger in one statement."""


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

        Raises:
            ConfigError: The archive folder is another database's.
            ArchiveAwayError, ArchiveTakenError: It is not proven to be this one's.
        """
        await claim(self._context)
        report = RecoveryReport()
        report = await self._remove_dead(report, alone)
        report = await self._look_at_orphans(report)
        report = await self._finish_purges(report)
        report = await self._finish_deletions(report, alone)
        finished = await finish_erasures(self._context, self._eraser)
        report = replace(report, erasures_finished=finished)
        await self.sweep_archive()
        report = await self._sweep_staged(report, alone)
        # Even where there was nothing to do: a copy of this database is behind from now
        # on, and what a dead worker left of its own generation goes.
        await renew(self._context)
        return report

    async def _remove_dead(self, report: RecoveryReport, alone: bool) -> RecoveryReport:
        """Segments that were never sealed: nothing can have been purged by them."""
        for segment in await self._by_state("writing"):
            if not (alone or self._context.is_dead(segment)):
                continue
            report = await self._remove_if_superseded(report, segment.key, segment)
        return report

    async def _look_at_orphans(self, report: RecoveryReport) -> RecoveryReport:
        """Files without a row: the database is older than the archive."""
        context = self._context
        after = ""
        while True:
            # Files first: a segment is announced in the ledger before its file is
            # there.
            keys = await context.files(
                lambda a=after: next_keys(context.blobs, a, _AT_ONCE)  # type: ignore[misc]
            )
            ids = {key: segment_id_of(key) for key in keys}
            states = await context.read(
                lambda c, i=ids: segments.states(c, list(i.values()))  # type: ignore[misc]
            )
            for key, segment_id in ids.items():
                state = states.get(segment_id)
                if state is None:
                    report = await self._remove_if_superseded(report, key, None)
                elif state == "deleted":
                    await destroy(context, key)
                    removed = report.segments_removed + 1
                    report = replace(report, segments_removed=removed)
            if len(keys) < _AT_ONCE:
                return report
            after = keys[-1]

    async def _remove_if_superseded(
        self, report: RecoveryReport, key: str, known: StoredSegment | None
    ) -> RecoveryReport:
        context, segment_id = self._context, segment_id_of(key)
        try:
            manifest = await context.files(lambda: _manifest(context, key))
        except SegmentNotFoundError:
            manifest = None
        except (SegmentCorruptError, NewerFormatError, ConfigError):
            log.error(
                "segment %s is unknown and cannot be read: kept",
                segment_id,
                extra={"event": "orphan_unreadable", "segment_id": segment_id},
            )
            return replace(report, segments_kept=(*report.segments_kept, segment_id))
        if manifest is not None and not await self._is_superseded(manifest):
            return replace(report, segments_kept=(*report.segments_kept, segment_id))
        if known is not None and not await context.write(
            lambda c: segments.change_state(c, segment_id, "deleting", was=("writing",))
        ):
            return report  # its writer was alive after all, and has sealed it
        context.on_step("recover.remove")
        await destroy(context, key)
        if known is not None:
            await context.write(lambda c: segments.forget(c, segment_id))
        return replace(report, segments_removed=report.segments_removed + 1)

    async def _is_superseded(self, manifest: Manifest) -> bool:
        """Whether each session of a file is elsewhere, as new or newer."""
        context = self._context
        await guard(context)
        others = await context.read(lambda c: _other_copies(c, manifest))
        if others is None:
            return False
        return await context.files(lambda: all(map(context.blobs.exists, others)))

    async def _finish_purges(self, report: RecoveryReport) -> RecoveryReport:
        """Sealed, not purged: read the segment again before anything is destroyed."""
        context = self._context
        pending = await context.read(unfinished.with_pending_entries)
        for segment in pending:
            entries = await context.read(
                lambda c, s=segment: archive_entries.of_segment(
                    c, s.segment_id, "sealed"
                )  # type: ignore[misc]
            )
            try:
                faults = await context.files(
                    lambda s=segment: verify_sealed(context.blobs, s)  # type: ignore[misc]
                )
            except NewerFormatError as error:
                _tell_newer(error)  # who wrote it finishes it
                continue
            if faults:
                await guard(context)  # no fault of the segment if the folder has gone
                await self._quarantine(segment, faults[0].problem)
                report = replace(
                    report, entries_stale=report.entries_stale + len(entries)
                )
                continue
            context.on_step("recover.purge")
            try:
                prints = await context.files(
                    lambda s=segment, e=entries: _fingerprints(context, s, e)  # type: ignore[misc]
                )
            except SegmentNotFoundError:
                await guard(context)
                continue  # replaced by an erasure since: the next run finds the new one
            done = await purge(context, entries, prints)
            report = replace(
                report,
                purges_finished=report.purges_finished + len(done.purged),
                entries_stale=report.entries_stale
                + len(done.changed)
                + len(done.mismatched),
            )
        return report

    async def _finish_deletions(
        self, report: RecoveryReport, alone: bool
    ) -> RecoveryReport:
        context = self._context
        before = context.now() - int(KEEP_SUPERSEDED_S * _MICROS)
        after: str | None = ""
        while after is not None:
            useless, after = await context.read(
                lambda c, a=after: unfinished.without_use(c, before, a)  # type: ignore[misc]
            )
            for segment in useless:
                await context.write(
                    lambda c, s=segment: segments.change_state(  # type: ignore[misc]
                        c, s.segment_id, "deleting", was=("sealed",)
                    )
                )
                context.on_step("gc.mark")
        removed = await destroy_marked(context, alone=alone)
        return replace(report, segments_removed=report.segments_removed + removed)

    async def sweep_archive(self) -> None:
        """Copies of what was erased or deleted while it was being archived, by a
        worker that died before it could remove them itself."""
        swept = await self._eraser.sweep()
        for error in swept.failed:
            _tell_stuck(error)

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
            segments.lock(connection, segment.segment_id)
            segments.quarantine(connection, segment.segment_id, problem)

        await self._context.write(work)

    async def _by_state(self, state: str) -> list[StoredSegment]:
        return await self._context.read(lambda c: segments.by_state(c, state))


def _manifest(context: Context, key: str) -> Manifest:
    """All that a file holds: it is to be destroyed if none of that is missed."""
    with suppress(SegmentNotFoundError, SegmentCorruptError):
        manifest = read_manifest(context.blobs, key)
        if manifest.covers(context.blobs.size(key)):
            return manifest
    return rebuild_manifest(context.blobs, key, writer=WRITER)


def _fingerprints(
    context: Context, segment: StoredSegment, entries: Sequence[StoredEntry]
) -> dict[Key, bytes]:
    """Of the rows that restoring sessions of a segment would make."""
    return {
        entry.key: fingerprint_of(read_document(context.blobs, segment.key, entry))
        for entry in entries
    }


def _other_copies(connection: Connection, manifest: Manifest) -> set[str] | None:
    """Keys of the files that hold the sessions of this one, as new or newer, where the
    database itself does not; None if a session is nowhere else."""
    keys: set[str] = set()
    for entry in manifest.entries:
        session = sessions.find(connection, (entry.tenant_id, entry.session_id))
        if session is None:
            return None
        if session.state == "erased":
            continue
        if session.state == "deleted" and session.segment_id is None:
            continue
        if session.version < entry.session_version:
            return None
        if session.segment_id is None:
            continue
        other = segments.find(connection, session.segment_id)
        if other is None or other.segment_id == manifest.segment_id:
            return None
        keys.add(other.key)
    return keys


def _tell_newer(error: NewerFormatError) -> None:
    log.warning(
        "segment %s is of a newer format: left as it is",
        error.segment_id,
        extra={"event": "segment_newer", "segment_id": error.segment_id},
    )


def _tell_stuck(
    error: SweepError,
) -> None:
    if isinstance(error, NewerFormatError):
        _tell_newer(error)
        return
    if isinstance(error, DatabaseBusyError | LegalHoldError):
        log.warning(
            "a segment or a session in it is held: what must go from it waits for the "
            "next sweep",
            extra={"event": "sweep_waits"},
        )
        return
    log.error(
        "segment %s is damaged: what must go from it stays",
        error.segment_id,
        extra={"event": "segment_corrupt", "segment_id": error.segment_id},
    )
