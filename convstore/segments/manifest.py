"""What a segment holds, session by session, with checksums; never what people said.

The manifest is one JSON object in one line. Its last member is the SHA-256 of the
object without that member, so that it vouches for itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from convstore.segments.segment import ArchiveLimits, segment_id_of, segment_name
from convstore.vocabulary.codec import INT64_MAX, decode_json, dumps
from convstore.vocabulary.documents import REQUIRES, check_understood
from convstore.vocabulary.errors import (
    CorruptionError,
    InvalidInputError,
    NewerFormatError,
    SegmentCorruptError,
)
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.record import Record, names_of
from convstore.vocabulary.records import Json
from convstore.vocabulary.times import time_of

FORMAT = "convstore.segment"
FORMAT_VERSION = 1

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SEAL_BYTES = len(',"sha256":""}\n') + 64
_TOTALS = ("raw_length", "turn_count", "interaction_count", "graph_state_count")


class Entry(Record, frozen=True):
    """One session document in a segment.

    Attributes:
        ordinal: Position in the segment, from 0.
        session_version: The session's version when it was read.
        offset: First byte of the frame in the segment.
        length: Bytes of the frame.
        raw_length: Bytes of the unpacked line, without its newline.
        sha256: Hash of that line, in hexadecimal.
    """

    ordinal: int
    tenant_id: str
    session_id: str
    session_version: int
    offset: int
    length: int
    raw_length: int
    sha256: str
    turn_count: int
    interaction_count: int
    graph_state_count: int

    @property
    def end(self) -> int:
        """The first byte behind the frame."""
        return self.offset + self.length


class Manifest(Record, frozen=True):
    """The table of contents of one segment.

    Attributes:
        key: Where the segment lies in its blob store; not part of the file.
        writer: Name and version of the library that wrote the segment.
        size_bytes: Bytes of the segment.
        sha256: Hash of the whole segment, in hexadecimal.
        entries: In the order of the file.
    """

    key: str
    segment_id: str
    created_at: datetime
    writer: str
    size_bytes: int
    sha256: str
    entries: tuple[Entry, ...]

    def total(self, field: str) -> int:
        """The sum of one of the counts or lengths over all entries."""
        return sum(getattr(entry, field) for entry in self.entries)

    def covers(self, size_bytes: int) -> bool:
        """Whether no byte of a file of this size lies outside the entries."""
        end = 0
        for entry in self.entries:
            if entry.offset != end:
                return False
            end = entry.end
        return end == size_bytes

    def find(self, tenant_id: str, session_id: str) -> Entry | None:
        """The entry of a session, or None."""
        wanted = (tenant_id, session_id)
        for entry in self.entries:
            if (entry.tenant_id, entry.session_id) == wanted:
                return entry
        return None


_ENTRY_TEXTS = ("tenant_id", "session_id", "sha256")
_ENTRY_FIELDS = names_of(Entry)
_entry_numbers = attrgetter(
    *(name for name in names_of(Entry) if name not in _ENTRY_TEXTS)
)
_MEMBERS = (
    "format",
    "format_version",
    "writer",
    "segment_id",
    "created_at",
    "file",
    "entry_count",
    "totals",
    "entries",
    "sha256",
)


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of the manifest file: one line of JSON that ends with its own hash."""
    body = dumps(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "writer": manifest.writer,
            "segment_id": manifest.segment_id,
            "created_at": manifest.created_at,
            "file": {
                "name": segment_name(manifest.segment_id),
                "size_bytes": manifest.size_bytes,
                "sha256": manifest.sha256,
            },
            "entry_count": len(manifest.entries),
            "totals": {name: manifest.total(name) for name in _TOTALS},
            "entries": manifest.entries,
        }
    )
    return body[:-1] + f',"sha256":"{_hash(body)}"}}\n'.encode()


def manifest_sha256(data: bytes) -> str:
    """The manifest's own hash, computed from the bytes of its file."""
    return _hash(data[:-_SEAL_BYTES] + b"}")


def parse_manifest(
    data: bytes, key: str, limits: ArchiveLimits | None = None
) -> Manifest:
    """The manifest in the file beside the segment with this `key`.

    Everything that can be checked without the segment is checked: the hash, each type,
    the sums, that frames follow one another inside the file, that no session comes
    twice, and that it speaks of the segment beside which it lies.

    Raises:
        SegmentCorruptError: It is damaged, or contradicts itself.
        NewerFormatError: It is of a newer version, or requires what is not known here.
    """
    segment_id = segment_id_of(key)
    try:
        return _parse(data, key, segment_id, limits or ArchiveLimits())
    except NewerFormatError as error:
        raise NewerFormatError(error.what, error.problem, segment_id) from None
    except (CorruptionError, InvalidInputError) as error:
        raise SegmentCorruptError(segment_id, f"manifest: {error}") from None


def _parse(data: bytes, key: str, segment_id: str, limits: ArchiveLimits) -> Manifest:
    value = decode_json(data)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise CorruptionError("not a segment manifest")
    check_understood("segment manifest", value, FORMAT_VERSION)
    seal = f',"sha256":"{manifest_sha256(data)}"}}\n'.encode()
    if not data.endswith(seal):
        raise CorruptionError("its own checksum does not match")
    value.pop(REQUIRES, None)
    _members(value, _MEMBERS)
    file = _members(value["file"], ("name", "size_bytes", "sha256"))
    if value["segment_id"] != segment_id or file["name"] != segment_name(segment_id):
        raise CorruptionError("it belongs to another segment")
    manifest = Manifest(
        key=key,
        segment_id=segment_id,
        created_at=_time(value["created_at"]),
        writer=check_id("writer", value["writer"]),
        size_bytes=_number(file["size_bytes"]),
        sha256=_sha256(file["sha256"]),
        entries=_entries(value["entries"], limits),
    )
    _check_layout(manifest)
    totals = {name: manifest.total(name) for name in _TOTALS}
    if value["totals"] != totals or value["entry_count"] != len(manifest.entries):
        raise CorruptionError("its totals do not match its entries")
    return manifest


def _entries(value: Json, limits: ArchiveLimits) -> tuple[Entry, ...]:
    if not isinstance(value, list) or not value:
        raise CorruptionError("entries are missing")
    if len(value) > limits.max_entries:
        raise CorruptionError("it has more entries than the limit")
    entries = tuple(_entry(item) for item in value)
    for entry in entries:
        if entry.length > limits.max_frame_bytes:
            raise CorruptionError("an entry is larger than the limit")
    return entries


def _entry(value: Json) -> Entry:
    return check_entry(Entry(**_members(value, _ENTRY_FIELDS)))


def check_entry(entry: Entry) -> Entry:
    """`entry` if each field is of its type and within its bounds.

    Raises:
        CorruptionError, InvalidInputError: It is not.
    """
    for number in _entry_numbers(entry):
        _number(number)
    check_id("tenant_id", entry.tenant_id)
    check_id("session_id", entry.session_id)
    _sha256(entry.sha256)
    return entry


def _check_layout(manifest: Manifest) -> None:
    # Gaps are allowed: a manifest rebuilt from a damaged segment leaves them.
    end = 0
    for ordinal, entry in enumerate(manifest.entries):
        if entry.ordinal != ordinal or entry.offset < end or not entry.length:
            raise CorruptionError("entries are not in the order of the file")
        end = entry.end
    if end > manifest.size_bytes:
        raise CorruptionError("an entry points outside the file")
    if len(session_names(manifest.entries)) != len(manifest.entries):
        raise CorruptionError("a session is listed twice")


def with_entries(manifest: Manifest, missing: Sequence[Entry]) -> Manifest:
    """The manifest with entries that it lacks, each put where it lies in the file.

    Raises:
        SegmentCorruptError: Two of them overlap, or are of one session.
    """
    if not missing:
        return manifest
    entries = sorted([*manifest.entries, *missing], key=attrgetter("offset"))
    whole = replace(
        manifest,
        # A file that was cut off may end before an entry does.
        size_bytes=max(manifest.size_bytes, *(entry.end for entry in entries)),
        entries=tuple(replace(e, ordinal=n) for n, e in enumerate(entries)),
    )
    try:
        _check_layout(whole)
    except CorruptionError as error:
        raise SegmentCorruptError(manifest.segment_id, str(error)) from None
    return whole


def session_names(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Tenant and session id of each entry."""
    return {(entry.tenant_id, entry.session_id) for entry in entries}


def _members(value: Json, names: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(value, dict) and set(value) > set(names):
        # The manifest vouches for itself: somebody meant them.
        raise NewerFormatError("segment manifest", "unknown members")
    if not isinstance(value, dict) or tuple(value) != names:
        raise CorruptionError("members are missing or out of order")
    return value


def _number(value: Json) -> int:
    if type(value) is not int or not 0 <= value <= INT64_MAX:
        raise CorruptionError("a count or length is not a number of 64 bits from 0")
    return value


def _sha256(value: Json) -> str:
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise CorruptionError("a checksum is malformed")
    return value


def _time(value: Json) -> datetime:
    try:
        return time_of(value)
    except (TypeError, ValueError):
        raise CorruptionError("created_at is not a time with a zone") from None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
