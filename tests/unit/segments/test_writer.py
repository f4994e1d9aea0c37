"""Writing a segment: what is refused, what is verified, what a crash leaves."""

from __future__ import annotations

import json
import random
import resource
import stat
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import zstandard

from convstore.blobs.base import BlobStore, StagedBlob
from convstore.blobs.local import LocalBlobs
from convstore.blobs.memory import MemoryBlobs
from convstore.errors import (
    AlreadyExistsError,
    ConfigError,
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
    SegmentCorruptError,
    StorageFullError,
    UnavailableError,
)
from convstore.segments.frames import Packer
from convstore.segments.reader import iterate_documents, read_manifest, segment_keys
from convstore.segments.segment import STEPS, ArchiveLimits, manifest_key
from convstore.segments.verify import verify_segment
from convstore.segments.writer import BUFFER_BYTES, SegmentWriter
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.records import SessionDocument
from tests.unit.segments.made import AT, MARKER, WRITER, odd, plain, write


def writer(blobs: BlobStore, **options: Any) -> SegmentWriter:
    settings: dict[str, Any] = {"writer": WRITER, "created_at": AT, **options}
    return SegmentWriter(blobs, **settings)


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "archive")


def test_the_whole_file_unpacks_to_json_lines(blobs: LocalBlobs) -> None:
    documents = odd()
    manifest = write(blobs, documents)
    data = blobs.read(manifest.key)
    unpacked = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    lines = unpacked.decompress(data).split(b"\n")

    assert lines == [*(encode_document(document) for document in documents), b""]


def test_the_manifest_says_what_was_written(blobs: LocalBlobs) -> None:
    segment_id = new_id()
    with writer(blobs, segment_id=segment_id) as segment:
        entries = [segment.add(document) for document in odd()]
        count, size = segment.entry_count, segment.size_bytes
        manifest = segment.finish()

    assert manifest.entries == tuple(entries)
    assert manifest == read_manifest(blobs, segment.key)
    assert (manifest.segment_id, segment.segment_id) == (segment_id, segment_id)
    assert (count, size) == (5, manifest.size_bytes)
    assert entries[0].interaction_count == 3
    assert entries[0].graph_state_count == 2
    assert entries[4].turn_count == 200
    assert [e.offset for e in entries[1:]] == [e.end for e in entries[:-1]]
    assert verify_segment(blobs, manifest.key, deep=True) == []


def test_a_segment_larger_than_the_buffer_is_written_piece_by_piece(
    blobs: LocalBlobs,
) -> None:
    noise = [random.Random(number).randbytes(60_000).hex() for number in range(10)]
    documents = [plain(n, turns=1, content=text) for n, text in enumerate(noise)]
    manifest = write(blobs, documents)

    assert manifest.size_bytes > 2 * BUFFER_BYTES
    assert [d for _, d in iterate_documents(blobs, manifest)] == documents
    assert verify_segment(blobs, manifest.key) == []


def test_files_are_private_and_alone(blobs: LocalBlobs) -> None:
    manifest = write(blobs, odd())

    assert blobs.keys() == sorted([manifest.key, manifest_key(manifest.key)])
    files = [path for path in blobs.root.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert blobs.sweep(-60) == []


def test_times_of_any_zone_are_kept_as_utc(blobs: LocalBlobs) -> None:
    east = timezone(timedelta(hours=9))
    manifest = write(blobs, [plain(0)], created_at=AT.astimezone(east))

    assert manifest.key.startswith("segments/2026/01/")
    assert manifest.created_at.utcoffset() == timedelta(0)
    assert read_manifest(blobs, manifest.key) == manifest


def not_json() -> SessionDocument:
    document = plain(9)
    return replace(document, turns=(replace(document.turns[0], content="\ud800"),))


def too_large_a_number() -> SessionDocument:
    document = plain(9)
    turn = replace(document.turns[0], metadata={"n": 2**64})
    return replace(document, turns=(turn,))


def a_time_without_zone() -> SessionDocument:
    document = plain(9)
    turn = replace(document.turns[0], created_at=AT.replace(tzinfo=None))
    return replace(document, turns=(turn,))


def an_id_that_cannot_be_listed() -> SessionDocument:
    document = plain(9)
    return replace(document, session=replace(document.session, id="x" * 256))


def a_field_of_another_type() -> SessionDocument:
    document = plain(9)
    turn: Any = replace(document.turns[0], content={"text": MARKER})
    return replace(document, turns=(turn,))


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (not_json(), InvalidInputError),
        (too_large_a_number(), InvalidInputError),
        (a_time_without_zone(), CorruptionError),
        (an_id_that_cannot_be_listed(), InvalidInputError),
        (a_field_of_another_type(), CorruptionError),
        (plain(0), AlreadyExistsError),
        (plain(9, turns=1, content="x" * 20_000), LimitExceededError),
    ],
)
def test_a_document_that_cannot_be_kept_is_refused_alone(
    blobs: LocalBlobs, document: SessionDocument, error: type[Exception]
) -> None:
    with writer(blobs, limits=ArchiveLimits(max_document_bytes=20_000)) as segment:
        segment.add(plain(0))
        with pytest.raises(error) as caught:
            segment.add(document)
        segment.add(plain(1))
        manifest = segment.finish()

    assert MARKER not in str(caught.value)
    assert [entry.session_id for entry in manifest.entries] == ["s-0", "s-1"]
    assert verify_segment(blobs, manifest.key) == []


def test_equal_ids_of_two_tenants_are_two_sessions(blobs: LocalBlobs) -> None:
    mine = plain(0)
    theirs = replace(mine, session=replace(mine.session, tenant_id="acme"))
    manifest = write(blobs, [mine, theirs])

    assert [d for _, d in iterate_documents(blobs, manifest)] == [mine, theirs]


def test_more_sessions_than_the_limit_are_refused(blobs: LocalBlobs) -> None:
    with writer(blobs, limits=ArchiveLimits(max_entries=1)) as segment:
        segment.add(plain(0))

        with pytest.raises(LimitExceededError):
            segment.add(plain(1))
        assert len(segment.finish().entries) == 1


def test_a_manifest_over_the_limit_publishes_nothing(blobs: LocalBlobs) -> None:
    with pytest.raises(LimitExceededError):
        write(blobs, [plain(0)], limits=ArchiveLimits(max_manifest_bytes=100))
    assert blobs.keys() == []
    assert blobs.sweep(-60) == []


def test_an_empty_segment_is_refused_and_leaves_nothing(blobs: LocalBlobs) -> None:
    with pytest.raises(InvalidInputError):
        write(blobs, [])
    assert blobs.keys() == []
    assert blobs.sweep(-60) == []


def test_leaving_without_finishing_leaves_nothing(blobs: LocalBlobs) -> None:
    with writer(blobs) as segment:
        segment.add(plain(0))

    assert blobs.keys() == []
    assert blobs.sweep(-60) == []
    with pytest.raises(ConfigError):
        segment.add(plain(1))
    with pytest.raises(ConfigError):
        segment.finish()


def test_a_segment_is_finished_once(blobs: LocalBlobs) -> None:
    with writer(blobs) as segment:
        segment.add(plain(0))
        manifest = segment.finish()

        with pytest.raises(ConfigError):
            segment.finish()
    assert read_manifest(blobs, segment.key) == manifest


def test_an_id_that_is_taken_is_never_overwritten(blobs: LocalBlobs) -> None:
    manifest = write(blobs, [plain(0)])

    with pytest.raises(AlreadyExistsError):
        write(blobs, [plain(1)], segment_id=manifest.segment_id)
    assert read_manifest(blobs, manifest.key) == manifest
    assert verify_segment(blobs, manifest.key) == []


def test_the_listed_steps_are_the_steps_that_happen(blobs: LocalBlobs) -> None:
    steps: list[str] = []
    write(blobs, [plain(0), plain(1)], on_step=steps.append)

    assert set(steps) == set(STEPS)
    assert steps.count("write.entry") == steps.count("verify.entry") == 2
    assert steps.index("verify.done") < steps.index("publish.link")


@pytest.mark.parametrize("step", STEPS)
def test_an_error_at_any_step_leaves_a_good_segment_or_none(
    blobs: LocalBlobs, step: str
) -> None:
    def hook(name: str) -> None:
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(blobs, odd(), on_step=hook)
    assert blobs.sweep(-60) == []
    for key in segment_keys(blobs):
        faults = verify_segment(blobs, key)
        assert {fault.problem for fault in faults} <= {"the manifest is missing"}


KILLED = """
import os, sys
from convstore.blobs.local import LocalBlobs
from tests.unit.segments.made import odd, write
left = int(sys.argv[3])
def hook(step):
    global left
    if step == sys.argv[2]:
        left -= 1
        if left == 0:
            os._exit(9)
write(LocalBlobs(sys.argv[1]), odd(), on_step=hook)
"""


@pytest.mark.parametrize(
    ("step", "time"),
    [(step, 1) for step in STEPS]
    # The manifest goes through these again, after the segment.
    + [(step, 2) for step in STEPS if step.startswith(("fsync", "publish"))],
)
def test_a_process_killed_at_any_step_leaves_a_good_segment_or_none(
    blobs: LocalBlobs, step: str, time: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(blobs.root), step, str(time)]
    killed = subprocess.run(command)

    assert killed.returncode == 9
    for key in segment_keys(blobs):
        faults = verify_segment(blobs, key)
        assert {fault.problem for fault in faults} <= {"the manifest is missing"}
    blobs.sweep(-60)
    assert blobs.keys() == blobs.keys("segments/")
    assert list((blobs.root / "tmp").iterdir()) == []


class Tampering:
    """A blob store whose staged blobs come back changed when they are read."""

    def __init__(self, inner: BlobStore, suffix: str, position: int, bit: int):
        self._inner, self._suffix = inner, suffix
        self._position, self._bit = position, bit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create(self, key: str, **options: Any) -> StagedBlob:
        staged = self._inner.create(key, **options)
        if not key.endswith(self._suffix):
            return staged
        return _TamperedStaged(staged, self._position, self._bit)  # type: ignore[return-value]


class _TamperedStaged:
    def __init__(self, inner: StagedBlob, position: int, bit: int):
        self._inner, self._position, self._bit = inner, position, bit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, offset: int, length: int) -> bytes:
        data = bytearray(self._inner.read(offset, length))
        data[self._position % len(data)] ^= self._bit
        return bytes(data)


# The bit 0x10 of the fifth byte is the unused bit of a frame's descriptor: the frame
# unpacks all the same, and only the checksum of the file tells.
@pytest.mark.parametrize(
    ("position", "bit"), [(0, 1), (4, 0x10), (20, 1), (300, 2), (-1, 1), (-3, 128)]
)
@pytest.mark.parametrize("suffix", [".jsonl.zst", ".manifest.json"])
def test_what_does_not_come_back_as_written_is_never_published(
    blobs: LocalBlobs, suffix: str, position: int, bit: int
) -> None:
    with pytest.raises(SegmentCorruptError):
        write(Tampering(blobs, suffix, position, bit), [plain(0), plain(1)])
    assert blobs.keys() == []
    assert blobs.sweep(-60) == []


def test_a_frame_that_does_not_come_back_is_told_by_its_session(
    blobs: LocalBlobs,
) -> None:
    with pytest.raises(SegmentCorruptError) as told:
        write(Tampering(blobs, ".jsonl.zst", 20, 1), [plain(0), plain(1)])

    assert told.value.session_ids == ("s-0",)


def test_a_frame_that_does_not_unpack_as_it_was_packed_is_refused(
    blobs: LocalBlobs,
) -> None:
    with writer(blobs) as segment:
        segment.add(plain(0))
        packer = segment._packer
        segment._packer = _Miscopying()  # type: ignore[assignment]
        with pytest.raises(CorruptionError):
            segment.add(plain(1))
        segment._packer = packer
        segment.add(plain(2))
        manifest = segment.finish()

    assert [entry.session_id for entry in manifest.entries] == ["s-0", "s-2"]
    assert verify_segment(blobs, manifest.key) == []


class _Miscopying(Packer):
    """Packs another line of the same length, as bad memory would make of it."""

    def pack(self, line: bytes) -> bytes:
        return super().pack(line[:-10] + b"x" + line[-9:])


class Failing:
    """A blob store whose staged blobs fail one method from the given call on."""

    def __init__(self, inner: BlobStore, method: str, call: int, error: Exception):
        self._inner, self._method, self._error = inner, method, error
        self.left = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create(self, key: str, **options: Any) -> Any:
        return _FailingStaged(self, self._inner.create(key, **options))

    def fail(self, method: str) -> None:
        if method == self._method:
            self.left -= 1
            if self.left < 0:
                raise self._error


class _FailingStaged:
    def __init__(self, store: Failing, inner: StagedBlob) -> None:
        self._store, self._inner = store, inner

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name not in ("write", "sync", "read", "publish"):
            return attribute

        def call(*args: Any) -> Any:
            self._store.fail(name)
            return attribute(*args)

        return call


@pytest.mark.parametrize("error", [StorageFullError("full"), UnavailableError("away")])
@pytest.mark.parametrize("method", ["write", "sync", "read", "publish"])
@pytest.mark.parametrize("call", [0, 1])
def test_a_fault_of_the_storage_leaves_no_manifest_and_nothing_staged(
    blobs: LocalBlobs, method: str, call: int, error: Exception
) -> None:
    with pytest.raises(type(error)):
        write(Failing(blobs, method, call, error), odd())  # type: ignore[arg-type]
    assert blobs.sweep(-60) == []
    orphans = 1 if (method, call) == ("publish", 1) else 0
    left = blobs.keys()
    assert len(left) == orphans
    assert [verify_segment(blobs, key)[0].problem for key in left] == [
        "the manifest is missing"
    ] * orphans


def test_after_a_fault_the_writer_refuses_more() -> None:
    store = Failing(MemoryBlobs(), "write", 0, StorageFullError("full"))
    segment = writer(store, on_step=lambda step: None)  # type: ignore[arg-type]
    with pytest.raises(StorageFullError):
        segment.add(plain(0))

    with pytest.raises(ConfigError):
        segment.add(plain(1))


def test_a_disk_that_fills_up_in_a_segment_leaves_nothing(tmp_path: Path) -> None:
    """The process's own file size limit stands for the disk."""
    program = """
import resource, sys
from convstore.blobs.local import LocalBlobs
from convstore.errors import StorageFullError
from tests.unit.segments.made import odd, write
blobs = LocalBlobs(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
try:
    write(blobs, odd())
except StorageFullError as error:
    assert blobs.keys() == [] and blobs.sweep(-60) == []
    print(error)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "archive")]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "EFBIG" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 2_000


def test_memory_does_not_grow_with_the_documents(blobs: LocalBlobs) -> None:
    """Two hundred documents of 100 kB each; only entries and buffers stay."""
    content = "x" * 50_000
    with writer(blobs) as segment:
        segment.add(plain(0, content=content))
        tracemalloc.start()
        for number in range(1, 200):
            segment.add(plain(number, content=content))
        segment.finish()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < 4_000_000


def test_nothing_that_people_said_is_in_the_clear(blobs: LocalBlobs) -> None:
    """Of a segment only the manifest is plain text, and it holds no content."""
    manifest = write(blobs, odd())
    value = json.loads(blobs.read(manifest_key(manifest.key)))

    assert MARKER not in json.dumps(value)
