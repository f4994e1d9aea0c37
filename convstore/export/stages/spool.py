"""Records parted by the first bits of a uniform key, on disk, in flat memory.

A file per part, appended to and never rewritten. Parts are read whole, in key order,
one at a time; one that has grown too large is parted again by the next bits. Nothing
here is kept: the folder belongs to an unfinished export. So it is no database: nothing
is looked up, changed or committed, and the order is that of the keys.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from convstore.vocabulary.errors import CorruptionError

_BITS = 6
PARTS = 1 << _BITS
BUFFER_BYTES = 4 * 1024 * 1024
PART_BYTES = 16 * 1024 * 1024
"""A part up to this size is sorted in memory, which takes little more."""
SMALL_PART_BYTES = 8 * 1024 * 1024
"""A part of small records that are unpacked, which takes ten times the room."""
_MOST_DEPTH = 3

_PIECE_BYTES = 4 * 1024 * 1024
"""What is read at once of a part that is parted again."""

Cut = Callable[[bytes], Iterator[tuple[bytes, int, int]]]
"""Finds the whole records in the bytes of a part: key, beginning, end."""


class Spool:
    """Records by key, to be read back in the order of their keys' first bits."""

    def __init__(self, folder: Path, *, depth: int = 0) -> None:
        self.folder, self._depth = folder, depth
        self._shift = 32 - _BITS * (depth + 1)
        self.lengths = [0] * PARTS
        self.checksums = [0] * PARTS
        self._buffers: list[list[bytes]] = [[] for _ in range(PARTS)]
        self._waiting = 0
        self._most_waiting = BUFFER_BYTES
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def found(cls, folder: Path) -> Spool:
        """The records that another process has put there, for reading."""
        spool = cls(folder)
        for part in range(PARTS):
            with suppress(FileNotFoundError):
                spool.lengths[part] = spool._path(part).stat().st_size
        return spool

    def share(self, count: int) -> None:
        """Hold no more in memory than one of so many may."""
        self._most_waiting = BUFFER_BYTES // count

    def add(self, key: bytes, record: bytes) -> None:
        """Append a record to the part that its key names."""
        # The next bits of the key after those that all keys of this spool share.
        part = (
            int.from_bytes(key[:4], "big") >> self._shift & (PARTS - 1)
            if self._depth
            else key[0] >> 8 - _BITS
        )
        self._buffers[part].append(record)
        self._waiting += len(record)
        if self._waiting > self._most_waiting:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system: it survives the process."""
        for part, buffer in enumerate(self._buffers):
            if not buffer:
                continue
            data = b"".join(buffer)
            buffer.clear()
            with self._path(part).open("ab") as file:
                file.write(data)
            self.lengths[part] += len(data)
            self.checksums[part] = zlib.crc32(data, self.checksums[part])
        self._waiting = 0

    def rewind(self, lengths: list[int], checksums: list[int]) -> bool:
        """Go back to an earlier state; false if the files do not hold it any more."""
        for part, (length, checksum) in enumerate(zip(lengths, checksums, strict=True)):
            path = self._path(part)
            if not path.exists():
                if length:
                    return False
                continue
            with path.open("r+b") as file:
                file.truncate(length)
            if path.stat().st_size != length or _crc(path) != checksum:
                return False
        self.lengths, self.checksums = list(lengths), list(checksums)
        return True

    def clear(self) -> None:
        """Forget everything."""
        self.rewind([0] * PARTS, [0] * PARTS)
        for buffer in self._buffers:
            buffer.clear()
        self._waiting = 0

    def parts(self, cut: Cut) -> Iterator[bytes]:
        """All records of a few keys at a time, in order of the keys' first bits.

        Records of one key always come together, so the memory that this takes is that
        of `SMALL_PART_BYTES` or of the commonest key.
        """
        yield from self._read(cut, SMALL_PART_BYTES)

    def sorted(self, cut: Cut, first: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All (key, record) in order of key, then record; found by `cut`.

        With `first`, parts before that key's are not read.
        """
        start = int.from_bytes(first[:4], "big") >> self._shift if first else 0
        for part in self._read(cut, PART_BYTES, start):
            yield from _in_order(part, cut)
            del part  # Else it stays until the next one has been read.

    def _read(self, cut: Cut, limit: int, start: int = 0) -> Iterator[bytes]:
        if any(self.lengths):
            self.flush()
        for part in range(start, PARTS):
            if self.lengths[part] > limit and self._depth < _MOST_DEPTH:
                inner = self._parted_again(part, cut)
                yield from inner._read(cut, limit)
                inner.remove()
            elif self.lengths[part]:
                yield self._path(part).read_bytes()
            elif self._buffers[part]:
                # So few that none of them has been on disk.
                yield b"".join(self._buffers[part])

    def remove(self) -> None:
        """Delete the files."""
        for part in range(PARTS):
            self._path(part).unlink(missing_ok=True)
        self.folder.rmdir()

    def _parted_again(self, part: int, cut: Cut) -> Spool:
        # Others may read the same part at the same time.
        name = f"{part:02}.{os.getpid()}.parts"
        inner = Spool(self.folder / name, depth=self._depth + 1)
        data = b""
        with self._path(part).open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                data += piece
                end = 0
                for key, start, end in cut(data):
                    inner.add(key, data[start:end])
                data = data[end:]
        if data:
            raise CorruptionError("a waiting row of the export is cut off")
        return inner

    def _path(self, part: int) -> Path:
        return self.folder / f"{part:02}"


def _in_order(part: bytes, cut: Cut) -> Iterator[tuple[bytes, bytes]]:
    # Places are sorted and not records, of which there would be two of each.
    places = sorted(cut(part))
    if sum(end - start for _, start, end in places) != len(part):
        raise CorruptionError("a waiting row of the export is cut off")
    for key, same in groupby(places, key=itemgetter(0)):
        records = [part[start:end] for _, start, end in same]
        for record in sorted(records) if len(records) > 1 else records:
            yield key, record


def _crc(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            checksum = zlib.crc32(data, checksum)
    return checksum
