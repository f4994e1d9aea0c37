"""The last steps of a segment: read back what was staged, and stage its manifest."""

from __future__ import annotations

from collections.abc import Mapping

from convstore.blobs.base import BlobStore, StagedBlob, StepHook
from convstore.segments.entries import check_line
from convstore.segments.frames import Unpacker
from convstore.segments.manifest import Manifest, encode_manifest
from convstore.segments.segment import ArchiveLimits, manifest_key
from convstore.segments.stream import Stream
from convstore.vocabulary.errors import (
    CorruptionError,
    LimitExceededError,
    SegmentCorruptError,
)


def verify_staged(
    staged: StagedBlob,
    manifest: Manifest,
    unpacker: Unpacker,
    damaged: Mapping[int, str],
    on_step: StepHook,
) -> None:
    """Read the staged segment back and unpack every frame of it.

    The lines were proven lossless before they were written, so equal checksums are
    equal documents. Of those that were `damaged` before, the frames are compared.

    Raises:
        SegmentCorruptError: A frame or the file is not what was written.
    """
    stream = Stream(staged.read, staged.size_bytes)
    on_step("verify.open")
    for entry in manifest.entries:
        try:
            frame = stream.peek(entry.length)
            if entry.ordinal in damaged:
                check_line(bytes(frame), damaged[entry.ordinal])
            else:
                line = unpacker.unpack(frame, entry.raw_length)
                check_line(line, entry.sha256)
        except CorruptionError as error:
            raise SegmentCorruptError(
                manifest.segment_id, f"read back: {error}", (entry.session_id,)
            ) from None
        stream.skip(entry.length)
        on_step("verify.entry")
    if stream.sha256() != manifest.sha256:
        raise SegmentCorruptError(
            manifest.segment_id, "read back: the file does not match its checksum"
        )
    on_step("verify.done")


def stage_manifest(
    blobs: BlobStore, manifest: Manifest, limits: ArchiveLimits, on_step: StepHook
) -> StagedBlob:
    """The manifest, staged, durable and read back, for its caller to publish.

    Raises:
        SegmentCorruptError: What came back is not what was written.
        LimitExceededError: It is larger than a reader would accept.
    """
    data = encode_manifest(manifest)
    if len(data) > limits.max_manifest_bytes:
        raise LimitExceededError(
            "max_manifest_bytes", limits.max_manifest_bytes, len(data)
        )
    staged = blobs.create(manifest_key(manifest.key), on_step=on_step)
    try:
        staged.write(data)
        on_step("write.footer")
        staged.sync()
        # One byte more than written tells whether there is more.
        if staged.read(0, len(data) + 1) != data:
            raise SegmentCorruptError(
                manifest.segment_id, "manifest: does not read back as it was written"
            )
    except BaseException:
        staged.abort()
        raise
    return staged
