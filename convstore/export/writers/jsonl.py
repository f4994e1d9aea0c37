"""Rows as lines of JSON."""

from __future__ import annotations

from pathlib import Path

from convstore.export.writers.base import HashedFile

_BUFFER_BYTES = 1024 * 1024


class JsonlShard:
    """One `.jsonl` file; a packed row is its line without the newline."""

    suffix = "jsonl"

    def __init__(self, path: Path) -> None:
        self._file = HashedFile(path)
        self._lines: list[bytes] = []
        self._waiting = 0

    def add(self, data: bytes) -> None:
        """Append one line."""
        self._lines.append(data)
        self._waiting += len(data)
        if self._waiting > _BUFFER_BYTES:
            self._flush()

    def close(self) -> HashedFile:
        """Finish the file; it is durable after this."""
        self._flush()
        self._file.close()
        return self._file

    def abandon(self) -> None:
        """Let go of the file, after an error. Idempotent."""
        self._file.abandon()

    def _flush(self) -> None:
        if self._lines:
            self._lines.append(b"")
            self._file.write(b"\n".join(self._lines))
            self._lines.clear()
            self._waiting = 0
