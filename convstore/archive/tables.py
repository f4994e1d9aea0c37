"""The archive as tables: sessions, turns and interactions in Parquet, kept up to date.

Each archived session is in one file of each table. What was restored, deleted or erased
is gone with the next run, and what was written again after an erasure is replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from convstore.archive.context import Context
from convstore.archive.ownership import guard, look
from convstore.archive.table_files import (
    TABLES,
    TableFile,
    held,
    path_of,
    present,
    remove,
    written_to,
)
from convstore.archive.table_rows import rows_of
from convstore.db import archive_tables
from convstore.db.archive_entries import StoredEntry
from convstore.export.writers.parquet import load_pyarrow
from convstore.segments.entries import check_line
from convstore.segments.frames import Unpacker
from convstore.segments.reader import Located, open_stream
from convstore.segments.segment import ArchiveLimits
from convstore.segments.stream import Stream
from convstore.vocabulary.documents import DOCUMENT_BEGINS, decode_document
from convstore.vocabulary.errors import (
    CorruptionError,
    NewerFormatError,
    SegmentNotFoundError,
)
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.records import SessionDocument
from convstore.vocabulary.reports import ArchiveFault, TablesReport

_FORMAT, _VERSION = "convstore.tables", 1


@dataclass(slots=True)
class _Tally:
    written: int = 0
    kept: int = 0
    removed: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    faults: list[ArchiveFault] = field(default_factory=list)


async def write_tables(
    context: Context,
    to: Path,
    tenant: str | None,
    on_progress: OnProgress | None = None,
) -> TablesReport:
    """Bring the tables in a folder up to date; see `Archive.tables`."""
    load_pyarrow()
    standing = (await look(context)).check()
    if standing.folder.folder_id is None:
        return TablesReport()  # nothing was ever archived
    mark = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "archive": standing.folder.folder_id,
        "tenant": tenant,
    }
    tally = _Tally()
    with written_to(to), ExitStack() as stack:
        await context.files(lambda: stack.enter_context(held(to, mark)))
        there = set(await context.files(lambda: list(present(to))))
        right = await _bring_all(context, to, tenant, there, tally, on_progress)
        for path in sorted(there - right):
            await context.files(lambda p=path: remove(p))  # type: ignore[misc]
            tally.removed += path.parts[-3] == TABLES[0]
    return TablesReport(
        segments_written=tally.written,
        segments_kept=tally.kept,
        segments_removed=tally.removed,
        sessions=tally.rows["sessions"],
        turns=tally.rows["turns"],
        interactions=tally.rows["interactions"],
        faults=tuple(tally.faults),
    )


async def _bring_all(
    context: Context,
    to: Path,
    tenant: str | None,
    there: set[Path],
    tally: _Tally,
    on_progress: OnProgress | None,
) -> set[Path]:
    """The files of all segments, a page of segments at a time."""
    right, after = set[Path](), ""
    while True:
        segments = await context.read(
            lambda c, a=after: archive_tables.segment_keys(c, a)  # type: ignore[misc]
        )
        ids = [segment_id for segment_id, _ in segments]
        entries = await context.read(
            lambda c, i=ids: archive_tables.archived_in(c, i, tenant)  # type: ignore[misc]
        )
        for segment_id, key in segments:
            if some := entries.get(segment_id):
                right |= await _bring(context, to, key, some, there, tally)
        if on_progress is not None:
            done = tally.written + tally.kept
            on_progress(Progress("tables", "segments", done))
        if len(segments) < archive_tables.PAGE:
            return right
        after = ids[-1]


async def _bring(
    context: Context,
    to: Path,
    key: str,
    entries: Sequence[StoredEntry],
    there: set[Path],
    tally: _Tally,
) -> set[Path]:
    """The files of a segment, written where they are not there yet."""
    right = {path_of(to, table, key, _digest(entries)) for table in TABLES}
    if right <= there:
        tally.kept += 1
        return right
    try:
        found = await context.files(lambda: _write(context, to, key, entries, tally))
    except SegmentNotFoundError:
        await guard(context)  # is it the file that is away, or all of them?
        segment_id = entries[0].segment_id
        tally.faults.append(ArchiveFault(segment_id, None, None, "the file is missing"))
        return set()
    tally.written += bool(found)
    return found


def _digest(entries: Sequence[StoredEntry]) -> str:
    """What of a segment is in its files: the sessions, and the lines that say them."""
    told = hashlib.sha256()
    for entry in entries:
        told.update(f"{entry.tenant_id}\0{entry.session_id}\0{entry.sha256}\n".encode())
    return told.hexdigest()[:16]


def _write(
    context: Context,
    to: Path,
    key: str,
    entries: Sequence[StoredEntry],
    tally: _Tally,
) -> set[Path]:
    """Write what can be read; a damaged session is told, and tried again next time."""
    unpacker = Unpacker(ArchiveLimits())
    stream = open_stream(context.blobs, key)
    folders = {table: path_of(to, table, key, "").parent for table in TABLES}
    sound: list[StoredEntry] = []
    with ExitStack() as stack:
        files = {}
        for table in TABLES:
            files[table] = TableFile(folders[table], table)
            stack.callback(files[table].abandon)
        for entry in entries:
            try:
                document = _document(stream, entry, unpacker)
            except (CorruptionError, NewerFormatError) as error:
                told = (entry.segment_id, entry.tenant_id, entry.session_id)
                tally.faults.append(ArchiveFault(*told, str(error)))
                continue
            sound.append(entry)
            for table, row in rows_of(document, entry.segment_id):
                files[table].add(row)
        digest = _digest(sound)
        found = {table: path_of(to, table, key, digest) for table in TABLES}
        for table, file in files.items():
            file.publish(found[table])
            tally.rows[table] += file.count
    return set(found.values())


def _document(stream: Stream, entry: Located, unpacker: Unpacker) -> SessionDocument:
    stream.skip(entry.offset - stream.offset)
    frame = stream.peek(entry.length)
    stream.skip(len(frame))
    line = unpacker.unpack(frame, entry.raw_length, begins=DOCUMENT_BEGINS)
    check_line(line, entry.sha256)
    return decode_document(line)
