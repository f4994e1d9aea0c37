"""Segments are never changed: to take sessions out, the rest is copied to a new one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from convstore.blobs.base import BlobStore, StepHook, silent
from convstore.segments.damaged_frames import DamagedFrames
from convstore.segments.frames import Packer
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.readable import delete_readable, readable_line
from convstore.segments.reader import Fault, blamed, entry_fault, frame_at, open_stream
from convstore.segments.segment import ArchiveLimits, manifest_key
from convstore.segments.writer import SegmentWriter
from convstore.vocabulary.errors import CorruptionError


def copy_segment(
    blobs: BlobStore,
    manifest: Manifest,
    keep: Callable[[Entry], bool],
    *,
    writer: str,
    created_at: datetime,
    segment_id: str | None = None,
    limits: ArchiveLimits | None = None,
    on_fault: Callable[[Fault], None] | None = None,
    on_step: StepHook = silent,
) -> Manifest | None:
    """A new segment with the entries that `keep` wants; None when it wants none.

    Frames are copied as they are, each verified before and again after. A session to be
    kept that is damaged is told to `on_fault`, and what is left of its frame is kept
    (see `damaged_frames`), unless its readable copy mends it. The old segment is left
    alone; `delete_segment` destroys it. Other arguments as of `SegmentWriter`.

    Raises:
        SegmentNotFoundError: The old segment is not there.
        SegmentCorruptError: A session to be kept is damaged, and there is no `on_fault`
            or it cannot be told what is left of it; names the session. Nothing was
            published.
    """
    kept = [entry for entry in manifest.entries if keep(entry)]
    if not kept:
        return None
    stream = open_stream(blobs, manifest.key)
    damaged = DamagedFrames(blobs, manifest, limits or ArchiveLimits())
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
                frame = bytes(frame_at(stream, entry))
                try:
                    if len(frame) != entry.length:
                        raise CorruptionError("the file ends inside the frame")
                    target.add_frame(entry, frame)
                except CorruptionError as error:
                    if on_fault is None:
                        raise
                    if _mend(blobs, manifest, entry, target):
                        continue
                    target.add_damaged(entry, damaged.kept(entry, frame))
                    on_fault(entry_fault(manifest.segment_id, entry, error))
        return target.finish()


def _mend(
    blobs: BlobStore, manifest: Manifest, entry: Entry, target: SegmentWriter
) -> bool:
    """Write the session from its readable copy, if that is there and the very same."""
    line = readable_line(blobs, manifest, entry)
    if line is None:
        return False
    target.add_frame(entry, Packer().pack(line))
    return True


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
