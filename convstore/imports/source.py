"""Lines of a file, of a compressed file or of standard input, in bounded memory.

Knows bytes and not what they mean. Compression is told by the first bytes, not by the
name. Archives of files are refused here; `opening` reads the members of a zip.
"""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from convstore.vocabulary.errors import (
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
)

STDIN = "-"
_CHUNK = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_FOREIGN = {
    b"PK\x03\x04": "is a zip archive: unpack it first",
    b"PK\x05\x06": "is a zip archive: unpack it first",
    b"7z\xbc\xaf": "is a 7z archive: unpack it first",
    b"Rar!": "is a rar archive: unpack it first",
    b"BZh": "is compressed with bzip2: unpack it first",
    b"\xfd7zX": "is compressed with xz: unpack it first",
    b"PAR1": "is a Parquet file: give it a name that ends in .parquet",
    b"SQLi": "is a SQLite database: write its records as JSON Lines first",
    b"\xff\xfe": "is text in UTF-16: save it in UTF-8",
    b"\xfe\xff": "is text in UTF-16: save it in UTF-8",
}
_SQLITE = b"SQLite format 3\0"
_TAR = slice(257, 262)
_TAR_MARK = b"ustar"
_SKIPPABLE = b"\x2a\x4d\x18"
_MAX_WINDOW_BYTES = 128 * 1024 * 1024
_ZSTD_PIECE = 1024
_DAMAGED = "the compressed data is damaged or ends early"


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """Bounds on what is read.

    Attributes:
        max_line_bytes: Bytes of one record; longer ones are passed over and reported.
            Memory in use is a few times this.
        max_total_bytes: Bytes of one source after decompression.
        max_ratio: Bytes out per byte in, once `ratio_from_bytes` came out. Text in
            many copies compresses well, but not like a bomb: zstd makes 32,000 bytes
            out of one, gzip 1,000.
        ratio_from_bytes: Bytes out before the ratio counts.
        max_depth: Levels of nesting in a record. More than the store allows in one
            value, since formats take records apart.
        max_group: Records that may form one session, in formats that group them.
        max_pieces: Strings, commas and opening brackets of a record, and lines of a
            document of many: each of three bytes can take a hundred in memory.
        max_file_bytes: Bytes of a picture or file that a conversation points to; a
            larger one stays a pointer.
    """

    max_line_bytes: int = 64 * 1024 * 1024
    max_total_bytes: int = 64 * 1024**3
    max_ratio: int = 500
    ratio_from_bytes: int = 64 * 1024 * 1024
    max_depth: int = 200
    max_group: int = 10_000
    max_pieces: int = 4_000_000
    max_file_bytes: int = 16 * 1024 * 1024


DEFAULT_LIMITS = SourceLimits()


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its newline.

    Attributes:
        number: From 1; empty lines count.
        data: The bytes; None when there were more than `max_line_bytes`.
        size_bytes: Bytes of the line, kept or not.
        complete: Whether a newline followed; only a last line can lack it.
    """

    number: int
    data: bytes | None
    size_bytes: int
    complete: bool


def read_chunks(
    file: BinaryIO,
    limits: SourceLimits,
    *,
    spent: Callable[[], int] | None = None,
    on_read: Callable[[int], None] | None = None,
) -> Iterator[bytes]:
    """The bytes of an open file in chunks, decompressed, without a byte-order mark.

    Args:
        file: Anything with `read`.
        spent: The bytes that were really read, where `file` itself decompresses.
        on_read: Told of each piece how many bytes it took from the file.

    Raises:
        InvalidInputError: An archive of files.
        LimitExceededError: Too many bytes came out, in all or for what went in.
        CorruptionError: The compressed data is damaged or ends early. What was before
            the damage has been given.
    """
    return _decompressed(_Counted(file, spent, on_read), limits)


class _Counted:
    """A file that counts the bytes read from it."""

    def __init__(
        self,
        file: BinaryIO,
        spent: Callable[[], int] | None = None,
        on_read: Callable[[int], None] | None = None,
    ) -> None:
        self._file = file
        self._spent = spent
        self._on_read = on_read
        self._first = file.read(len(_ZSTD))
        self.first = self._first
        self._size = 0
        self._count(self._first)

    @property
    def size_bytes(self) -> int:
        """What went in: bytes of the file, or what its owner says that they took."""
        return self._size if self._spent is None else self._spent()

    def _count(self, data: bytes) -> None:
        self._size += len(data)
        if self._on_read is not None:
            self._on_read(len(data))

    def read(self, size: int = -1) -> bytes:
        if self._first:
            # Fewer bytes than asked for are no end; only none are.
            first = self._first if size < 0 else self._first[:size]
            self._first = self._first[len(first) :]
            return first
        data = self._file.read(size)
        self._count(data)
        return data


@contextmanager
def open_plain(source: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A regular file, or standard input for `-`, open for reading bytes.

    Raises:
        InvalidInputError: There is no such file, or it is not a regular one.
    """
    if source == STDIN:
        yield sys.stdin.buffer
        return
    path = Path(source)
    try:
        file = path.open("rb")
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}"
        raise InvalidInputError("source", problem) from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InvalidInputError("source", f"{path} is not a regular file")
        yield file


def _decompressed(file: _Counted, limits: SourceLimits) -> Iterator[bytes]:
    total = 0
    for chunk in _whole_head(_reader(file)):
        _check_bomb(total + len(chunk), file.size_bytes, limits)
        if total == 0:
            chunk = _checked_head(chunk)
        total += len(chunk)
        # A few line ends at a time: a piece of zstd may hold millions of them.
        for at in range(0, len(chunk), _CHUNK):
            yield chunk[at : at + _CHUNK]


def _whole_head(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, of which the first is long enough to tell what it begins."""
    head = b""
    try:
        for chunk in chunks:
            head += chunk
            if len(head) >= _TAR.stop:
                break
    except CorruptionError:
        if head:
            yield head
        raise
    if head:
        yield head
    yield from chunks


def _checked_head(head: bytes) -> bytes:
    """The beginning without its byte-order mark, unless it is that of an archive."""
    if head[_TAR] == _TAR_MARK:
        raise InvalidInputError("source", "is a tar archive: unpack it first")
    if head.startswith(_SQLITE):
        problem = "is a compressed SQLite database: unpack it first"
        raise InvalidInputError("source", problem)
    return head.removeprefix(_BOM)


def _reader(file: _Counted) -> Iterator[bytes]:
    if file.first.startswith(_GZIP):
        return _gunzip(file)
    if file.first == _ZSTD or file.first[1:] == _SKIPPABLE:
        return _unzstd(file)
    for mark, problem in _FOREIGN.items():
        if file.first.startswith(mark):
            raise InvalidInputError("source", problem)
    return iter(lambda: file.read(_CHUNK), b"")


def _gunzip(file: _Counted) -> Iterator[bytes]:
    # GzipFile asks its file for nothing but `read`, which is all that _Counted has.
    unzipped = gzip.GzipFile(fileobj=cast(BinaryIO, file), mode="rb")
    try:
        # `read1`, so that what comes before damage is given first.
        yield from iter(lambda: unzipped.read1(_CHUNK), b"")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise CorruptionError(_DAMAGED) from None


def _unzstd(file: _Counted) -> Iterator[bytes]:
    # The library's stream reader takes a file that ends inside a frame for a whole
    # one; this object tells. It gives all that a piece of input holds at once, so the
    # pieces are small: a bomb makes 32 MB of one.
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    frame = decompressor.decompressobj()
    inside = False
    while piece := file.read(_ZSTD_PIECE):
        while piece:
            inside = True
            try:
                chunk = frame.decompress(piece)
            except zstandard.ZstdError:
                raise CorruptionError(_DAMAGED) from None
            if chunk:
                yield chunk
            piece = b""
            if frame.eof:
                inside, piece = False, frame.unused_data
                frame = decompressor.decompressobj()
    if inside:
        raise CorruptionError(_DAMAGED)


def _check_bomb(total: int, size_bytes: int, limits: SourceLimits) -> None:
    if total > limits.max_total_bytes:
        raise LimitExceededError("max_total_bytes", limits.max_total_bytes, total)
    if total > limits.ratio_from_bytes and total > limits.max_ratio * size_bytes:
        ratio = total // max(1, size_bytes)
        raise LimitExceededError("max_ratio", limits.max_ratio, ratio)


def split_lines(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Line]:
    """The lines of these chunks; one longer than `max_bytes` has no data."""
    number, size = 1, 0
    kept: list[bytes] = []
    for chunk in chunks:
        if not size and not chunk.strip():
            # Nothing but line ends, of which a few bytes can hold hundreds of millions.
            number += chunk.count(b"\n")
            continue
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            if not size and not piece.strip():
                number += 1
                continue
            kept.append(piece)
            size += len(piece)
            yield _line(number, kept, size, max_bytes, complete=True)
            number, size, kept = number + 1, 0, []
        if size or rest.strip():
            # Else a line that is blank so far: the next chunk may be blank, too.
            kept.append(rest)
            size += len(rest)
        if size > max_bytes:
            # From here on only the length matters.
            kept.clear()
    if size:
        yield _line(number, kept, size, max_bytes, complete=False)


def _line(
    number: int, kept: list[bytes], size: int, max_bytes: int, *, complete: bool
) -> Line:
    data = b"".join(kept) if size <= max_bytes else None
    return Line(number, data, size, complete)
