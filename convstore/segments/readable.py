"""One indented JSON file per session beside a segment, for people to open.

Copies only: the segment is the archive. Names hold nothing that a caller chose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from convstore.blobs.base import BlobStore, publish_whole
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.reader import Fault, iterate_documents
from convstore.segments.segment import ArchiveLimits, readable_prefix
from convstore.vocabulary.documents import decode_document, encode_document
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ConfigError,
    CorruptionError,
    NewerFormatError,
    SegmentNotFoundError,
)


def readable_key(manifest: Manifest, entry: Entry) -> str:
    """The key of a session's readable copy.

    The ordinal keeps it unique; the hash of tenant and id lets it be found by them.
    """
    name = f"{entry.tenant_id}\0{entry.session_id}".encode()
    digest = hashlib.sha256(name).hexdigest()[:16]
    return f"{readable_prefix(manifest.key)}{entry.ordinal:06}-{digest}.json"


def write_readable(
    blobs: BlobStore,
    manifest: Manifest,
    limits: ArchiveLimits | None = None,
    on_fault: Callable[[Fault], None] | None = None,
) -> int:
    """Write the readable copies of a sealed segment; how many are new.

    Idempotent: copies that exist are left alone, and a run that was cut short is
    finished by the next. With `on_fault`, a damaged session is passed over.

    Raises:
        SegmentNotFoundError, SegmentCorruptError: As `iterate_documents`.
    """
    written = 0
    for entry, document in iterate_documents(blobs, manifest, limits, on_fault):
        key = readable_key(manifest, entry)
        if blobs.exists(key):
            continue
        try:
            publish_whole(blobs, key, encode_document(document, indent=True) + b"\n")
            written += 1
        except AlreadyExistsError:
            # Another worker was quicker, with the same bytes.
            continue
    return written


def readable_line(blobs: BlobStore, manifest: Manifest, entry: Entry) -> bytes | None:
    """The session's line made again from its readable copy; None without one, and when
    it is not, by its checksum, the line that was archived."""
    try:
        copy = blobs.read(readable_key(manifest, entry))
        line = encode_document(decode_document(copy))
    except (SegmentNotFoundError, CorruptionError, NewerFormatError, ConfigError):
        return None
    return line if hashlib.sha256(line).hexdigest() == entry.sha256 else None


def delete_readable(blobs: BlobStore, key: str) -> int:
    """Destroy the readable copies of the segment with this key; how many there were.

    Idempotent.
    """
    return sum(blobs.delete(copy) for copy in blobs.keys(readable_prefix(key)))
