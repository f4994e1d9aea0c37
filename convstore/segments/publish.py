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
    """Read the staged segment back: every byte of it must be one that was written.

    Its frames were unpacked and compared with their lines when they were made, and the
    lines were proven lossless before: equal files are equal documents.

    Raises:
        SegmentCorruptError: The file is not what was written; names a session whose
            frame is not, if there is one.
    """
    stream = Stream(staged.read, staged.size_bytes)
    on_step("verify.open")
    for entry in manifest.entries:
        stream.skip(entry.length)
        on_step("verify.entry")
    if stream.sha256() != manifest.sha256:
        raise _fault(staged, manifest, unpacker, damaged)
    on_step("verify.done")


def _fault(
    staged: StagedBlob,
    manifest: Manifest,
    unpacker: Unpacker,
    damaged: Mapping[int, str],
) -> SegmentCorruptError:
    """What is wrong with a staged segment that is not what was written."""
    stream = Stream(staged.read, staged.size_bytes)
    for entry in manifest.entries:
        try:
            frame = stream.peek(entry.length)
            if entry.ordinal in damaged:
                check_line(bytes(frame), damaged[entry.ordinal])
            else:
                check_line(unpacker.unpack(frame, entry.raw_length), entry.sha256)
        except CorruptionError as error:
            return SegmentCorruptError(
                manifest.segment_id, f"read back: {error}", (entry.session_id,)
            )
        stream.skip(entry.length)
    return SegmentCorruptError(
        manifest.segment_id, "read back: the file does not match its checksum"
    )


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
