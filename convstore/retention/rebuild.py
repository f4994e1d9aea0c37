"""From the archive folder alone to a database that knows every archived session.

Each session is taken from the segment with its highest version. What is in the
database already is never overwritten, and what was erased is erased again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from convstore.archive.archiver import stored_entries, stored_segment
from convstore.archive.context import WRITER, Context
from convstore.archive.inspection import archive_fault
from convstore.archive.ownership import claim
from convstore.db import archive_entries, lifecycle, segments
from convstore.db.column_bounds import check_rows
from convstore.db.engine import Connection
from convstore.db.ledger import Book
from convstore.db.unit import Head, Key, Unit
from convstore.erasure.eraser import Eraser
from convstore.erasure.replay import complete, finish_erasures
from convstore.erasure.tombstones import read_tombstones
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.reader import (
    Fault,
    iterate_documents,
    read_manifest,
    segment_keys,
)
from convstore.segments.segment import segment_id_of
from convstore.segments.verify import rebuild_manifest
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.consistency import check_agreement
from convstore.vocabulary.errors import (
    InvalidInputError,
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.records import SessionDocument
from convstore.vocabulary.reports import ArchiveFault, RebuildReport, SessionProblem

AT_ONCE = 200
"""Sessions of one transaction."""


@dataclass(slots=True)
class _Tally:
    sessions: int = 0
    superseded: int = 0
    present: int = 0
    erased: int = 0
    newer: list[SessionProblem] = field(default_factory=list)
    faults: list[ArchiveFault] = field(default_factory=list)
    # Not counts, but what is known beforehand: ids that are refused for ever, and
    # segments of the ledger that have no file.
    erased_keys: frozenset[Key] = frozenset()
    lost: frozenset[str] = frozenset()


async def rebuild(
    context: Context, on_progress: OnProgress | None = None
) -> RebuildReport:
    """Take up every segment of the archive that the database does not know.

    Idempotent, and resumable: a segment is taken up in one go at its end, and its
    sessions before it, each only if it is not there. The erasures that are noted in the
    folder are begun before, and carried out at the end. A database that has archived
    nothing yet makes the folder its own by this.

    Raises:
        ConfigError: The folder is another database's, and this one has its own.
    """
    await claim(context, take_over=True)
    keys = await context.files(lambda: segment_keys(context.blobs))
    tally = _Tally(
        erased_keys=await _begin_erasures(context),
        lost=await context.read(lambda c: _without_file(c, set(keys))),
    )
    # Newest first: the first copy of a session that is met is then mostly the last one.
    keys.sort(key=segment_id_of, reverse=True)
    done = 0
    for number, key in enumerate(keys, 1):
        segment_id = segment_id_of(key)
        known = await context.read(lambda c, i=segment_id: segments.find(c, i))  # type: ignore[misc]
        if known is None or (known.state == "writing" and context.is_dead(known)):
            await _take_up(context, key, tally)
            done += 1
        if on_progress is not None:
            on_progress(Progress("rebuild", "segments", number, len(keys)))
    eraser = Eraser(context)
    await finish_erasures(context, eraser)
    # Copies of what was erased long ago, in segments that the ledger did not know.
    await eraser.sweep()
    return RebuildReport(
        segments=done,
        sessions=tally.sessions,
        superseded=tally.superseded,
        already_present=tally.present,
        erased_left_out=tally.erased,
        newer_in_archive=tuple(tally.newer),
        faults=tuple(tally.faults),
    )


async def _begin_erasures(context: Context) -> frozenset[Key]:
    """Note the erasures of the folder in the database; the ids that they refuse."""
    told = await context.files(lambda: read_tombstones(context.blobs))
    for erasure in told:
        await context.write(lambda c, e=erasure: complete(c, e))  # type: ignore[misc]
    return frozenset(
        (erasure.tenant_id, session_id)
        for erasure in told
        for session_id in erasure.session_ids
    )


def _without_file(connection: Connection, keys: set[str]) -> frozenset[str]:
    known = segments.by_state(connection, "sealed", "quarantined")
    return frozenset(s.segment_id for s in known if s.key not in keys)


async def _take_up(context: Context, key: str, tally: _Tally) -> None:
    try:
        manifest = await context.files(lambda: _manifest(context, key, tally))
    except NewerFormatError as error:
        # Not even in part: what is left out would be missing from the ledger for ever.
        fault = ArchiveFault(segment_id_of(key), None, None, str(error))
        tally.faults.append(fault)
        return
    if manifest is None:
        tally.faults.append(
            ArchiveFault(segment_id_of(key), None, None, "cannot be read at all")
        )
        return
    states: dict[Key, str] = {}
    feed = _sound(context, manifest, tally)
    while some := await context.files(lambda: _next(feed)):
        await context.write(
            lambda c, s=some: _adopt(c, manifest, s, tally, states)  # type: ignore[misc]
        )

    def seal(connection: Connection) -> None:
        now = to_micros(manifest.created_at)
        entries = [
            replace(entry, state=states[entry.key])
            for entry in stored_entries(manifest, "")
            if entry.key in states
        ]
        segments.drop(connection, manifest.segment_id)
        segments.add_sealed(connection, stored_segment(manifest, now), entries)

    await context.write(seal)


def _adopt(
    connection: Connection,
    manifest: Manifest,
    some: list[tuple[Entry, SessionDocument]],
    tally: _Tally,
    states: dict[Key, str],
) -> None:
    unit = Unit(connection)
    unit.load([(entry.tenant_id, entry.session_id) for entry, _ in some])
    at, book = to_micros(manifest.created_at), Book(connection)
    new: list[SessionDocument] = []
    for entry, document in some:
        key = (entry.tenant_id, entry.session_id)
        head = unit.find(key)
        if key in tally.erased_keys:
            # Its stub was made with the erasure; the copy goes when that is finished.
            states[key] = "stale"
            tally.erased += 1
        elif head is None:
            new.append(document)
            if document.ledger is not None and document.ledger.cost_micros:
                # Else budgets would begin anew with the database.
                owner = document.session.user_id
                book.spend(key[0], owner, document.ledger.cost_micros)
            states[key] = "committed"
            tally.sessions += 1
        elif head.row["segment_id"] == manifest.segment_id:
            states[key] = "committed"  # taken up before a crash
        elif _is_better(connection, head, entry, tally):
            old = head.row["segment_id"]
            lifecycle.adopt_again(unit, document, manifest.segment_id, at)
            archive_entries.set_state(connection, old, [key], "stale", was="committed")
            states[key] = "committed"
            tally.superseded += 1
        else:
            states[key] = _state_beside(head, entry, tally)
    if new:
        lifecycle.adopt(unit, new, manifest.segment_id, at)
    unit.flush()
    book.flush()


def _sound(
    context: Context, manifest: Manifest, tally: _Tally
) -> Iterator[tuple[Entry, SessionDocument]]:
    """The documents that this library can have written, and the database can hold: a
    file in the folder may have been made by hand."""
    for entry, document in iterate_documents(
        context.blobs,
        manifest,
        on_fault=lambda f: tally.faults.append(archive_fault(f)),
    ):
        try:
            check_agreement(document)
            check_rows(document)
        except InvalidInputError as error:
            tally.faults.append(
                ArchiveFault(
                    manifest.segment_id, entry.tenant_id, entry.session_id, str(error)
                )
            )
        else:
            yield entry, document


def _is_better(connection: Connection, head: Head, entry: Entry, tally: _Tally) -> bool:
    """Whether this copy takes the place of the one that the stub names.

    Two copies that both come from the folder: the later version. And when the file of
    the stub's segment is gone: this one, unless it is older. A stub that this database
    made itself, with its file, is never overwritten: what came after may differ.
    """
    if head.row["state"] != "archived":
        return False
    named = segments.find(connection, head.row["segment_id"])
    if named is None or named.written_by is None:
        return bool(entry.session_version >= head.row["version"])
    if named.segment_id not in tally.lost:
        return False
    place = (entry.tenant_id, entry.session_id)
    old = archive_entries.find(connection, place, named.segment_id)
    return old is None or entry.session_version >= old.session_version


def _state_beside(head: Head, entry: Entry, tally: _Tally) -> str:
    """What a copy is worth beside what the database has of the session."""
    archived = head.row["segment_id"] is not None
    tally.superseded += archived
    tally.present += not archived
    refused = head.row["state"] in ("deleted", "erased")
    if head.row["version"] >= entry.session_version or refused:
        return "stale"
    tally.newer.append(
        SessionProblem(entry.tenant_id, entry.session_id, "newer_in_archive")
    )
    return "newer"


def _next(
    feed: Iterator[tuple[Entry, SessionDocument]],
) -> list[tuple[Entry, SessionDocument]]:
    return list(islice(feed, AT_ONCE))


def _manifest(context: Context, key: str, tally: _Tally) -> Manifest | None:
    """What a segment holds; without a manifest what can be found, and told what not."""
    try:
        manifest = read_manifest(context.blobs, key)
        if manifest.writer != WRITER:
            for _ in iterate_documents(context.blobs, manifest, on_fault=_told_later):
                pass  # Whether all of it is understood, before any of it is taken up.
        return manifest
    except (SegmentNotFoundError, SegmentCorruptError):
        try:
            return rebuild_manifest(
                context.blobs,
                key,
                writer=WRITER,
                on_fault=lambda fault: tally.faults.append(archive_fault(fault)),
            )
        except (SegmentNotFoundError, SegmentCorruptError):
            return None


def _told_later(_: Fault) -> None:
    """When the sessions are taken up."""
