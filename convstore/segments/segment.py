"""What a segment is called, where it lies, and the bounds of what is read from one.

A segment is many zstd frames, each holding one session document as a line of JSON; see
docs/archive-format.md.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.record import Value

SEGMENTS = "segments/"
SEGMENT_SUFFIX = ".jsonl.zst"
MANIFEST_SUFFIX = ".manifest.json"

STEPS = (
    "write.open",
    "write.half_entry",
    "write.entry",
    "write.footer",
    "fsync.file",
    "write.close",
    "verify.open",
    "verify.entry",
    "verify.done",
    "publish.mkdir",
    "publish.link",
    "publish.unlink_tmp",
    "publish.dirsync",
)
"""The steps that writing a segment announces, in the order of their first time."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SEGMENT_ID = re.compile(_UUID, re.ASCII)
_SEGMENT_KEY = re.compile(
    rf"segments/[0-9]{{4}}/(?:0[1-9]|1[0-2])/segment-({_UUID})\.jsonl\.zst", re.ASCII
)


class ArchiveLimits(Value, frozen=True):
    """Bounds on what one read may cost, whatever the file claims about itself.

    The writer keeps to them too, so that what was written can be read.

    Attributes:
        max_document_bytes: Bytes of one session's line; what a frame may unpack to.
        max_window_bytes: Memory that a frame may ask the decoder for; 128 MiB is what
            the `zstd` command allows by default.
        max_manifest_bytes: Bytes of one manifest; an entry takes about 400.
        max_entries: Sessions of one segment.
    """

    max_document_bytes: int = 1024 * 1024 * 1024
    max_window_bytes: int = 128 * 1024 * 1024
    max_manifest_bytes: int = 256 * 1024 * 1024
    max_entries: int = 500_000

    @property
    def max_frame_bytes(self) -> int:
        """What a line of the allowed size takes when it cannot be compressed.

        ZSTD_COMPRESSBOUND of zstd.h adds 1/256 and a little; the header and the
        checksum take up to 22 bytes more.
        """
        return self.max_document_bytes + (self.max_document_bytes >> 8) + 1_024


def check_segment_id(segment_id: str) -> str:
    """`segment_id` if `ids.new_id` can have made it: a UUID in lower case.

    Raises:
        InvalidInputError: Anything else; it would become part of a file name.
    """
    if _SEGMENT_ID.fullmatch(segment_id) is None:
        raise InvalidInputError("segment_id", "is not a UUID in lower case")
    return segment_id


def segment_key(segment_id: str, created_at: datetime) -> str:
    """The key of the segment: by year and month of `created_at` in UTC.

    Raises:
        InvalidInputError: The id is not a UUID, or the time has no time zone.
    """
    if created_at.tzinfo is None:
        raise InvalidInputError("created_at", "has no time zone")
    folder = created_at.astimezone(UTC).strftime("%Y/%m")
    return f"{SEGMENTS}{folder}/{segment_name(check_segment_id(segment_id))}"


def segment_name(segment_id: str) -> str:
    """The file name of the segment."""
    return f"segment-{segment_id}{SEGMENT_SUFFIX}"


def segment_id_of(key: str) -> str:
    """The id of the segment with this key.

    Raises:
        InvalidInputError: Not the key of a segment.
    """
    match = _SEGMENT_KEY.fullmatch(key)
    if match is None:
        raise InvalidInputError("key", "is not the key of a segment")
    return match[1]


def is_segment_key(key: str) -> bool:
    """Whether `key` is that of a segment, by its form alone."""
    return _SEGMENT_KEY.fullmatch(key) is not None


def manifest_key(key: str) -> str:
    """The key of the manifest beside the segment with this key."""
    segment_id_of(key)
    return key.removesuffix(SEGMENT_SUFFIX) + MANIFEST_SUFFIX


def readable_prefix(key: str) -> str:
    """What the keys of the readable copies of the segment with this key begin with."""
    _, year, month, _ = key.split("/")
    return f"sessions/{year}/{month}/{segment_id_of(key)}/"
