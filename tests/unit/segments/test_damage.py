"""Damage of every kind is noticed, named by session, and never read as content."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard

from convstore.blobs.base import BlobStore, silent
from convstore.blobs.local import LocalBlobs
from convstore.blobs.memory import MemoryBlobs
from convstore.errors import (
    SegmentCorruptError,
    SegmentNotFoundError,
    UnavailableError,
)
from convstore.segments.frames import MAGIC, Packer
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.publish import stage_manifest
from convstore.segments.reader import Fault, iterate_documents, read_manifest
from convstore.segments.segment import ArchiveLimits, manifest_key
from convstore.segments.verify import rebuild_manifest, verify_segment
from convstore.testing.blob_suite import put
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.records import SessionDocument
from tests.unit.segments.made import AT, MARKER, WRITER, odd, plain, write

DOCUMENTS = odd()


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def manifest(blobs: MemoryBlobs) -> Manifest:
    return write(blobs, DOCUMENTS)


def change(blobs: BlobStore, key: str, data: bytes) -> None:
    blobs.delete(key)
    put(blobs, key, data)


def readable(blobs: BlobStore, manifest: Manifest) -> list[SessionDocument]:
    """What can still be read; all of it must be true."""
    faults: list[Fault] = []
    found = [d for _, d in iterate_documents(blobs, manifest, on_fault=faults.append)]
    assert len(found) + len(faults) == len(manifest.entries)
    return found


def test_a_whole_segment_has_no_faults(blobs: MemoryBlobs, manifest: Manifest) -> None:
    assert verify_segment(blobs, manifest.key) == []
    assert verify_segment(blobs, manifest.key, deep=True) == []


def flipped(seed: int) -> tuple[MemoryBlobs, Manifest, Entry, bool]:
    """A segment with one bad bit, whose entry has it, and whether it does harm.

    A few bits of a frame header mean nothing, by RFC 8878: the unused bit of the
    descriptor for one. The session is whole then; the file is not.
    """
    blobs = MemoryBlobs()
    manifest = write(blobs, DOCUMENTS)
    data = bytearray(blobs.read(manifest.key))
    position = random.Random(seed).randrange(len(data))
    data[position] ^= 1 << seed % 8
    change(blobs, manifest.key, bytes(data))
    (hit,) = [e for e in manifest.entries if e.offset <= position < e.end]
    frame = bytes(data[hit.offset : hit.end])
    try:
        line = zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError:
        return blobs, manifest, hit, True
    return blobs, manifest, hit, hashlib.sha256(line[:-1]).hexdigest() != hit.sha256


@pytest.mark.parametrize("seed", range(200))
def test_a_flipped_bit_is_noticed_and_costs_one_session_at_most(seed: int) -> None:
    blobs, manifest, hit, harmful = flipped(seed)

    faults = verify_segment(blobs, manifest.key)
    assert [f.session_id for f in faults] == [hit.session_id] * harmful + [None]
    assert MARKER not in str(faults)
    kept = [d for n, d in enumerate(DOCUMENTS) if n != hit.ordinal or not harmful]
    assert readable(blobs, manifest) == kept


@pytest.mark.parametrize("seed", range(100))
def test_a_harmful_bit_is_noticed_without_a_manifest_too(seed: int) -> None:
    blobs, manifest, hit, harmful = flipped(seed)
    faults: list[Fault] = []
    rebuilt = rebuild_manifest(
        blobs, manifest.key, writer=WRITER, on_fault=faults.append
    )

    kept = [e for e in manifest.entries if e is not hit or not harmful]
    assert [e.sha256 for e in rebuilt.entries] == [e.sha256 for e in kept]
    where = f"bytes {hit.offset} to {hit.end}: "
    assert [f.problem.startswith(where) for f in faults] == [True] * harmful


def test_a_damaged_segment_is_not_rebuilt_by_default() -> None:
    blobs, manifest, _, harmful = flipped(0)

    assert harmful
    with pytest.raises(SegmentCorruptError):
        rebuild_manifest(blobs, manifest.key, writer=WRITER)


def test_every_truncation_is_noticed_and_keeps_what_is_before(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    data = blobs.read(manifest.key)

    for end in [*range(0, len(data), 37), len(data) - 1]:
        change(blobs, manifest.key, data[:end])
        whole = [entry for entry in manifest.entries if entry.end <= end]
        lost = [e.session_id for e in manifest.entries if e.end > end]

        faults = verify_segment(blobs, manifest.key)
        assert [fault.session_id for fault in faults] == [*lost, None]
        assert readable(blobs, manifest) == DOCUMENTS[: len(whole)]


@pytest.mark.parametrize("extra", [b"\0", b"trailing bytes", MAGIC, MAGIC + b"\0" * 50])
def test_trailing_bytes_are_noticed(
    blobs: MemoryBlobs, manifest: Manifest, extra: bytes
) -> None:
    change(blobs, manifest.key, blobs.read(manifest.key) + extra)
    blobs_without = MemoryBlobs()
    put(blobs_without, manifest.key, blobs.read(manifest.key))

    (fault,) = verify_segment(blobs, manifest.key)
    assert "its manifest says" in fault.problem
    assert len(verify_segment(blobs_without, manifest.key)) == 2
    assert readable(blobs, manifest) == DOCUMENTS


def test_a_whole_frame_too_many_is_noticed(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    frame = Packer().pack(encode_document(plain(77)))
    change(blobs, manifest.key, blobs.read(manifest.key) + frame)

    assert len(verify_segment(blobs, manifest.key)) == 1


def test_bytes_between_frames_are_noticed(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    data = blobs.read(manifest.key)
    first = manifest.entries[0]
    change(blobs, manifest.key, data[: first.end] + b"junk" + data[first.end :])

    assert len(verify_segment(blobs, manifest.key)) == len(DOCUMENTS)
    blobs.delete(manifest_key(manifest.key))
    faults = verify_segment(blobs, manifest.key)
    assert [fault.problem for fault in faults] == [
        "the manifest is missing",
        f"bytes {first.end} to {first.end + 4}: no frame begins here",
    ]


def publish_manifest(blobs: MemoryBlobs, manifest: Manifest) -> None:
    stage_manifest(blobs, manifest, ArchiveLimits(), silent).publish()


def test_a_missing_manifest_is_a_fault_and_can_be_made_again(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    blobs.delete(manifest_key(manifest.key))

    faults = verify_segment(blobs, manifest.key)
    assert [fault.problem for fault in faults] == ["the manifest is missing"]
    publish_manifest(blobs, rebuild_manifest(blobs, manifest.key, writer="me 1"))
    assert verify_segment(blobs, manifest.key) == []
    assert read_manifest(blobs, manifest.key).entries == manifest.entries


def test_a_rebuilt_manifest_has_the_time_of_the_segments_id(
    blobs: MemoryBlobs,
) -> None:
    millis = to_micros(AT) // 1_000
    timed = f"{millis:012x}"
    fresh = f"{timed[:8]}-{timed[8:]}-7000-8000-000000000000"
    for segment_id, made_at in (
        (fresh, AT.replace(microsecond=123_000)),
        ("01990a2b-0000-4000-8000-000000000000", datetime(2026, 1, 1, tzinfo=UTC)),
    ):
        key = write(blobs, [plain(0)], segment_id=segment_id).key

        assert rebuild_manifest(blobs, key, writer=WRITER).created_at == made_at


def test_a_damaged_manifest_is_a_fault_and_the_frames_are_looked_at(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    change(blobs, manifest_key(manifest.key), b"{}")
    data = bytearray(blobs.read(manifest.key))
    data[manifest.entries[1].end - 1] ^= 1
    change(blobs, manifest.key, bytes(data))

    first, second = verify_segment(blobs, manifest.key)
    assert first.problem.startswith("manifest: ")
    assert second.problem.startswith(f"bytes {manifest.entries[1].offset} to ")


def test_a_missing_segment_names_every_session(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    blobs.delete(manifest.key)

    faults = verify_segment(blobs, manifest.key)
    assert [fault.session_id for fault in faults] == [
        None,
        *(entry.session_id for entry in manifest.entries),
    ]
    with pytest.raises(SegmentNotFoundError):
        rebuild_manifest(blobs, manifest.key, writer=WRITER)


def test_a_document_that_is_not_written_our_way_is_a_fault_of_the_deep_look(
    blobs: MemoryBlobs,
) -> None:
    manifest = write(blobs, [plain(0)])
    line = encode_document(plain(0)).replace(b'"turns":[', b'"turns": [')
    put_segment(blobs, manifest, Packer().pack(line))
    publish_manifest(blobs, rebuild_manifest(blobs, manifest.key, writer=WRITER))

    assert verify_segment(blobs, manifest.key) == []
    (fault,) = verify_segment(blobs, manifest.key, deep=True)
    assert fault.session_id == "s-0"


def test_nothing_at_all_is_two_faults(blobs: MemoryBlobs, manifest: Manifest) -> None:
    blobs.delete(manifest.key)
    blobs.delete(manifest_key(manifest.key))

    problems = [fault.problem for fault in verify_segment(blobs, manifest.key)]
    assert problems == ["the manifest is missing", "the segment is missing"]


def test_a_file_that_cannot_be_opened_is_a_fault(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "archive")
    manifest = write(blobs, DOCUMENTS)
    for key in (manifest.key, manifest_key(manifest.key)):
        (blobs.root / key).unlink()
        (blobs.root / key).symlink_to(tmp_path / "elsewhere")

    problems = [fault.problem for fault in verify_segment(blobs, manifest.key)]
    assert [problem.split(":")[0] for problem in problems] == [
        "the manifest cannot be read",
        "the segment cannot be read",
    ]


def test_a_storage_that_is_away_is_not_a_fault_of_the_segment(
    blobs: MemoryBlobs, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object) -> bytes:
        raise UnavailableError("away")

    monkeypatch.setattr(blobs, "read", away)

    with pytest.raises(UnavailableError):
        verify_segment(blobs, manifest.key)


def test_a_manifest_of_other_frames_never_gives_wrong_content(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    first, second, *rest = manifest.entries
    swapped = replace(first, sha256=second.sha256)
    lying = replace(manifest, entries=(swapped, second, *rest))

    assert readable(blobs, lying) == DOCUMENTS[1:]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"format":"convstore.session","format_version":1}',
        encode_document(plain(0)).replace(b'"version":3', b'"version":"3"'),
        encode_document(plain(0)).replace(b'"id":"s-0"', b'"id":""', 1),
        encode_document(plain(0)).replace(b'"id":"s-0"', b'"id":"\\u0000"', 1),
        encode_document(plain(0)).replace(b'"id":"s-0"', b'"id":["s-0"]', 1),
        encode_document(plain(0)).replace(b'"version":3', b'"version":-3'),
        encode_document(plain(0)).replace(b'"version":3', b'"version":' + b"9" * 400),
    ],
)
def test_hostile_lines_in_good_frames_are_refused_alone(
    blobs: MemoryBlobs, manifest: Manifest, line: bytes
) -> None:
    good = Packer().pack(encode_document(plain(5)))
    put_segment(blobs, manifest, Packer().pack(line) + good)
    faults: list[Fault] = []
    rebuilt = rebuild_manifest(
        blobs, manifest.key, writer=WRITER, on_fault=faults.append
    )

    assert [entry.session_id for entry in rebuilt.entries] == ["s-5"]
    assert len(faults) == 1
    with pytest.raises(SegmentCorruptError):
        rebuild_manifest(blobs, manifest.key, writer=WRITER)


def put_segment(blobs: MemoryBlobs, manifest: Manifest, data: bytes) -> None:
    change(blobs, manifest.key, data)
    blobs.delete(manifest_key(manifest.key))


def test_a_session_that_comes_twice_is_refused(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    put_segment(blobs, manifest, Packer().pack(encode_document(plain(5))) * 2)

    with pytest.raises(SegmentCorruptError, match="twice"):
        rebuild_manifest(blobs, manifest.key, writer=WRITER)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5_000,
        MAGIC * 3_000,
        (MAGIC + b"\0\0\7\0\0") * 1_500,
        (MAGIC + b"\xa4\0\0\0\x40" + b"\0\0\0") * 2_000,
        random.Random(1).randbytes(3_000_000),
    ],
)
def test_what_is_no_segment_at_all_is_told_in_bounded_time(
    blobs: MemoryBlobs, manifest: Manifest, data: bytes
) -> None:
    put_segment(blobs, manifest, data)

    faults = verify_segment(blobs, manifest.key)
    assert 2 <= len(faults) <= 3
    assert faults[-1].problem == "no session can be read from the segment"


def test_a_damaged_frame_that_tells_a_wrong_end_does_not_hide_the_next(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    """Its last block says that it is shorter than it is."""
    frame = bytearray(Packer().pack(random.Random(5).randbytes(900).hex().encode()))
    header = zstandard.frame_header_size(bytes(frame))
    size = int.from_bytes(frame[header : header + 3], "little") >> 3
    frame[header : header + 3] = ((size - 50) << 3 | 5).to_bytes(3, "little")
    good = Packer().pack(encode_document(plain(5)))
    put_segment(blobs, manifest, bytes(frame) + good)
    faults: list[Fault] = []
    rebuilt = rebuild_manifest(
        blobs, manifest.key, writer=WRITER, on_fault=faults.append
    )

    assert [entry.session_id for entry in rebuilt.entries] == ["s-5"]
    assert [fault.problem.split(":")[0] for fault in faults] == [
        f"bytes 0 to {len(frame)}"
    ]


def test_bombs_are_told_within_the_limits(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    bomb = Packer(19).pack(b" " * 50_000_000)
    good = Packer().pack(encode_document(plain(5)))
    put_segment(blobs, manifest, bomb + good)
    limits = ArchiveLimits(max_document_bytes=1_000_000)

    faults = verify_segment(blobs, manifest.key, limits=limits)
    assert [fault.problem for fault in faults] == [
        "the manifest is missing",
        f"bytes 0 to {len(bomb)}: frame unpacks to more than the limit",
    ]


def test_a_frame_over_the_limit_is_passed_over(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    noise = random.Random(3).randbytes(3_000_000).hex()
    large = Packer().pack(noise.encode())
    good = Packer().pack(encode_document(plain(5)))
    put_segment(blobs, manifest, large + good)
    limits = ArchiveLimits(max_document_bytes=100_000)

    faults = verify_segment(blobs, manifest.key, limits=limits)
    assert faults[1].problem == (
        f"bytes 0 to {len(large)}: the frame is larger than the limit"
    )
    assert len(faults) == 2


def test_frames_larger_than_a_chunk_are_scanned(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    noise = random.Random(2).randbytes(3_000_000).hex()
    large = plain(6, turns=1, content=noise)
    frames = [Packer().pack(encode_document(d)) for d in (plain(5), large, plain(7))]
    put_segment(blobs, manifest, b"".join(frames))

    rebuilt = rebuild_manifest(blobs, manifest.key, writer=WRITER)
    assert [entry.session_id for entry in rebuilt.entries] == ["s-5", "s-6", "s-7"]
    assert [entry.length for entry in rebuilt.entries] == [len(f) for f in frames]
