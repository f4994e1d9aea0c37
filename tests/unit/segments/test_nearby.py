"""Ranges that are wanted together: each as it is, with fewer reads than ranges."""

from __future__ import annotations

import random

import pytest

from convstore.blobs.memory import MemoryBlobs
from convstore.errors import UnavailableError
from convstore.segments.nearby import GAP_BYTES, SPAN_BYTES, NearbyReads

DATA = random.Random(5).randbytes(3 * GAP_BYTES)


class Counted(MemoryBlobs):
    """Notes what is read, and fails as often as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[int, int | None]] = []
        self.failing = 0
        for key in ("a", "b"):
            staged = self.create(key)
            staged.write(DATA)
            staged.sync()
            staged.publish()

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self.reads.append((offset, length))
        if self.failing:
            self.failing -= 1
            raise UnavailableError("the storage is away")
        return super().read(key, offset, length)


@pytest.fixture
def blobs() -> Counted:
    return Counted()


def test_neighbours_are_read_at_once_and_come_as_they_are(blobs: Counted) -> None:
    ranges = [("a", 40, 10), ("a", 0, 20), ("b", 7, 3), ("a", 1000, 500)]
    near = NearbyReads(blobs, ranges)

    found = [near.read(*each) for each in ranges]

    assert found == [DATA[at : at + length] for _, at, length in ranges]
    assert blobs.reads == [(0, 1500), (7, 3)]


def test_what_lies_far_apart_is_read_by_itself(blobs: Counted) -> None:
    ranges = [("a", 0, 10), ("a", 11 + GAP_BYTES, 10)]
    near = NearbyReads(blobs, ranges)

    assert [len(near.read(*each)) for each in ranges] == [10, 10]
    assert blobs.reads == [(0, 10), (11 + GAP_BYTES, 10)]


def test_a_range_is_not_held_up_by_a_large_one(blobs: Counted) -> None:
    large, small = ("a", 0, SPAN_BYTES + 1), ("a", 5, 5)
    near = NearbyReads(blobs, [large, small])

    assert near.read(*small) == DATA[5:10]
    assert near.read(*large) == DATA
    assert blobs.reads == [(5, 5), (0, SPAN_BYTES + 1)]


def test_what_fails_is_read_again_for_the_next(blobs: Counted) -> None:
    first, second = ("a", 0, 10), ("a", 20, 10)
    near = NearbyReads(blobs, [first, second])
    blobs.failing = 1

    with pytest.raises(UnavailableError):
        near.read(*first)
    assert near.read(*second) == DATA[20:30]


def test_what_was_not_wanted_and_the_end_of_the_file_are_read_as_ever(
    blobs: Counted,
) -> None:
    last = ("a", len(DATA) - 5, 10)
    near = NearbyReads(blobs, [last, ("a", len(DATA) + 5, 10)])

    assert near.read("b", 3, 4) == DATA[3:7]
    assert near.read(*last) == DATA[-5:]
    assert near.read("a", len(DATA) + 5, 10) == b""
    assert near.read(*last) == DATA[-5:]
