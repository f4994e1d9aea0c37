"""The sliding window over a blob: exact, hashed, flat in memory."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from convstore.segments import stream as module
from convstore.segments.stream import CHUNK_BYTES, Stream

DATA = bytes(i * i % 251 for i in range(CHUNK_BYTES * 2 + 12_345))


def stream_of(data: bytes) -> Stream:
    return Stream(lambda offset, length: data[offset : offset + length], len(data))


@given(
    st.lists(
        st.tuples(st.integers(0, 1_500_000), st.integers(0, 1_500_000)), max_size=8
    )
)
def test_what_is_peeked_at_is_what_is_there(moves: list[tuple[int, int]]) -> None:
    stream = stream_of(DATA)
    at = 0
    for peeked, skipped in moves:
        assert bytes(stream.peek(peeked)) == DATA[at : at + peeked]
        stream.skip(skipped)
        at = min(at + skipped, len(DATA))
        assert stream.offset == at

    assert stream.sha256() == hashlib.sha256(DATA).hexdigest()


def test_memory_is_a_chunk_and_what_is_asked_for() -> None:
    asked: list[int] = []

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        return DATA[offset : offset + length]

    stream = Stream(read, len(DATA))
    while stream.peek(1):
        stream.skip(1_000)

    assert max(asked) == module.CHUNK_BYTES
    assert sum(asked) == len(DATA)


def test_a_blob_shorter_than_told_ends_where_it_ends() -> None:
    stream = Stream(lambda offset, length: b"abc"[offset : offset + length], 10)

    assert bytes(stream.peek(10)) == b"abc"
    stream.skip(7)
    assert stream.offset == 3
    assert not stream.peek(1)
    assert stream.sha256() == hashlib.sha256(b"abc").hexdigest()
