"""Segments are never changed: to take sessions out, the rest is copied to a new one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from convstore.archive.manifest import Entry, Manifest
from convstore.archive.readable import delete_readable
from convstore.archive.reader import blamed, next_frame, open_stream
from convstore.archive.segment import ArchiveLimits, manifest_key
from convstore.archive.writer import SegmentWriter
from convstore.blobs.base import BlobStore, StepHook, silent


def copy_segment(
    blobs: BlobStore,
    manifest: Manifest,
    keep: Callable[[Entry], bool],
    *,
    writer: str,
    created_at: datetime,
    segment_id: str | None = None,
    limits: ArchiveLimits | None = None,
    on_step: StepHook = silent,
) -> Manifest | None:
    """A new segment with the entries that `keep` wants; None when it wants none.

    Frames are copied as they are, each verified before and again after. The old
    segment is left alone; `delete_segment` destroys it. Other arguments as of
    `SegmentWriter`.

    Raises:
        SegmentNotFoundError: The old segment is not there.
        SegmentCorruptError: A session to be kept is damaged; nothing was published. It
            names the session, so that a person can decide to leave it out.
    """
    kept = [entry for entry in manifest.entries if keep(entry)]
    if not kept:
        return None
    stream = open_stream(blobs, manifest.key)
    with SegmentWriter(
        blobs,
        writer=writer,
        created_at=created_at,
        segment_id=segment_id,
        limits=limits,
        on_step=on_step,
    ) as target:
        for entry in kept:
            with blamed(manifest.segment_id, entry.session_id):
                target.add_frame(entry, next_frame(stream, entry))
        return target.finish()


def delete_segment(blobs: BlobStore, key: str) -> bool:
    """Destroy a segment, its readable copies and its manifest; whether it was there.

    Idempotent. The manifest goes last: a crash before the end leaves either a segment
    that is still whole or a manifest that tells what was being destroyed, never a
    segment that a rebuild would take for a lost and found one.
    """
    delete_readable(blobs, key)
    existed = blobs.delete(key)
    blobs.delete(manifest_key(key))
    return existed
