"""Several small segments into a new one, frame by frame; the old are left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convstore.blobs.base import BlobStore, StepHook, silent
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.reader import blamed, next_frame, open_stream
from convstore.segments.segment import ArchiveLimits
from convstore.segments.writer import SegmentWriter
from convstore.vocabulary.errors import InvalidInputError


def join_segments(
    blobs: BlobStore,
    manifests: Sequence[Manifest],
    keep: Callable[[Manifest, Entry], bool],
    *,
    writer: str,
    segment_id: str | None = None,
    limits: ArchiveLimits | None = None,
    on_step: StepHook = silent,
) -> Manifest:
    """A new segment with the entries that `keep` wants, in the order given.

    Frames are copied as they are, each verified before and again after. The new segment
    is of the time of the newest, so that nothing is taken for older than it is.

    Raises:
        SegmentNotFoundError: One of them is not there; names it.
        SegmentCorruptError: A session to be kept is damaged; names segment and session.
        AlreadyExistsError: A session is to be kept twice.
        InvalidInputError: Nothing is to be kept.
        StorageFullError, UnavailableError, ConfigError: From the storage.

    Nothing was published where it raises, save as `SegmentWriter.finish` says.
    """
    if not manifests:
        raise InvalidInputError("segments", "are none")
    with SegmentWriter(
        blobs,
        writer=writer,
        created_at=max(manifest.created_at for manifest in manifests),
        segment_id=segment_id,
        limits=limits,
        on_step=on_step,
    ) as target:
        for manifest in manifests:
            stream = open_stream(blobs, manifest.key)
            for entry in manifest.entries:
                if not keep(manifest, entry):
                    continue
                with blamed(manifest.segment_id, entry.session_id):
                    target.add_frame(entry, next_frame(stream, entry))
        return target.finish()
