"""What a writer of shards is, and the file that hashes what passes through it."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One finished file, as the manifest lists it; `rows` is None for other files."""

    path: str
    sha256: str
    size_bytes: int
    rows: int | None = None


class HashedFile:
    """A file that is written once, from front to back, and knows its checksum."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._sha = hashlib.sha256()
        self._size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Append; returns the number of bytes."""
        self._sha.update(data)
        count = self._file.write(data)
        self._size += count
        return count

    def close(self) -> None:
        """Make the file durable. Idempotent."""
        if not self.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self.closed = True

    def abandon(self) -> None:
        """Let go of a file that will not be used, after an error. Idempotent."""
        # What is still buffered may find no room; the first error is on its way.
        with suppress(OSError):
            self._file.close()
        self.closed = True

    def __enter__(self) -> HashedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def record(self, path: str, rows: int | None) -> FileRecord:
        """What the manifest says of the file under its final name."""
        return FileRecord(path, self._sha.hexdigest(), self._size, rows)


class ShardWriter(Protocol):
    """Writes the rows of one shard. Equal rows in equal order give equal bytes."""

    suffix: str

    def add(self, data: bytes) -> None:
        """Append one packed row."""
        ...

    def close(self) -> HashedFile:
        """Finish the shard; it is durable after this."""
        ...

    def abandon(self) -> None:
        """Let go of the file, after an error. Idempotent."""
        ...
