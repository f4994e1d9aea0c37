"""Frames: packed with size and checksum, unpacked within bounds, measured unseen."""

from __future__ import annotations

import os
import random

import pytest
import zstandard

from convstore.errors import ConfigError, CorruptionError
from convstore.segments.frames import MAGIC, Packer, Unpacker, frame_length
from convstore.segments.segment import ArchiveLimits

LIMITS = ArchiveLimits(max_document_bytes=1_000_000, max_window_bytes=2**23)


def frame(content: bytes, **options: object) -> bytes:
    settings = {"level": 3, "write_checksum": True, "write_content_size": True}
    return zstandard.ZstdCompressor(**{**settings, **options}).compress(content)


def streamed(content: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return compressor.compress(content) + compressor.flush()


@pytest.mark.parametrize("level", [1, 3, 19])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 400_000, 1_000_000])
def test_a_line_comes_back_and_its_frame_is_measured(level: int, size: int) -> None:
    noise = random.Random(size).randbytes(size).replace(b"\n", b" ")
    for line in (noise, b"x" * size):
        packed = Packer(level).pack(line)

        assert Unpacker(LIMITS).unpack(packed) == line
        assert frame_length(packed) == len(packed)
        assert frame_length(b"abc" + packed + b"abc", 3) == len(packed)
        assert len(packed) <= LIMITS.max_frame_bytes


def test_a_frame_that_is_not_all_there_asks_for_more() -> None:
    packed = Packer().pack(os.urandom(300_000).replace(b"\n", b" "))

    for end in [*range(20), 100, 131_080, len(packed) - 1]:
        assert frame_length(packed[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"plain",
        MAGIC[:3] + b"\x00",
        MAGIC + b"\x08" + b"\x00" * 20,
        MAGIC + b"\x00\x00" + b"\x06\x00\x00" * 8,
        MAGIC + b"\x00\x00" + b"\xfc\xff\xff" * 8,
    ],
)
def test_what_is_no_frame_has_no_length(data: bytes) -> None:
    unpacked = Unpacker(LIMITS)

    with pytest.raises(CorruptionError):
        unpacked.unpack(data)
    try:
        length = frame_length(data)
    except CorruptionError:
        return
    assert length is None or length <= len(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no frame"),
        (b"plain text", "no frame"),
        (MAGIC, "damaged header"),
        (frame(b"line\n", write_checksum=False), "lacks"),
        (frame(b"line\n", write_content_size=False), "lacks"),
        (streamed(b"line\n"), "lacks"),
        (frame(b"line\n") + b"x", "does not unpack"),
        (frame(b"line\n") * 2, "does not unpack"),
        (frame(b"line\n")[:-1], "does not unpack"),
        (frame(b"line"), "one line"),
        (frame(b"two\nlines\n"), "one line"),
        (frame(b""), "one line"),
        (frame(b"x" * 1_000_001 + b"\n"), "limit"),
    ],
)
def test_a_frame_that_is_not_one_whole_line_is_refused(
    data: bytes, problem: str
) -> None:
    with pytest.raises(CorruptionError, match=problem):
        Unpacker(LIMITS).unpack(data)


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    bomb = frame(b"\0" * 200_000_000)

    assert len(bomb) < 20_000
    with pytest.raises(CorruptionError, match="limit"):
        Unpacker(LIMITS).unpack(bomb)


def test_a_frame_that_lies_about_its_size_gets_no_memory_for_it() -> None:
    """The size field says one gigabyte; the frame could hold 128 KiB."""
    liar = MAGIC + b"\xa4" + (2**30).to_bytes(4, "little") + b"\x01\x00\x00" + b"\0" * 4

    with pytest.raises(CorruptionError, match="more content than it can hold"):
        Unpacker(ArchiveLimits(max_window_bytes=2**31)).unpack(liar)


def test_a_frame_that_asks_for_a_large_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(
        window_log=24, write_checksum=True, write_content_size=True
    )
    large = zstandard.ZstdCompressor(compression_params=parameters).compress(
        b"\0" * 40_000_000
    )
    limits = ArchiveLimits(max_window_bytes=2**23)

    with pytest.raises(CorruptionError, match="window"):
        Unpacker(limits).unpack(large)


@pytest.mark.parametrize("level", [0, -5, 20])
def test_a_level_that_readers_could_not_afford_is_refused(level: int) -> None:
    with pytest.raises(ConfigError):
        Packer(level)
