"""The manifest vouches for itself and says nothing of what people said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from convstore.blobs.memory import MemoryBlobs
from convstore.errors import NewerFormatError, SegmentCorruptError
from convstore.segments.manifest import (
    Manifest,
    encode_manifest,
    manifest_sha256,
    parse_manifest,
)
from convstore.segments.segment import ArchiveLimits, manifest_key
from tests.unit.segments.made import MARKER, odd, plain, write


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return write(MemoryBlobs(), [plain(0), plain(1), plain(2)])


def sealed(value: dict[str, Any]) -> bytes:
    """The manifest file of this object, with a checksum that is right."""
    value.pop("sha256", None)
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    seal = hashlib.sha256(body).hexdigest()
    return body[:-1] + f',"sha256":"{seal}"}}\n'.encode()


def test_it_comes_back_the_same(manifest: Manifest) -> None:
    data = encode_manifest(manifest)

    assert parse_manifest(data, manifest.key) == manifest
    assert data.count(b"\n") == 1
    assert data.endswith(f'"{manifest_sha256(data)}"}}\n'.encode())


def test_it_holds_ids_and_numbers_but_nothing_that_people_said() -> None:
    blobs = MemoryBlobs()
    manifest = write(blobs, odd())
    data = blobs.read(manifest_key(manifest.key)).decode()

    assert MARKER not in data
    assert "Archieven" not in data  # The title.
    assert "u-1" not in data


def test_it_knows_its_totals_and_finds_sessions(manifest: Manifest) -> None:
    assert manifest.total("turn_count") == 6
    assert manifest.find("default", "s-1") == manifest.entries[1]
    assert manifest.find("other", "s-1") is None


def test_every_flipped_bit_is_noticed(manifest: Manifest) -> None:
    data = encode_manifest(manifest)

    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(SegmentCorruptError):
            parse_manifest(bytes(damaged), manifest.key)


def test_every_truncation_is_noticed(manifest: Manifest) -> None:
    data = encode_manifest(manifest)

    for end in range(len(data)):
        with pytest.raises(SegmentCorruptError):
            parse_manifest(data[:end], manifest.key)
    with pytest.raises(SegmentCorruptError):
        parse_manifest(data + b" ", manifest.key)


def entry(number: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda value: value["entries"][number].update(changes)


def member(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda value: value.update(changes)


@pytest.mark.parametrize(
    "change",
    [
        member(format="other"),
        member(format_version=True),
        member(format_version=1.0),
        member(writer=""),
        member(writer=7),
        member(segment_id="01990a2b-0000-7000-8000-0123456789ab"),
        member(created_at="yesterday"),
        member(created_at="2026-01-01T00:00:00"),
        member(created_at=0),
        member(created_at="9999-12-31T23:00:00-12:00"),
        member(created_at="0001-01-01T00:00:00+12:00"),
        member(file=None),
        member(entry_count=2),
        member(totals={}),
        member(entries=[]),
        member(entries={}),
        member(entries=[None]),
        member(entries=[{}]),
        entry(0, tenant_id=""),
        entry(0, session_id="x" * 256),
        entry(0, session_id="a\0"),
        entry(0, session_id=None),
        entry(0, session_id="s-1"),
        entry(0, offset=-1),
        entry(0, offset=0.0),
        entry(0, length=0),
        entry(0, length=True),
        entry(0, length=2**80),
        entry(0, session_version=2**63),
        entry(0, turn_count=2**63),
        entry(0, turn_count=99),
        entry(0, sha256="0" * 63),
        entry(0, sha256="G" * 64),
        entry(0, ordinal=1),
        entry(1, offset=0),
        entry(2, offset=10**12),
        entry(2, length=10**9),
        lambda value: value["file"].update(size_bytes=1),
        lambda value: value["file"].update(name="segment-x.jsonl.zst"),
        lambda value: value["file"].update(sha256=None),
        lambda value: value["entries"].reverse(),
        lambda value: value["totals"].update(turn_count=7),
    ],
)
def test_what_contradicts_itself_is_refused_though_its_checksum_is_right(
    manifest: Manifest, change: Callable[[dict[str, Any]], None]
) -> None:
    value = json.loads(encode_manifest(manifest))
    assert parse_manifest(sealed(dict(value)), manifest.key) == manifest
    change(value)

    with pytest.raises(SegmentCorruptError) as caught:
        parse_manifest(sealed(value), manifest.key)
    assert caught.value.segment_id == manifest.segment_id


@pytest.mark.parametrize(
    "change", [member(format_version=2), member(extra=1), entry(0, extra=1)]
)
def test_what_a_later_version_wrote_is_refused_and_is_no_damage(
    manifest: Manifest, change: Callable[[dict[str, Any]], None]
) -> None:
    value = json.loads(encode_manifest(manifest))
    change(value)

    with pytest.raises(NewerFormatError) as caught:
        parse_manifest(sealed(value), manifest.key)
    assert caught.value.segment_id == manifest.segment_id


@pytest.mark.parametrize(
    "data",
    [b"", b"null\n", b"[]", b"{}", b"\xff\xfe", b"[" * 10_000, b'{"format":[]}'],
)
def test_what_is_no_manifest_is_refused(manifest: Manifest, data: bytes) -> None:
    with pytest.raises(SegmentCorruptError):
        parse_manifest(data, manifest.key)


def test_more_entries_than_the_limit_are_refused(manifest: Manifest) -> None:
    data = encode_manifest(manifest)

    with pytest.raises(SegmentCorruptError, match="limit"):
        parse_manifest(data, manifest.key, ArchiveLimits(max_entries=2))


def test_a_frame_over_the_limit_is_refused(manifest: Manifest) -> None:
    limits = ArchiveLimits(max_document_bytes=10)
    last = manifest.entries[-1]
    longer = replace(last, length=limits.max_frame_bytes + 1)
    grown = replace(
        manifest, size_bytes=longer.end, entries=(*manifest.entries[:-1], longer)
    )

    assert parse_manifest(encode_manifest(grown), manifest.key) == grown
    with pytest.raises(SegmentCorruptError, match="larger than the limit"):
        parse_manifest(encode_manifest(grown), manifest.key, limits)


def test_another_segments_manifest_is_refused(manifest: Manifest) -> None:
    other = replace(manifest, segment_id="01990a2b-0000-7000-8000-0123456789ab")

    with pytest.raises(SegmentCorruptError, match="another segment"):
        parse_manifest(encode_manifest(other), manifest.key)
