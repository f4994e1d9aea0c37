"""From the archive folder alone to a database that knows every archived session.

Each session is taken from the segment with its highest version. What is in the
database already is never overwritten, and erased sessions stay erased.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from convstore.archive.manifest import Entry, Manifest
from convstore.archive.reader import (
    Fault,
    iterate_documents,
    read_manifest,
    segment_keys,
)
from convstore.archive.segment import segment_id_of
from convstore.archive.verify import rebuild_manifest
from convstore.clock import to_micros
from convstore.db import lifecycle, segments
from convstore.db.engine import Connection
from convstore.db.unit import Key, Unit
from convstore.errors import SegmentCorruptError, SegmentNotFoundError
from convstore.records import SessionDocument
from convstore.reports import ArchiveFault, RebuildReport, SessionProblem
from convstore.retention.archiver import stored_entries, stored_segment
from convstore.retention.context import WRITER, Context
from convstore.retention.tombstones import read_tombstones

AT_ONCE = 200
"""Sessions of one transaction."""

OnRebuilt = Callable[[int, int], None]
"""Told how many segments are done, of how many."""


@dataclass(slots=True)
class _Tally:
    sessions: int = 0
    superseded: int = 0
    present: int = 0
    erased: int = 0
    newer: list[SessionProblem] = field(default_factory=list)
    faults: list[ArchiveFault] = field(default_factory=list)


async def rebuild(
    context: Context, on_progress: OnRebuilt | None = None
) -> RebuildReport:
    """Take up every segment of the archive that the database does not know.

    Idempotent, and resumable: a segment is taken up in one go at its end, and its
    sessions before it, each only if it is not there.
    """
    tally = _Tally()
    erased = {
        (erasure.tenant_id, session_id)
        for erasure in await context.files(lambda: read_tombstones(context.blobs))
        for session_id in erasure.session_ids
    }
    keys = await context.files(lambda: segment_keys(context.blobs))
    # Newest first: the first copy of a session that is met is then the newest one.
    keys.sort(key=segment_id_of, reverse=True)
    done = 0
    for number, key in enumerate(keys, 1):
        segment_id = segment_id_of(key)
        known = await context.read(lambda c, i=segment_id: segments.find(c, i))  # type: ignore[misc]
        if known is None or known.state == "writing":
            await _take_up(context, key, erased, tally)
            done += 1
        if on_progress is not None:
            on_progress(number, len(keys))
    return RebuildReport(
        segments=done,
        sessions=tally.sessions,
        superseded=tally.superseded,
        already_present=tally.present,
        erased_left_out=tally.erased,
        newer_in_archive=tuple(tally.newer),
        faults=tuple(tally.faults),
    )


async def _take_up(context: Context, key: str, erased: set[Key], tally: _Tally) -> None:
    manifest = await context.files(lambda: _manifest(context, key))
    if manifest is None:
        tally.faults.append(
            ArchiveFault(segment_id_of(key), None, None, "cannot be read at all")
        )
        return
    states: dict[Key, str] = {}
    feed = iterate_documents(
        context.blobs, manifest, on_fault=lambda f: tally.faults.append(_told(f))
    )
    while some := await context.files(lambda: _next(feed)):
        await context.write(
            lambda c, s=some: _adopt(c, manifest, s, erased, tally, states)  # type: ignore[misc]
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
    erased: set[Key],
    tally: _Tally,
    states: dict[Key, str],
) -> None:
    unit = Unit(connection)
    unit.load([(entry.tenant_id, entry.session_id) for entry, _ in some])
    counted = _Tally()
    for entry, document in some:
        key = (entry.tenant_id, entry.session_id)
        head = unit.find(key)
        if key in erased:
            counted.erased += 1
            continue
        if head is None:
            at = to_micros(manifest.created_at)
            lifecycle.adopt(unit, document, manifest.segment_id, at)
            counted.sessions += 1
            states[key] = "committed"
        elif head.row["segment_id"] == manifest.segment_id:
            states[key] = "committed"  # taken up before a crash
        else:
            states[key] = "stale"
            archived = head.row["segment_id"] is not None
            counted.superseded += archived
            counted.present += not archived
            if head.row["version"] < entry.session_version:
                counted.newer.append(SessionProblem(*key, "newer_in_archive"))
    tally.sessions += counted.sessions
    tally.superseded += counted.superseded
    tally.present += counted.present
    tally.erased += counted.erased
    tally.newer += counted.newer


def _next(
    feed: Iterator[tuple[Entry, SessionDocument]],
) -> list[tuple[Entry, SessionDocument]]:
    return list(islice(feed, AT_ONCE))


def _manifest(context: Context, key: str) -> Manifest | None:
    try:
        return read_manifest(context.blobs, key)
    except (SegmentNotFoundError, SegmentCorruptError):
        try:
            return rebuild_manifest(
                context.blobs, key, writer=WRITER, on_fault=lambda _: None
            )
        except (SegmentNotFoundError, SegmentCorruptError):
            return None


def _told(fault: Fault) -> ArchiveFault:
    return ArchiveFault(
        fault.segment_id, fault.tenant_id, fault.session_id, fault.problem
    )
