"""Segments are never changed: to take sessions out, the rest is copied to a new one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from convstore.blobs.base import BlobStore, StepHook, silent
from convstore.segments.damaged_frames import DamagedFrames
from convstore.segments.entries import check_line
from convstore.segments.frames import Packer, Unpacker
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.readable import delete_readable, readable_line
from convstore.segments.reader import (
    Fault,
    agreed,
    blamed,
    entry_fault,
    frame_at,
    open_stream,
)
from convstore.segments.segment import ArchiveLimits, manifest_key
from convstore.segments.writer import SegmentWriter
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.records import SessionDocument

Edit: TypeAlias = Callable[[SessionDocument], SessionDocument]
"""What becomes of a session in the copy."""


def copy_segment(
    blobs: BlobStore,
    manifest: Manifest,
    keep: Callable[[Entry], bool],
    *,
    edit: Callable[[Entry], Edit | None] = lambda _: None,
    writer: str,
    created_at: datetime,
    segment_id: str | None = None,
    limits: ArchiveLimits | None = None,
    on_fault: Callable[[Fault], None] | None = None,
    on_step: StepHook = silent,
) -> Manifest | None:
    """A new segment with the entries that `keep` wants; None when it wants none.

    Frames are copied as they are, each verified before and again after; a session for
    which `edit` gives what is to be changed is written anew. A session to be kept that
    is damaged is told to `on_fault`, and what is left of its frame is kept (see
    `damaged_frames`), unless its readable copy mends it. The old segment is left alone;
    `delete_segment` destroys it. Other arguments as of `SegmentWriter`.

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
                    _add(target, entry, frame, edit(entry))
                except CorruptionError as error:
                    if on_fault is None:
                        raise
                    if _mend(blobs, manifest, entry, target, edit(entry)):
                        continue
                    target.add_damaged(entry, damaged.kept(entry, frame))
                    on_fault(entry_fault(manifest.segment_id, entry, error))
        return target.finish()


def _add(target: SegmentWriter, entry: Entry, frame: bytes, edit: Edit | None) -> None:
    if edit is None:
        target.add_frame(entry, frame)
        return
    line = Unpacker(ArchiveLimits()).unpack(frame, entry.raw_length)
    check_line(line, entry.sha256)
    target.add(edit(agreed(entry, line)))


def _mend(
    blobs: BlobStore,
    manifest: Manifest,
    entry: Entry,
    target: SegmentWriter,
    edit: Edit | None,
) -> bool:
    """Write the session from its readable copy, if that is there and the very same."""
    line = readable_line(blobs, manifest, entry)
    if line is None:
        return False
    _add(target, entry, Packer().pack(line), edit)
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
