"""A file read once from front to back in flat memory, hashed as it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

# Large enough that opening the file again for each chunk costs nothing measurable.
CHUNK_BYTES = 1024 * 1024


class Stream:
    """A window that slides over a blob; holds one chunk and the bytes asked for.

    Args:
        read: Gives `length` bytes from `offset`, fewer only at the end.
        size_bytes: Bytes of the blob, as the storage tells.
    """

    def __init__(self, read: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._read, self._size = read, size_bytes
        self._buffer = b""
        self._start = 0
        self._loaded = 0
        self._hash = hashlib.sha256()

    @property
    def size_bytes(self) -> int:
        """Bytes of the blob, as the storage tells."""
        return self._size

    @property
    def offset(self) -> int:
        """Bytes passed so far."""
        return self._start

    def peek(self, length: int) -> memoryview:
        """The next `length` bytes without passing them; fewer only at the end."""
        missing = length - (self._loaded - self._start)
        if missing > 0:
            self._load(missing)
        first = self._start - (self._loaded - len(self._buffer))
        return memoryview(self._buffer)[first : first + length]

    def skip(self, length: int) -> None:
        """Pass `length` bytes; they are hashed all the same."""
        end = min(self._start + length, self._size)
        while self._loaded < end:
            self._start = self._loaded
            if not self._load(1):
                # The blob is shorter than the storage said.
                end = self._loaded
        self._start = end

    def sha256(self) -> str:
        """The hash of the whole blob; passes what is left."""
        self.skip(self._size - self._start)
        return self._hash.hexdigest()

    def _load(self, missing: int) -> bool:
        wanted = min(max(missing, CHUNK_BYTES), self._size - self._loaded)
        if wanted <= 0:
            return False
        chunk = self._read(self._loaded, wanted)
        self._hash.update(chunk)
        kept = self._buffer[self._start - (self._loaded - len(self._buffer)) :]
        self._buffer = kept + chunk if kept else chunk
        self._loaded += len(chunk)
        return bool(chunk)
