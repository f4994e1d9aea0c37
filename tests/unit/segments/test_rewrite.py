"""Copying a segment without some sessions, destroying it, and the readable copies."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from convstore.blobs.memory import MemoryBlobs
from convstore.errors import SegmentCorruptError, SegmentNotFoundError
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.readable import (
    delete_readable,
    readable_key,
    write_readable,
)
from convstore.segments.reader import iterate_documents, read_document, read_manifest
from convstore.segments.rewrite import copy_segment, delete_segment
from convstore.segments.segment import manifest_key
from convstore.segments.verify import verify_segment
from convstore.testing.blob_suite import put
from convstore.vocabulary.documents import decode_document
from convstore.vocabulary.ids import new_id
from tests.unit.segments.made import AT, MARKER, WRITER, odd, plain, write

DOCUMENTS = odd()


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def manifest(blobs: MemoryBlobs) -> Manifest:
    return write(blobs, DOCUMENTS)


def copy(
    blobs: MemoryBlobs, manifest: Manifest, without: set[int], **options: Any
) -> Manifest | None:
    return copy_segment(
        blobs,
        manifest,
        lambda entry: entry.ordinal not in without,
        writer=WRITER,
        created_at=AT + timedelta(days=1),
        **options,
    )


def test_the_copy_holds_the_rest_byte_for_byte(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    segment_id = new_id()
    copied = copy(blobs, manifest, {0, 3}, segment_id=segment_id)

    assert copied is not None
    assert copied.segment_id == segment_id
    assert copied.key.startswith("segments/2026/02/")
    assert [d for _, d in iterate_documents(blobs, copied)] == [
        DOCUMENTS[1],
        DOCUMENTS[2],
        DOCUMENTS[4],
    ]
    assert [frame(blobs, copied, e) for e in copied.entries] == [
        frame(blobs, manifest, manifest.entries[n]) for n in (1, 2, 4)
    ]
    assert verify_segment(blobs, copied.key, deep=True) == []
    assert read_manifest(blobs, copied.key) == copied


def frame(blobs: MemoryBlobs, manifest: Manifest, entry: Entry) -> bytes:
    return blobs.read(manifest.key, entry.offset, entry.length)


def test_the_old_segment_is_left_as_it_was(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    names = blobs.keys()
    before = [blobs.read(name) for name in names]
    copy(blobs, manifest, {0})

    assert [blobs.read(name) for name in names] == before


def test_when_nothing_is_kept_nothing_is_written(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    before = blobs.keys()

    assert copy(blobs, manifest, set(range(5))) is None
    assert blobs.keys() == before
    assert blobs.sweep(0) == []


def test_a_damaged_session_to_be_kept_stops_the_copy_and_is_named(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    data = bytearray(blobs.read(manifest.key))
    data[manifest.entries[2].end - 1] ^= 1
    blobs.delete(manifest.key)
    put(blobs, manifest.key, bytes(data))
    before = blobs.keys()

    with pytest.raises(SegmentCorruptError) as caught:
        copy(blobs, manifest, {0})
    assert caught.value.session_ids == (manifest.entries[2].session_id,)
    assert blobs.keys() == before
    assert blobs.sweep(0) == []
    assert copy(blobs, manifest, {2}) is not None


def test_a_segment_cut_short_stops_the_copy(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    data = blobs.read(manifest.key)
    blobs.delete(manifest.key)
    put(blobs, manifest.key, data[:-1])

    with pytest.raises(SegmentCorruptError, match="ends inside"):
        copy(blobs, manifest, {0})


def test_the_copy_announces_the_steps_of_a_segment(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    steps: list[str] = []
    copy(blobs, manifest, {0}, on_step=steps.append)

    assert steps.count("write.entry") == steps.count("verify.entry") == 4


def test_destroying_a_segment_takes_all_that_belongs_to_it(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    other = write(blobs, [plain(9)])
    write_readable(blobs, manifest)
    write_readable(blobs, other)

    assert delete_segment(blobs, manifest.key) is True
    assert delete_segment(blobs, manifest.key) is False
    assert blobs.keys() == sorted(
        [other.key, manifest_key(other.key), readable_key(other, other.entries[0])]
    )
    with pytest.raises(SegmentNotFoundError):
        read_document(blobs, manifest.key, manifest.entries[0])


def test_destroying_begins_with_content_and_ends_with_the_manifest(
    blobs: MemoryBlobs, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_readable(blobs, manifest)
    deleted: list[str] = []
    real = blobs.delete
    monkeypatch.setattr(blobs, "delete", lambda key: deleted.append(key) or real(key))
    delete_segment(blobs, manifest.key)

    assert deleted[-2:] == [manifest.key, manifest_key(manifest.key)]
    assert len(deleted) == 2 + len(DOCUMENTS)


def test_readable_copies_hold_the_documents_indented(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    assert write_readable(blobs, manifest) == len(DOCUMENTS)

    for entry, document in zip(manifest.entries, DOCUMENTS, strict=True):
        data = blobs.read(readable_key(manifest, entry))
        assert decode_document(data) == document
        assert data.startswith(b'{\n  "format"')
        assert json.loads(data)["session"]["id"] == entry.session_id


def test_names_of_readable_copies_hold_nothing_that_a_caller_chose(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    write_readable(blobs, manifest)
    prefix = f"sessions/2026/01/{manifest.segment_id}/"
    names = [key.removeprefix(prefix) for key in blobs.keys("sessions/")]

    assert len(names) == len(DOCUMENTS)
    assert all(re.fullmatch(r"[0-9]{6}-[0-9a-f]{16}\.json", name) for name in names)


def test_writing_readable_copies_again_finishes_what_is_missing(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    write_readable(blobs, manifest)
    blobs.delete(readable_key(manifest, manifest.entries[1]))

    assert write_readable(blobs, manifest) == 1
    assert write_readable(blobs, manifest) == 0


def test_two_workers_writing_readable_copies_do_not_disturb_each_other(
    blobs: MemoryBlobs, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sees none of the first's copies until it publishes its own."""
    write_readable(blobs, manifest)
    monkeypatch.setattr(blobs, "exists", lambda key: False)

    assert write_readable(blobs, manifest) == 0
    assert blobs.sweep(0) == []


def test_readable_copies_can_be_destroyed_alone(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    write_readable(blobs, manifest)

    assert delete_readable(blobs, manifest.key) == len(DOCUMENTS)
    assert delete_readable(blobs, manifest.key) == 0
    assert verify_segment(blobs, manifest.key) == []


def test_errors_of_a_copy_tell_no_content(
    blobs: MemoryBlobs, manifest: Manifest
) -> None:
    lying = replace(manifest.entries[0], sha256="0" * 64)
    entries = (lying, *manifest.entries[1:])

    with pytest.raises(SegmentCorruptError) as caught:
        copy(blobs, replace(manifest, entries=entries), set())
    assert MARKER not in str(caught.value)
