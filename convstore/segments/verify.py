"""Looks for damage in sealed segments, and makes a lost manifest again from frames.

Every fault is reported with the session that it concerns, and the rest is looked at
all the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from convstore.blobs.base import BlobStore
from convstore.segments.entries import entry_of, placed, prove_stable
from convstore.segments.frames import Unpacker
from convstore.segments.manifest import Entry, Manifest, check_entry
from convstore.segments.reader import (
    Fault,
    agreed,
    blamed,
    entry_fault,
    next_line,
    open_stream,
    read_manifest,
)
from convstore.segments.scan import Found, scan_frames
from convstore.segments.segment import ArchiveLimits, segment_id_of
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.documents import decode_document
from convstore.vocabulary.errors import (
    ConfigError,
    CorruptionError,
    InvalidInputError,
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)

FaultHook = Callable[[Fault], None]


def verify_segment(
    blobs: BlobStore,
    key: str,
    *,
    limits: ArchiveLimits | None = None,
    deep: bool = False,
) -> list[Fault]:
    """Read a whole segment and its manifest; everything that is wrong with them.

    Checks the manifest against itself, the file against it, and of each session the
    frame, the checksum, the document and what the entry says of it. Without a usable
    manifest, the frames that can be found. Empty when all is well.

    Args:
        deep: Also check that each document, written again, gives the same bytes.

    Raises:
        NewerFormatError: Nothing is wrong as far as can be told, but manifest or
            documents are of a newer format. Of these the checksums were compared.
        UnavailableError: The storage is away; nothing can be said.
    """
    bounds = limits or ArchiveLimits()
    segment_id = segment_id_of(key)
    faults: list[Fault] = []

    def tell(problem: str) -> None:
        faults.append(Fault(segment_id, None, None, problem))

    manifest = _manifest_or_fault(blobs, key, bounds, tell)
    try:
        if manifest is None:
            _build_manifest(blobs, key, "", bounds, faults.append)
        else:
            _verify_entries(blobs, manifest, bounds, deep, faults.append)
    except SegmentNotFoundError:
        tell("the segment is missing")
        for entry in manifest.entries if manifest else ():
            problem = CorruptionError("the segment is missing")
            faults.append(entry_fault(segment_id, entry, problem))
    except ConfigError as error:
        tell(f"the segment cannot be read: {error}")
    except SegmentCorruptError as error:
        tell(error.problem)
    except NewerFormatError:
        if not faults:
            raise
    return faults


def rebuild_manifest(
    blobs: BlobStore,
    key: str,
    *,
    writer: str,
    limits: ArchiveLimits | None = None,
    on_fault: FaultHook | None = None,
) -> Manifest:
    """The manifest of a segment, made from its frames alone; nothing is written.

    `created_at` comes from the segment's id, the rest from the documents.

    Args:
        writer: Who rebuilds it.
        on_fault: Told of each stretch and document that cannot be read; the manifest
            then lists what can. Without it, damage is an error.

    Raises:
        SegmentNotFoundError: The segment is not there.
        SegmentCorruptError: It is damaged and there is no `on_fault`, or it holds no
            readable session at all.
    """
    bounds = limits or ArchiveLimits()
    return _build_manifest(blobs, key, writer, bounds, on_fault or _raise_fault)


def _manifest_or_fault(
    blobs: BlobStore, key: str, limits: ArchiveLimits, tell: Callable[[str], None]
) -> Manifest | None:
    try:
        return read_manifest(blobs, key, limits)
    except SegmentNotFoundError:
        tell("the manifest is missing")
    except ConfigError as error:
        tell(f"the manifest cannot be read: {error}")
    except SegmentCorruptError as error:
        tell(error.problem)
    return None


def _verify_entries(
    blobs: BlobStore,
    manifest: Manifest,
    limits: ArchiveLimits,
    deep: bool,
    on_fault: FaultHook,
) -> None:
    segment_id, unpacker = manifest.segment_id, Unpacker(limits)
    newer: NewerFormatError | None = None
    stream = open_stream(blobs, manifest.key)
    for entry in manifest.entries:
        try:
            line = next_line(stream, entry, unpacker)
            agreed(entry, line)
            if deep:
                prove_stable(line)
        except CorruptionError as error:
            on_fault(entry_fault(segment_id, entry, error))
        except NewerFormatError as error:
            # The line is the one that was written: its checksum said so.
            newer = NewerFormatError(error.what, error.problem, segment_id)
    if stream.size_bytes != manifest.size_bytes:
        problem = (
            f"the file has {stream.size_bytes} bytes, its manifest says "
            f"{manifest.size_bytes}"
        )
        on_fault(Fault(segment_id, None, None, problem))
    elif stream.sha256() != manifest.sha256:
        problem = "the file does not match its checksum"
        on_fault(Fault(segment_id, None, None, problem))
    if newer is not None:
        raise newer


def _build_manifest(
    blobs: BlobStore,
    key: str,
    writer: str,
    limits: ArchiveLimits,
    on_fault: FaultHook,
) -> Manifest:
    segment_id = segment_id_of(key)
    entries: list[Entry] = []
    names: set[tuple[str, str]] = set()
    with blamed(segment_id):
        stream = open_stream(blobs, key)
        for found in scan_frames(stream, limits):
            try:
                entry = _entry_found(found, len(entries), names)
            except (CorruptionError, InvalidInputError) as error:
                problem = f"bytes {found.offset} to {found.end}: {error}"
                on_fault(Fault(segment_id, None, None, problem))
            else:
                entries.append(entry)
                names.add((entry.tenant_id, entry.session_id))
        if not entries:
            raise CorruptionError("no session can be read from the segment")
    return Manifest(
        key=key,
        segment_id=segment_id,
        created_at=_created_at(segment_id, key),
        writer=writer,
        size_bytes=stream.size_bytes,
        sha256=stream.sha256(),
        entries=tuple(entries),
    )


def _entry_found(found: Found, ordinal: int, names: set[tuple[str, str]]) -> Entry:
    if found.line is None:
        raise CorruptionError(found.problem)
    entry = check_entry(entry_of(decode_document(found.line), found.line))
    if (entry.tenant_id, entry.session_id) in names:
        raise CorruptionError("the session is in the segment twice")
    return placed(entry, ordinal=ordinal, offset=found.offset, length=found.length)


def _created_at(segment_id: str, key: str) -> datetime:
    value = uuid.UUID(segment_id)
    if value.version == 7:
        return from_micros((value.int >> 80) * 1_000)
    year, month = key.split("/")[1:3]
    return datetime(int(year), int(month), 1, tzinfo=UTC)


def _raise_fault(fault: Fault) -> None:
    raise SegmentCorruptError(fault.segment_id, fault.problem)
