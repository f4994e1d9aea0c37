"""Sources: any compression, bounded memory, and refusals that come in time."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from convstore.errors import (
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
)
from convstore.imports.source import (
    DEFAULT_LIMITS,
    Line,
    SourceLimits,
    open_plain,
    read_chunks,
    split_lines,
)

TEXT = '{"a":1}\n\n{"b":"é\u2028\x85🎉"}\r\n{"c":3}'.encode()
SMALL = SourceLimits(max_line_bytes=10, max_total_bytes=1_000_000)


def read_lines(
    source: str | Path, limits: SourceLimits = DEFAULT_LIMITS
) -> Iterator[Line]:
    """The lines of a path, or of standard input for `-`."""
    with open_plain(source) as file:
        yield from split_lines(read_chunks(file, limits), limits.max_line_bytes)


def written(folder: Path, data: bytes, name: str = "in.jsonl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


PACKED = {
    "plain": TEXT,
    "gzip": gzip.compress(TEXT),
    "gzip of two members": gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]),
    "zstd": zstandard.compress(TEXT),
    "zstd of a frame a line": b"".join(
        zstandard.compress(line) for line in TEXT.splitlines(keepends=True)
    ),
    "zstd behind a skippable frame": (
        b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello" + zstandard.compress(TEXT)
    ),
    "with a byte-order mark": b"\xef\xbb\xbf" + TEXT,
    "gzip with a byte-order mark": gzip.compress(b"\xef\xbb\xbf" + TEXT),
}


@pytest.mark.parametrize("packed", PACKED)
def test_lines_are_the_same_however_they_are_packed(
    tmp_path: Path, packed: str
) -> None:
    path = written(tmp_path, PACKED[packed])

    lines = list(read_lines(path))

    # The empty line counts, and is not given.
    assert [line.data for line in lines] == [x for x in TEXT.split(b"\n") if x]
    assert [line.number for line in lines] == [1, 3, 4]
    assert [line.complete for line in lines] == [True, True, False]


def test_standard_input_is_read_and_told_by_its_first_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT)))
    monkeypatch.setattr(sys, "stdin", stdin)

    lines = list(read_lines("-"))

    assert len(lines) == 3


@pytest.mark.parametrize(
    "data",
    [b"", gzip.compress(b""), zstandard.compress(b"")],
    ids=["plain", "gzip", "zstd"],
)
def test_an_empty_source_has_no_lines(tmp_path: Path, data: bytes) -> None:
    assert list(read_lines(written(tmp_path, data))) == []


@settings(max_examples=30)
@given(st.binary(max_size=40).map(lambda data: data.replace(b"\x1f", b"")))
def test_lines_end_with_a_line_feed_and_with_nothing_else(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{" + data)))

        lines = [line.data for line in read_lines("-")]

    expected = (b"{" + data).split(b"\n")
    assert lines == (expected if expected[-1] else expected[:-1])


def test_a_line_over_the_limit_is_passed_over(tmp_path: Path) -> None:
    path = written(
        tmp_path, b"short\n" + b"x" * 11 + b"\n0123456789\n" + b"y" * 700_000
    )

    lines = list(read_lines(path, SMALL))

    assert lines == [
        Line(1, b"short", 5, complete=True),
        Line(2, None, 11, complete=True),
        Line(3, b"0123456789", 10, complete=True),
        Line(4, None, 700_000, complete=False),
    ]


def test_memory_does_not_grow_with_a_line_over_the_limit(tmp_path: Path) -> None:
    path = written(tmp_path, b"x" * 30_000_000 + b"\n{}\n")
    tracemalloc.start()

    lines = list(read_lines(path, SourceLimits(max_line_bytes=1_000_000)))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [line.size_bytes for line in lines] == [30_000_000, 2]
    assert peak < 5_000_000


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_bomb_is_refused_before_it_fills_memory(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = written(tmp_path, pack(bytes(300_000_000)))

    with pytest.raises(LimitExceededError) as caught:
        list(read_lines(path))

    assert caught.value.limit == "max_ratio"


def test_text_in_many_copies_is_no_bomb(tmp_path: Path) -> None:
    line = b'{"messages":[{"role":"user","content":"Hoi"}]}\n'
    path = written(tmp_path, zstandard.compress(line * 100_000))

    assert sum(1 for _ in read_lines(path)) == 100_000


def test_a_source_over_its_total_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, b"123456789\n" * 200_000)

    with pytest.raises(LimitExceededError) as caught:
        list(read_lines(path, SMALL))

    assert caught.value.limit == "max_total_bytes"


def checked_zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


@pytest.mark.parametrize("pack", [gzip.compress, checked_zstd])
@pytest.mark.parametrize("damage", ["cut", "flipped", "followed by junk"])
def test_damaged_compression_is_told_after_what_came_before(
    tmp_path: Path, pack: Callable[[bytes], bytes], damage: str
) -> None:
    whole = pack(b"one\n") + pack(bytes(range(256)) * 5_000)
    half = len(pack(b"one\n")) + 30
    data = {
        "cut": whole[:half],
        "flipped": whole[:half] + bytes([whole[half] ^ 255]) + whole[half + 1 :],
        "followed by junk": whole + b"junk",
    }[damage]
    lines = read_lines(written(tmp_path, data))

    first = next(lines)
    with pytest.raises(CorruptionError):
        list(lines)

    assert first.data == b"one"


@pytest.mark.mostly_slow("compress0")
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_bomb_of_line_ends_is_given_a_few_at_a_time(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """One piece of zstd holds millions of them."""
    path = written(tmp_path, pack(b"x\n" * 500_000 + b"\n" * 500_000))
    tracemalloc.start()

    count = sum(1 for _ in read_lines(path))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 500_000
    assert peak < 10_000_000


NAMES = ["../../evil", "/tmp/evil", "data.jsonl", "C:\\evil"]


def zip_of(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, "{}\n{}\n")
    return packed.getvalue()


def tar_of(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type = kind
        lines = b"{}\n{}\n"
        if kind == tarfile.SYMTYPE:
            member.linkname = "/etc/passwd"
        else:
            member.size = len(lines)
        archive.addfile(member, io.BytesIO(lines))
    return packed.getvalue()


ARCHIVES = {
    **{f"a zip with {name}": (zip_of(name), "is a zip archive") for name in NAMES},
    **{f"a tar with {name}": (tar_of(name), "is a tar archive") for name in NAMES},
    "a tar with a link": (tar_of("a", tarfile.SYMTYPE), "is a tar archive"),
    "a tar in gzip": (gzip.compress(tar_of("a")), "is a tar archive"),
    "a tar in zstd": (zstandard.compress(tar_of("a")), "is a tar archive"),
    "an empty zip": (b"PK\x05\x06" + bytes(18), "is a zip archive"),
    "bzip2": (bz2.compress(b"{}\n"), "is compressed with bzip2"),
    "xz": (lzma.compress(b"{}\n"), "is compressed with xz"),
    "Parquet": (b"PAR1\x15\x04" + bytes(300) + b"PAR1", "is a Parquet file"),
    "SQLite in gzip": (
        gzip.compress(b"SQLite format 3\0" + bytes(84)),
        "is a compressed SQLite database",
    ),
    "UTF-16": ("{}\n".encode("utf-16"), "is text in UTF-16"),
    "SQLite": (b"SQLite format 3\0" + bytes(84), "is a SQLite database"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_what_would_have_to_be_unpacked_is_refused_and_writes_nothing(
    tmp_path: Path, what: str
) -> None:
    data, problem = ARCHIVES[what]
    path = written(tmp_path, data)

    with pytest.raises(InvalidInputError, match=problem):
        list(read_lines(path))

    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read: Is a directory"):
        list(read_lines(tmp_path))
    with pytest.raises(InvalidInputError, match="cannot be read: No such file"):
        list(read_lines(tmp_path / "absent"))
    with pytest.raises(InvalidInputError, match="is not a regular file"):
        list(read_lines("/dev/null"))


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b""]), st.binary())
def test_no_bytes_raise_anything_but_our_errors(first: bytes, rest: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(first + rest)))
        with suppress(CorruptionError, InvalidInputError, LimitExceededError):
            list(read_lines("-", SMALL))
