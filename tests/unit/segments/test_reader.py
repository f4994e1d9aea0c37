"""Reading sessions out of segments: one, all, and what is refused."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from convstore.blobs.base import BlobStore
from convstore.blobs.local import LocalBlobs
from convstore.blobs.memory import MemoryBlobs
from convstore.errors import SegmentCorruptError, SegmentNotFoundError
from convstore.segments.manifest import Manifest
from convstore.segments.reader import (
    Fault,
    iterate_documents,
    read_document,
    read_line,
    read_manifest,
    segment_keys,
)
from convstore.segments.segment import ArchiveLimits, manifest_key
from convstore.testing.blob_suite import put
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.records import SessionDocument
from tests.unit.segments.made import AT, odd, plain, write


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def manifest(blobs: MemoryBlobs) -> Manifest:
    return write(blobs, odd())


def read(
    blobs: BlobStore, manifest: Manifest, number: int, **changes: object
) -> SessionDocument:
    entry = replace(manifest.entries[number], **changes)  # type: ignore[arg-type]
    return read_document(blobs, manifest.key, entry)


def test_each_session_is_read_by_offset_alone(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    for number, document in enumerate(odd()):
        assert read(blobs, manifest, number) == document


def test_a_line_is_what_was_encoded(blobs: MemoryBlobs, manifest: Manifest) -> None:
    line = read_line(blobs, manifest.key, manifest.entries[1])

    assert line == encode_document(odd()[1])


def test_segments_are_listed_oldest_month_first_and_nothing_else(
    blobs: MemoryBlobs,
) -> None:
    later = write(blobs, [plain(0)], created_at=AT.replace(year=2027))
    early = write(blobs, [plain(0)])
    put(blobs, "segments/2026/01/other.jsonl.zst", b"")

    assert segment_keys(blobs) == [early.key, later.key]


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 64},
        {"offset": 1},
        {"offset": 10**9},
        {"length": 1},
        {"length": 10**9},
        {"length": 10**12},
        {"length": 0},
        {"raw_length": 10**9},
        {"session_id": "s-9"},
    ],
)
def test_what_does_not_hold_the_session_is_refused(
    blobs: MemoryBlobs, manifest: Manifest, change: dict[str, object]
) -> None:
    with pytest.raises(SegmentCorruptError) as caught:
        read(blobs, manifest, 0, **change)
    assert caught.value.segment_id == manifest.segment_id
    assert caught.value.session_ids == (change.get("session_id", "s-0"),)


def test_another_sessions_place_is_refused(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    other = manifest.entries[1]

    with pytest.raises(SegmentCorruptError):
        read(blobs, manifest, 0, offset=other.offset, length=other.length)
    with pytest.raises(SegmentCorruptError, match="another session"):
        read(
            blobs,
            manifest,
            0,
            offset=other.offset,
            length=other.length,
            raw_length=other.raw_length,
            sha256=other.sha256,
        )


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_id": "acme"},
        {"session_id": "s-9"},
        {"session_version": 99},
        {"turn_count": 99},
        {"raw_length": 1},
    ],
)
def test_an_entry_that_speaks_of_something_else_is_refused(
    blobs: MemoryBlobs, manifest: Manifest, change: dict[str, object]
) -> None:
    """A session handed to another tenant by its manifest must not reach them."""
    entry = replace(manifest.entries[0], **change)  # type: ignore[arg-type]

    problem = "manifest does not match|more or less"
    with pytest.raises(SegmentCorruptError, match=problem):
        list(iterate_documents(blobs, replace(manifest, entries=(entry,))))


def test_a_document_over_the_limit_is_refused(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    limits = ArchiveLimits(max_document_bytes=100)

    with pytest.raises(SegmentCorruptError, match="limit"):
        read_document(blobs, manifest.key, manifest.entries[0], limits=limits)


def test_a_missing_segment_is_named_by_its_id(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    blobs.delete(manifest.key)
    blobs.delete(manifest_key(manifest.key))

    for attempt in (
        lambda: read(blobs, manifest, 0),
        lambda: list(iterate_documents(blobs, manifest)),
        lambda: read_manifest(blobs, manifest.key),
    ):
        with pytest.raises(SegmentNotFoundError) as caught:
            attempt()
        assert caught.value.segment_id == manifest.segment_id


def test_a_manifest_over_the_limit_is_not_read(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    with pytest.raises(SegmentCorruptError, match="limit"):
        read_manifest(blobs, manifest.key, ArchiveLimits(max_manifest_bytes=100))


def test_a_damaged_session_is_told_and_the_rest_is_read(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    entries = list(manifest.entries)
    entries[2] = replace(entries[2], sha256="0" * 64)
    damaged = replace(manifest, entries=tuple(entries))
    faults: list[Fault] = []
    read = [d for _, d in iterate_documents(blobs, damaged, on_fault=faults.append)]

    documents = odd()
    assert read == [*documents[:2], *documents[3:]]
    assert [fault.session_id for fault in faults] == [entries[2].session_id]
    assert faults[0].tenant_id == entries[2].tenant_id


def test_memory_is_flat_while_sessions_pass(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "archive")
    noisy = [plain(n, turns=1, content=f"{n}" * 40_000) for n in range(200)]
    manifest = write(blobs, noisy)
    del noisy
    tracemalloc.start()
    for _ in iterate_documents(blobs, manifest):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert manifest.total("raw_length") > 15_000_000
    assert peak < 4_000_000
