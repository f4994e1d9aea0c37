"""The manifest of a segment that is to be rewritten, as far as it agrees with what the
ledger knows of those who stay."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from convstore.archive.context import WRITER, Context
from convstore.db.archive_entries import StoredEntry
from convstore.db.segments import StoredSegment
from convstore.db.unit import Key
from convstore.segments.manifest import Entry, Manifest, with_entries
from convstore.segments.reader import Fault, read_manifest
from convstore.segments.verify import rebuild_manifest
from convstore.vocabulary.errors import (
    ConfigError,
    SegmentCorruptError,
    SegmentNotFoundError,
)


def key_of(entry: Entry) -> Key:
    """Whose copy it is."""
    return entry.tenant_id, entry.session_id


def known_manifest(
    context: Context, segment: StoredSegment, staying: Sequence[StoredEntry]
) -> Manifest:
    """The manifest, or what the frames say when it is lost, damaged or another one.

    Who stays is known to the ledger, and it is believed before the file: a session that
    a manifest leaves out would be destroyed with the old segment.
    """
    blobs, key = context.blobs, segment.key
    try:
        blobs.size(key)
    except ConfigError as error:
        # Such as a file of another user: no reason to leave everything else undone.
        raise SegmentCorruptError(
            segment.segment_id, f"cannot be read: {error}"
        ) from None
    with suppress(SegmentCorruptError, SegmentNotFoundError):
        manifest = read_manifest(blobs, key)
        if not _missing(manifest, staying):
            return manifest
    manifest = rebuild_manifest(blobs, key, writer=WRITER, on_fault=_ignore)
    missing = _missing(manifest, staying)
    try:
        return with_entries(manifest, [_entry(entry) for entry in missing])
    except SegmentCorruptError:
        raise SegmentCorruptError(
            segment.segment_id,
            "does not hold what was sealed",
            tuple(entry.session_id for entry in missing),
        ) from None


def _missing(manifest: Manifest, staying: Sequence[StoredEntry]) -> list[StoredEntry]:
    told = {key_of(entry): entry.sha256 for entry in manifest.entries}
    return [entry for entry in staying if told.get(entry.key) != entry.sha256]


def _entry(stored: StoredEntry) -> Entry:
    """What the ledger remembers of a damaged session's entry."""
    return Entry(
        stored.ordinal,
        stored.tenant_id,
        stored.session_id,
        stored.session_version,
        stored.offset,
        stored.length,
        stored.raw_length,
        stored.sha256,
        stored.turn_count,
        0,
        0,
    )


def _ignore(_: Fault) -> None:
    """Whoever copies the frames is told."""
