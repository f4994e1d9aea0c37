"""Looks at the archive: reads segments back, and compares files with the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from convstore.archive.context import Context
from convstore.archive.ownership import Kind, guard, look
from convstore.blobs.base import Advised, BlobStore
from convstore.blobs.probe import probe
from convstore.db import archive_entries, segments
from convstore.db.archive_entries import StoredEntry
from convstore.db.engine import Connection
from convstore.db.segments import StoredSegment
from convstore.segments.reader import Fault, read_manifest, segment_keys
from convstore.segments.segment import segment_id_of
from convstore.segments.verify import verify_segment
from convstore.vocabulary.errors import (
    ConfigError,
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.record import Value
from convstore.vocabulary.reports import ArchiveFault, SessionProblem, VerifyReport


class Agreement(Value, frozen=True):
    """Where the archive folder and the ledger differ; empty lists when they agree.

    `standing` is whose the folder is, see `Standing.kind`: unless it is `ours` or
    `unclaimed` they cannot agree, and what the lists hold says nothing.
    """

    missing_files: tuple[str, ...]
    unknown_files: tuple[str, ...]
    wrong_sizes: tuple[str, ...]
    unfinished: int
    standing: Kind = "unclaimed"
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        differ = self.missing_files or self.unknown_files or self.wrong_sizes
        return not differ and self.standing in ("ours", "unclaimed")


class Inspector:
    """Verifies segments; a damaged one is quarantined, never deleted."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def verify(
        self,
        segment_id: str | None = None,
        *,
        most: int | None = None,
        deep: bool = False,
        record: bool = True,
        on_progress: OnProgress | None = None,
    ) -> VerifyReport:
        """Read segments back, those longest unread first, and compare every checksum.

        Args:
            segment_id: Only this one.
            most: At most so many segments: the rotating share of the scheduler.
            deep: Also decode every document into records.
            record: Note what was found; without, nothing is written.

        Raises:
            SegmentNotFoundError: The ledger has no segment with this id.
            ConfigError: The archive folder is another database's.
            ArchiveAwayError, ArchiveTakenError: It is not proven to be this one's: what
                is missing there is no damage.
        """
        (await look(self._context)).check()
        chosen = await self._chosen(segment_id, most)
        faults: list[ArchiveFault] = []
        at_risk: list[SessionProblem] = []
        newer: list[str] = []
        for number, segment in enumerate(chosen, 1):
            try:
                found = await self._context.files(
                    lambda s=segment: self._verify(s, deep)  # type: ignore[misc]
                )
            except NewerFormatError:
                newer.append(segment.segment_id)
                continue
            if found:
                await guard(self._context)  # the folder may have gone meanwhile
            noted = self._note if record else self._unnoted
            only_copies = await noted(segment, found)
            if only_copies is not None:
                at_risk += _at_risk(only_copies, found)
                faults += found
            if on_progress is not None:
                on_progress(Progress("verify", "segments", number, len(chosen)))
        return VerifyReport(
            segments=len(chosen),
            sessions=sum(segment.entry_count for segment in chosen),
            size_bytes=sum(segment.size_bytes for segment in chosen),
            faults=tuple(faults),
            sessions_at_risk=tuple(at_risk),
            newer=tuple(newer),
        )

    async def probe(self) -> list[str]:
        """Write, read back, list and delete a file; see `blobs.probe`, `blobs.Advised`.

        Raises:
            ArchiveAwayError, ArchiveTakenError: The folder is not proven to be this
                database's. Nothing is written: it would make the folder that is away.
        """
        await guard(self._context)
        blobs = self._context.blobs
        await self._context.files(lambda: probe(blobs))
        if not isinstance(blobs, Advised):
            return []
        return await self._context.files(blobs.advice)

    async def agreement(self) -> Agreement:
        """Compare names and sizes of files with the ledger; reads no segment."""
        standing = await look(self._context)
        known = await self._context.read(
            lambda c: segments.by_state(
                c, "writing", "sealed", "quarantined", "deleting"
            )
        )
        blobs = self._context.blobs

        def work() -> tuple[set[str], list[str]]:
            present = set(segment_keys(blobs))
            wrong = [
                segment.segment_id
                for segment in known
                if segment.state == "sealed"
                and segment.key in present
                and blobs.size(segment.key) != segment.size_bytes
            ]
            return present, wrong

        present, wrong = await self._context.files(work)
        final = [s for s in known if s.state in ("sealed", "quarantined")]
        return Agreement(
            missing_files=tuple(s.segment_id for s in final if s.key not in present),
            unknown_files=tuple(
                sorted(segment_id_of(key) for key in present - {s.key for s in known})
            ),
            wrong_sizes=tuple(wrong),
            unfinished=len(known) - len(final),
            standing=standing.kind,
            problem=standing.problem,
        )

    async def _chosen(
        self, segment_id: str | None, most: int | None
    ) -> list[StoredSegment]:
        if segment_id is None:
            return await self._context.read(
                lambda c: segments.by_state(c, "sealed", "quarantined", limit=most)
            )
        found = await self._context.read(lambda c: segments.find(c, segment_id))
        if found is None or found.state not in ("sealed", "quarantined"):
            raise SegmentNotFoundError(segment_id)
        return [found]

    def _verify(self, segment: StoredSegment, deep: bool) -> list[ArchiveFault]:
        blobs, faults = self._context.blobs, []
        try:
            faults = [
                archive_fault(f) for f in verify_sealed(blobs, segment, deep=deep)
            ]
        except SegmentNotFoundError:
            faults.append(
                ArchiveFault(segment.segment_id, None, None, "the file is missing")
            )
        except (SegmentCorruptError, ConfigError) as error:
            faults.append(ArchiveFault(segment.segment_id, None, None, str(error)))
        return faults

    async def _unnoted(
        self, segment: StoredSegment, faults: Sequence[ArchiveFault]
    ) -> list[StoredEntry] | None:
        """As `_note`, and nothing is written."""
        segment_id = segment.segment_id

        def work(connection: Connection) -> list[StoredEntry] | None:
            now = segments.find(connection, segment_id)
            if now is None or now.state == "deleting":
                return None
            return archive_entries.of_segment(connection, segment_id, "committed")

        return await self._context.read(work) if faults else []

    async def _note(
        self, segment: StoredSegment, faults: Sequence[ArchiveFault]
    ) -> list[StoredEntry] | None:
        """What has its only copy in the segment; None if it was replaced or removed
        while it was read, and the faults are no news."""
        now, segment_id = self._context.now(), segment.segment_id

        def work(connection: Connection) -> list[StoredEntry] | None:
            segments.lock(connection, segment_id)
            if not faults:
                segments.change_state(
                    connection,
                    segment_id,
                    "sealed",
                    was=("sealed", "quarantined"),
                    verified_at=now,
                )
                return []
            if not segments.quarantine(
                connection, segment_id, faults[0].problem, verified_at=now
            ):
                return None
            return archive_entries.of_segment(connection, segment_id, "committed")

        return await self._context.write(work)


def verify_sealed(
    blobs: BlobStore, segment: StoredSegment, *, deep: bool = False
) -> list[Fault]:
    """As `verify_segment`; and whether it is the file that the ledger knows."""
    faults = verify_segment(blobs, segment.key, deep=deep)
    if not faults and read_manifest(blobs, segment.key).sha256 != segment.sha256:
        problem = "is not the file that was sealed"
        faults.append(Fault(segment.segment_id, None, None, problem))
    return faults


def _at_risk(
    only_copies: Sequence[StoredEntry], faults: Sequence[ArchiveFault]
) -> list[SessionProblem]:
    named = {(f.tenant_id, f.session_id) for f in faults if f.session_id}
    whole = any(f.session_id is None for f in faults)
    return [
        SessionProblem(*entry.key, "segment_corrupt")
        for entry in only_copies
        if entry.key in named or (whole and not named)
    ]


def archive_fault(fault: Fault) -> ArchiveFault:
    """A fault as a report tells it."""
    return ArchiveFault(
        fault.segment_id, fault.tenant_id, fault.session_id, fault.problem
    )
