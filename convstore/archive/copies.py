"""Archived copies: where the ledger says they lie, and what is in the files.

Many are found with one statement and one visit to the disk. What is wrong with one of
them is told of that one, and keeps nobody from the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeAlias, TypeVar

from convstore.archive.context import Context
from convstore.archive.ownership import look
from convstore.db import segments, sizes
from convstore.db.engine import Connection
from convstore.db.segments import Place, StoredSegment
from convstore.db.unit import Key
from convstore.segments.frames import Unpacker
from convstore.segments.nearby import NearbyReads, Range
from convstore.segments.reader import Ranges, read_document
from convstore.segments.segment import ArchiveLimits
from convstore.vocabulary.errors import (
    ConvstoreError,
    CorruptionError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import SessionDocument

C = TypeVar("C")


@dataclass(frozen=True, slots=True, eq=False)
class Copy(Generic[C]):
    """A copy that was read and verified: what was made of it, and where it lies."""

    content: C
    segment_id: str
    size_bytes: int


class Unreadable(Value, frozen=True):
    """A copy that cannot be had, and why.

    `moving`: an erasure may have moved it to a rewritten segment between the ledger
    and the file, so look again. `segment` is the one to be looked at by a person.
    `missing`: there is no such file.
    """

    error: ConvstoreError
    segment: StoredSegment | None = None
    moving: bool = False
    missing: bool = False


Found: TypeAlias = Copy[C] | Unreadable | None
Read = Callable[[Callable[[Connection], list[Place]]], Awaitable[list[Place]]]


async def find_copies(
    context: Context,
    read: Read,
    keys: Sequence[Key],
    made_of: Callable[[SessionDocument], C],
    *,
    room: Callable[[], Awaitable[float]] | None = None,
) -> dict[Key, Found[C]]:
    """The copies of sessions; None for one that is neither archived nor deleted.

    `room` is asked, when it is known where they lie, how many bytes of documents may
    be read. Those that come when it is taken are left out; the first never is.
    `made_of` turns each document, in the thread that read it, into what is wanted.
    """
    places = await read(lambda c: segments.places(c, keys))
    order = {key: number for number, key in enumerate(keys)}
    places.sort(key=lambda place: order[place.key])
    most = inf if room is None else await room()

    def work() -> dict[Key, Found[C]]:
        found: dict[Key, Found[C]] = dict.fromkeys(keys)
        unpacker = Unpacker(ArchiveLimits())
        fits = sizes.that_fit(map(_size, places), most)
        for place in places[fits:]:
            del found[place.key]
        fitting = places[:fits]
        blobs = NearbyReads(context.blobs, filter(None, map(_range, fitting)))
        for place in fitting:
            found[place.key] = _found(blobs, place, unpacker, made_of)
        return found

    found = await context.files(work)
    missing = [k for k, f in found.items() if isinstance(f, Unreadable) and f.missing]
    if missing:
        # Away is away, and damage is damage.
        away = (await look(context)).error()
        if away is not None:
            return found | dict.fromkeys(missing, Unreadable(away))
    return found


async def as_much_at_once() -> float:
    """For `room`: as many bytes as one caller may hold of documents."""
    return sizes.BYTES_AT_ONCE


def _size(place: Place) -> int:
    return 0 if place.entry is None else place.entry.raw_length


def _range(place: Place) -> Range | None:
    entry, segment = place.entry, place.segment
    if entry is None or segment is None:
        return None
    return segment.key, entry.offset, entry.length


def _found(
    blobs: Ranges,
    place: Place,
    unpacker: Unpacker,
    made_of: Callable[[SessionDocument], C],
) -> Found[C]:
    entry, segment, session_id = place.entry, place.segment, place.key[1]
    if place.segment_id is None:
        return None
    if entry is None or segment is None:
        return Unreadable(
            SegmentCorruptError(
                place.segment_id, "is not in the ledger", (session_id,)
            ),
            moving=True,
        )
    try:
        document = read_document(blobs, segment.key, entry, unpacker)
        if document.session.tenant_id != entry.tenant_id:
            raise CorruptionError("holds another tenant's session")
    except SegmentNotFoundError:
        missing = SegmentCorruptError(
            segment.segment_id, "the file is missing", (session_id,)
        )
        return Unreadable(missing, segment, moving=True, missing=True)
    except SegmentCorruptError as error:
        return Unreadable(error, segment)
    except CorruptionError as error:
        damaged = SegmentCorruptError(segment.segment_id, str(error), (session_id,))
        return Unreadable(damaged, segment)
    except ConvstoreError as error:  # such as a storage that is away
        return Unreadable(error)
    return Copy(made_of(document), segment.segment_id, entry.raw_length)
