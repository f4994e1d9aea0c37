"""Whom archived copies name: read from the segments, for an erasure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from convstore.archive.context import Context
from convstore.db import archived_actors, segments
from convstore.db.archive_entries import StoredEntry
from convstore.db.engine import Connection
from convstore.db.segments import StoredSegment
from convstore.db.unit import Key
from convstore.segments.frames import Unpacker
from convstore.segments.reader import read_document
from convstore.segments.segment import ArchiveLimits
from convstore.vocabulary.actors import Renaming, actors_of
from convstore.vocabulary.errors import (
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.records import SessionDocument

Unread: TypeAlias = SegmentCorruptError | NewerFormatError

# Segments that are listed at once.
_PAGE = 500
_KEPT = ("sealed", "quarantined")


@dataclass(slots=True)
class Naming:
    """The sessions of a segment whose copies are to be changed, those that go on to
    name the actor, what could not be read, and whether there is a file."""

    found: set[Key] = field(default_factory=set)
    still: set[Key] = field(default_factory=set)
    failed: list[Unread] = field(default_factory=list)
    missing: bool = False


async def find_naming(context: Context, segment_id: str, renaming: Renaming) -> Naming:
    """Which copies in a segment name the actor for what is to get another name."""
    segment = await context.read(lambda c: segments.find(c, segment_id))
    if segment is None or segment.state not in _KEPT:
        return Naming()
    entries = await context.read(
        lambda c: archived_actors.copies_naming(
            c, segment_id, renaming.tenant_id, renaming.was
        )
    )
    naming = Naming()

    def look(entry: StoredEntry, document: SessionDocument) -> None:
        new = renaming.of(document)
        if new is not document:
            naming.found.add(entry.key)
        if renaming.was in actors_of(new):
            naming.still.add(entry.key)

    try:
        await context.files(
            lambda: _read(context, segment, entries, look, naming.failed.append)
        )
    except SegmentNotFoundError:
        # Whoever rewrites it is told, and finds out what that means.
        return Naming({entry.key for entry in entries}, missing=True)
    return naming


async def note_actors(context: Context, tenant: str) -> list[str]:
    """Look through every archived copy of which nobody has noted whom it names.

    They are of before such notes were made, or of a ledger that was made anew from the
    files. Those that cannot be read, or have no file, are looked at again next time.

    Returns:
        Segments with copies that could not be read.
    """
    seen, unread = set[str](), list[str]()
    # Until there is none that is new: others join segments, and write them anew.
    while new := [s for s in await unnoted(context, tenant) if s not in seen]:
        for segment_id in new:
            if not await _note_segment(context, segment_id):
                unread.append(segment_id)
        seen.update(new)
    return unread


async def unnoted(context: Context, tenant: str) -> list[str]:
    """Segments with copies of which nobody has noted whom they name."""
    after, found = "", list[str]()
    while page := await context.read(
        lambda c, a=after: archived_actors.unnoted(c, tenant, a, _PAGE)  # type: ignore[misc]
    ):
        found += page
        after = page[-1]
    return found


async def _note_segment(context: Context, segment_id: str) -> bool:
    segment = await context.read(lambda c: segments.find(c, segment_id))
    if segment is None or segment.state not in _KEPT:
        return True  # its copies are being destroyed
    entries = await context.read(lambda c: archived_actors.to_be_read(c, segment_id))
    named: dict[Key, set[str]] = {}
    faults: list[Unread] = []

    def look(entry: StoredEntry, document: SessionDocument) -> None:
        named[entry.key] = actors_of(document)

    try:
        await context.files(
            lambda: _read(context, segment, entries, look, faults.append)
        )
    except SegmentNotFoundError:
        return False
    context.on_step("erase.actors_noted")
    left = {entry.key for entry in entries} - named.keys()
    await context.write(partial(_note, segment_id, named, left))
    return not left


def _note(
    segment_id: str,
    named: Mapping[Key, set[str]],
    left: Collection[Key],
    connection: Connection,
) -> None:
    # Whoever replaces it or purges into it waits, and the other way round.
    segments.lock(connection, segment_id)
    archived_actors.note_segment(connection, segment_id, named, left)


def _read(
    context: Context,
    segment: StoredSegment,
    entries: Sequence[StoredEntry],
    look: Callable[[StoredEntry, SessionDocument], None],
    on_fault: Callable[[Unread], None],
) -> None:
    unpacker = Unpacker(ArchiveLimits())
    for entry in entries:
        try:
            document = read_document(context.blobs, segment.key, entry, unpacker)
        except (SegmentCorruptError, NewerFormatError) as error:
            on_fault(error)
        else:
            look(entry, document)
