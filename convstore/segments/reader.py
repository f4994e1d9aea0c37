"""Reads sessions out of sealed segments; damage is a typed error, never wrong content.

One session costs one ranged read. Whole segments pass in flat memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

from convstore.blobs.base import BlobStore
from convstore.segments.entries import check_document, check_line
from convstore.segments.frames import Unpacker
from convstore.segments.manifest import Entry, Manifest, parse_manifest
from convstore.segments.segment import (
    SEGMENTS,
    ArchiveLimits,
    is_segment_key,
    manifest_key,
    segment_id_of,
)
from convstore.segments.stream import Stream
from convstore.vocabulary.documents import DOCUMENT_BEGINS, decode_document
from convstore.vocabulary.errors import (
    CorruptionError,
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import SessionDocument


class Fault(Value, frozen=True):
    """Something wrong with a segment; with tenant and session when one is concerned."""

    segment_id: str
    tenant_id: str | None
    session_id: str | None
    problem: str


def segment_keys(blobs: BlobStore) -> list[str]:
    """The keys of all segments, oldest month first."""
    return [key for key in blobs.keys(SEGMENTS) if is_segment_key(key)]


def next_keys(blobs: BlobStore, after: str, most: int) -> list[str]:
    """The keys of the next segments behind `after`; fewer than `most` are the last."""
    found = blobs.iterate(SEGMENTS, after=after)
    return list(islice(filter(is_segment_key, found), most))


def read_manifest(
    blobs: BlobStore, key: str, limits: ArchiveLimits | None = None
) -> Manifest:
    """The manifest of the segment with this key.

    Raises:
        SegmentNotFoundError: There is no manifest.
        SegmentCorruptError: It cannot be trusted; see `parse_manifest`.
    """
    bounds = limits or ArchiveLimits()
    segment_id = segment_id_of(key)
    with blamed(segment_id):
        # One byte more than allowed tells whether there is more than allowed.
        data = blobs.read(manifest_key(key), 0, bounds.max_manifest_bytes + 1)
        if len(data) > bounds.max_manifest_bytes:
            raise CorruptionError("manifest: larger than the limit")
    return parse_manifest(data, key, bounds)


class Located(Protocol):
    """Where one session's line lies and what proves it: of a manifest or a ledger.

    Attributes are as in `Entry`.
    """

    @property
    def session_id(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def raw_length(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Ranges(Protocol):
    """Where a range of a blob is read: a blob store, or `NearbyReads`."""

    def read(self, key: str, offset: int, length: int, /) -> bytes: ...


def read_line(
    blobs: Ranges,
    key: str,
    entry: Located,
    unpacker: Unpacker | None = None,
    limits: ArchiveLimits | None = None,
) -> bytes:
    """One session's line, proven by its hash; one ranged read.

    Whoever reads many gives an `unpacker` of the same limits.

    Raises:
        SegmentNotFoundError: The segment is not there.
        SegmentCorruptError: The frame does not hold that line.
    """
    bounds = limits or ArchiveLimits()
    with blamed(segment_id_of(key), entry.session_id):
        if entry.length > bounds.max_frame_bytes:
            raise CorruptionError("the frame is larger than the limit")
        frame = blobs.read(key, entry.offset, entry.length)
        if len(frame) != entry.length:
            raise CorruptionError("the file ends inside the frame")
        line = (unpacker or Unpacker(bounds)).unpack(
            frame, entry.raw_length, begins=DOCUMENT_BEGINS
        )
        check_line(line, entry.sha256)
        return line


def read_document(
    blobs: Ranges,
    key: str,
    entry: Located,
    unpacker: Unpacker | None = None,
    limits: ArchiveLimits | None = None,
) -> SessionDocument:
    """One session, found by what a ledger remembers of its entry; as `read_line`.

    The hash proves the content, and the document must be of that session. That the
    tenant is the right one is for the caller to check.

    Raises:
        SegmentNotFoundError: The segment is not there.
        SegmentCorruptError: The frame does not hold that document.
    """
    line = read_line(blobs, key, entry, unpacker, limits)
    with blamed(segment_id_of(key), entry.session_id):
        document = decode_document(line)
        if document.session.id != entry.session_id:
            raise CorruptionError("the document is of another session")
        return document


def iterate_documents(
    blobs: BlobStore,
    manifest: Manifest,
    limits: ArchiveLimits | None = None,
    on_fault: Callable[[Fault], None] | None = None,
) -> Iterator[tuple[Entry, SessionDocument]]:
    """Every session of a segment in the order of the file, in flat memory.

    With `on_fault`, a damaged session is told there and passed over.

    Raises:
        SegmentNotFoundError: The segment is not there.
        SegmentCorruptError: A session is damaged, and there is no `on_fault`.
        NewerFormatError: A session is of a newer format, which is no fault.
    """
    bounds = limits or ArchiveLimits()
    unpacker = Unpacker(bounds)
    stream = open_stream(blobs, manifest.key)
    for entry in manifest.entries:
        try:
            document = agreed(entry, next_line(stream, entry, unpacker))
        except CorruptionError as error:
            if on_fault is None:
                raise SegmentCorruptError(
                    manifest.segment_id, str(error), (entry.session_id,)
                ) from None
            on_fault(entry_fault(manifest.segment_id, entry, error))
            continue
        except NewerFormatError as error:
            newer = manifest.segment_id
            raise NewerFormatError(error.what, error.problem, newer) from None
        yield entry, document


def open_stream(blobs: BlobStore, key: str) -> Stream:
    """The segment from front to back.

    Raises:
        SegmentNotFoundError: The segment is not there.
    """
    with blamed(segment_id_of(key)):
        size = blobs.size(key)
    return Stream(lambda offset, length: blobs.read(key, offset, length), size)


def frame_at(stream: Stream, entry: Entry) -> memoryview:
    """What there is at the place of the next entry, fewer bytes at the end of the file;
    passes it."""
    stream.skip(entry.offset - stream.offset)
    frame = stream.peek(entry.length)
    stream.skip(len(frame))
    return frame


def next_frame(stream: Stream, entry: Entry) -> memoryview:
    """The bytes of the next entry; passes them.

    Raises:
        CorruptionError: The file ends before the frame does.
    """
    frame = frame_at(stream, entry)
    if len(frame) != entry.length:
        raise CorruptionError("the file ends inside the frame")
    return frame


def next_line(stream: Stream, entry: Entry, unpacker: Unpacker) -> bytes:
    """The line of the next entry, proven by its hash; passes its frame.

    Raises:
        CorruptionError: The frame does not hold that line.
    """
    frame = next_frame(stream, entry)
    line = unpacker.unpack(frame, entry.raw_length, begins=DOCUMENT_BEGINS)
    check_line(line, entry.sha256)
    return line


def agreed(entry: Entry, line: bytes) -> SessionDocument:
    """The document in `line`, which is the one that `entry` speaks of.

    Raises:
        CorruptionError: It is malformed, or another one.
    """
    document = decode_document(line)
    check_document(entry, document, line)
    return document


def entry_fault(segment_id: str, entry: Entry, error: CorruptionError) -> Fault:
    """What is wrong with one session of a segment."""
    return Fault(segment_id, entry.tenant_id, entry.session_id, str(error))


@contextmanager
def blamed(segment_id: str, session_id: str | None = None) -> Iterator[None]:
    """Say of which segment and session an error inside speaks."""
    try:
        yield
    except SegmentNotFoundError:
        raise SegmentNotFoundError(segment_id) from None
    except NewerFormatError as error:
        raise NewerFormatError(error.what, error.problem, segment_id) from None
    except CorruptionError as error:
        sessions = () if session_id is None else (session_id,)
        raise SegmentCorruptError(segment_id, str(error), sessions) from None
