"""A backup: the database as of one moment, then the archive, each proven as it is made.

The database first. Rows are purged only after their segment was sealed and read back,
so an archive that is copied later holds whatever the copied database says is archived.
Erasures and compactions take segments away; where one came between, both are copied
anew.

The folder of a backup is begun with `backup.json.partial`, which becomes `backup.json`
when all the rest is on the disk: without that, it is not a backup.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from convstore.archive.backup_files import (
    Copied,
    Sums,
    begin,
    copy_blob,
    hashed,
    make_empty,
    sync_folder,
    write_whole,
)
from convstore.archive.context import WRITER, Context
from convstore.archive.ownership import look
from convstore.blobs.local import LocalBlobs
from convstore.db import schema, segments
from convstore.db.segments import StoredSegment
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import ConflictError
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.reports import ArchiveFault, BackupReport

DATABASE, ARCHIVE, SUMS, WHOLE = "database.db", "archive", "SHA256SUMS", "backup.json"
_PARTIAL = ".partial"
_FORMAT = "convstore.backup"

_TRIES = 3
"""Times that segments may go between the two copies before it is given up."""


@dataclass(slots=True)
class _Made:
    """What was copied, and what of the archive is not as the database knows it."""

    database: Copied
    revision: str | None
    segments: int = 0
    files: int = 0
    size_bytes: int = 0
    missing: list[str] = field(default_factory=list)
    faults: list[ArchiveFault] = field(default_factory=list)


async def back_up(
    context: Context, to: Path, on_progress: OnProgress | None = None
) -> BackupReport:
    """Copy the database and its archive into the folder `to`, absolute; see
    `Store.backup`."""
    claimed = to / f"{WHOLE}{_PARTIAL}"
    created_at = context.clock.now()
    was_there: list[bool] = []
    try:
        # Told by the thread: a caller that is cancelled here has taken the folder.
        await context.files(lambda: was_there.append(begin(to, claimed)))
        for left in reversed(range(_TRIES)):
            made = await _copied(context, to, on_progress)
            if not await _went_meanwhile(context, made):
                break
            if not left:
                raise ConflictError(
                    "segments went each time the archive was copied, by erasures or by "
                    "`archive compact`: begin again when these are done"
                )
        report = BackupReport(
            folder=str(to),
            created_at=created_at,
            revision=made.revision,
            database_bytes=made.database.size_bytes,
            segments=made.segments,
            archive_files=made.files,
            archive_bytes=made.size_bytes,
            faults=tuple(made.faults),
        )
        await context.files(lambda: _finish(to, claimed, report))
        context.on_step("backup.whole")
        return report
    except BaseException:
        if was_there:
            await context.files(lambda: _clear(to, claimed, was_there[0]))
        raise


async def _copied(context: Context, to: Path, on_progress: OnProgress | None) -> _Made:
    database = to / f"{DATABASE}{_PARTIAL}"
    await context.files(lambda: make_empty(database))
    await context.backend.copy_into(database, on_progress)
    context.on_step("backup.database")

    def ledger() -> tuple[str | None, list[StoredSegment]]:
        with context.backend.opened_copy(database) as connection:
            known = segments.by_state(connection, "sealed")
            return schema.revision_of(connection), known

    revision, known = await context.files(ledger)
    made = _Made(await context.files(lambda: hashed(database)), revision)
    with Sums(to / SUMS) as sums:
        sums.add(DATABASE, made.database)
        await _archive(context, to, made, {s.key: s for s in known}, sums, on_progress)
    return made


async def _archive(
    context: Context,
    to: Path,
    made: _Made,
    known: dict[str, StoredSegment],
    sums: Sums,
    on_progress: OnProgress | None,
) -> None:
    """Copy every file of the archive that is there now, and compare the segments."""
    folder = to / ARCHIVE
    await context.files(lambda: shutil.rmtree(folder, ignore_errors=True))
    standing = await look(context)
    if standing.kind == "foreign":
        return  # another database's: this one has archived nothing
    standing.check()
    target = LocalBlobs(folder, clock=context.clock)
    missing = set(known)
    for key in await context.files(context.blobs.keys):
        copied = await context.files(_copying(context, target, key))
        if copied is None:
            continue  # gone since it was listed
        sums.add(f"{ARCHIVE}/{key}", copied)
        made.files += 1
        made.size_bytes += copied.size_bytes
        segment = known.get(key)
        if segment is not None:
            missing.discard(key)
            made.segments += 1
            if (copied.sha256, copied.size_bytes) != (
                segment.sha256,
                segment.size_bytes,
            ):
                problem = "is not the file that was sealed"
                made.faults.append(
                    ArchiveFault(segment.segment_id, None, None, problem)
                )
        context.on_step("backup.file")
        if on_progress is not None:
            on_progress(Progress("copy", "files", made.files))
    made.missing = sorted(missing)


async def _went_meanwhile(context: Context, made: _Made) -> bool:
    """Whether segments were replaced behind the copied database. One that the database
    still counts on, and that is not there, is a fault of the archive."""
    if not made.missing:
        return False
    known = await context.read(lambda c: segments.by_state(c, "sealed"))
    sealed = {segment.key: segment.segment_id for segment in known}
    gone = [key for key in made.missing if key not in sealed]
    if not gone:
        problem = "the file is missing"
        made.faults += [
            ArchiveFault(sealed[key], None, None, problem) for key in made.missing
        ]
    return bool(gone)


def _copying(
    context: Context, target: LocalBlobs, key: str
) -> Callable[[], Copied | None]:
    return lambda: copy_blob(context.blobs, target, key)


def _finish(to: Path, claimed: Path, report: BackupReport) -> None:
    """Make it a backup: everything durable, then the one name that says so."""
    os.rename(to / f"{DATABASE}{_PARTIAL}", to / DATABASE)
    sync_folder(to)
    said = {
        "format": _FORMAT,
        "format_version": 1,
        "writer": WRITER,
        "created_at": report.created_at,
        "revision": report.revision,
        "database": DATABASE,
        "archive": ARCHIVE,
        "sums": {"file": SUMS, "sha256": hashed(to / SUMS).sha256},
        "segments": report.segments,
        "archive_files": report.archive_files,
        "archive_bytes": report.archive_bytes,
        "faults": report.faults,
    }
    write_whole(claimed, dumps(said, indent=True) + b"\n")
    os.rename(claimed, to / WHOLE)
    sync_folder(to)


def _clear(to: Path, claimed: Path, was_there: bool) -> None:
    """Leave the target as it was; what says that it is no backup goes last."""
    shutil.rmtree(to / ARCHIVE, ignore_errors=True)
    for name in (DATABASE, f"{DATABASE}{_PARTIAL}", SUMS):
        (to / name).unlink(missing_ok=True)
    (to / f"{DATABASE}{_PARTIAL}-journal").unlink(missing_ok=True)
    (to / WHOLE).unlink(missing_ok=True)
    claimed.unlink(missing_ok=True)
    if not was_there:
        to.rmdir()
