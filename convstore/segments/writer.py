"""Writes one segment: documents in, a verified and published file out.

Nothing is kept of a document but its entry, so memory is flat in their size. A
document that cannot be archived is refused by itself, before a byte of it is written,
and the segment goes on without it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from operator import eq
from types import TracebackType

from convstore.blobs.base import BlobStore, StepHook, silent
from convstore.segments.entries import (
    Same,
    check_line,
    encode_line,
    entry_of,
    placed,
    prove_line,
)
from convstore.segments.frames import DEFAULT_LEVEL, Packer, Unpacker
from convstore.segments.manifest import Entry, Manifest, check_entry
from convstore.segments.publish import stage_manifest, verify_staged
from convstore.segments.segment import ArchiveLimits, segment_key
from convstore.vocabulary.documents import DOCUMENT_BEGINS
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ConfigError,
    InvalidInputError,
    LimitExceededError,
)
from convstore.vocabulary.ids import check_id, new_id
from convstore.vocabulary.records import SessionDocument

# Frames are a few kilobytes; one write for many of them saves a tenth of the time.
BUFFER_BYTES = 256 * 1024


class SegmentWriter:
    """Collects sessions in one new segment. Not safe for several threads at once.

    As a context manager it aborts when it is left without `finish`. After an error of
    the storage it has aborted itself: begin again with a new writer.

    Args:
        blobs: Where the segment goes.
        writer: Name and version of the library, for the manifest.
        created_at: Its year and month, in UTC, name the folder.
        segment_id: A fresh `ids.new_id()` unless the caller has reserved one. Never
            one that was tried before.
        level: Of zstd, 1 to 19.
        on_step: Hears the steps of `segment.STEPS`, each just after it happened.
    """

    def __init__(
        self,
        blobs: BlobStore,
        *,
        writer: str,
        created_at: datetime,
        segment_id: str | None = None,
        level: int = DEFAULT_LEVEL,
        limits: ArchiveLimits | None = None,
        on_step: StepHook = silent,
    ) -> None:
        self._blobs, self._on_step = blobs, on_step
        self._limits = limits or ArchiveLimits()
        self._packer, self._unpacker = Packer(level), Unpacker(self._limits)
        self._segment_id = segment_id or new_id()
        self._key = segment_key(self._segment_id, created_at)
        self._writer = check_id("writer", writer)
        self._created_at = created_at.astimezone(UTC)
        self._entries: list[Entry] = []
        self._names: set[tuple[str, str]] = set()
        # Checksums of frames that do not hold what their entries say, by ordinal.
        self._damaged: dict[int, str] = {}
        self._hash = hashlib.sha256()
        self._size = 0
        self._waiting = bytearray()
        self._done = False
        self._staged = [blobs.create(self._key, on_step=on_step)]

    @property
    def segment_id(self) -> str:
        """The id of the segment being written."""
        return self._segment_id

    @property
    def key(self) -> str:
        """The key that the segment will have."""
        return self._key

    @property
    def entry_count(self) -> int:
        """Sessions written so far."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Bytes of the segment so far; a caller closes it at a size of its choice."""
        return self._size

    def add(self, document: SessionDocument, same: Same = eq) -> Entry:
        """Append one session; its place in the segment.

        Its line is read back into records before it is written, and `same` must find
        these to be the document: field for field, unless the caller knows a stricter
        comparison. Its frame is unpacked and compared with the line; what reached the
        storage is compared with the frames in `finish`.

        Raises:
            InvalidInputError: The document cannot be written as JSON, or its ids cannot
                be listed. Like the next three it leaves the segment as it was, ready
                for the next document.
            CorruptionError: What was written would not read back the same.
            LimitExceededError: The document or the segment would be too large.
            AlreadyExistsError: The session is in this segment already.
            StorageFullError, UnavailableError, ConfigError: From the storage; the
                segment is aborted.
        """
        self._check_open()
        line = encode_line(document)
        entry = check_entry(entry_of(document, line))
        self._check_room(entry)
        prove_line(line, document, same)
        frame = self._packer.pack(line)
        self._unpacker.check(frame, line)
        return self._append(entry, frame)

    def add_frame(self, entry: Entry, frame: bytes | memoryview) -> Entry:
        """Append a frame of another segment as it is; its place in this one.

        `frame` is verified against its `entry` there first.

        Raises:
            CorruptionError: The frame does not hold what the entry says; the segment
                stays as it was. Others as `add`.
        """
        self._check_open()
        line = self._unpacker.unpack(frame, entry.raw_length, begins=DOCUMENT_BEGINS)
        check_line(line, entry.sha256)
        self._check_room(entry)
        return self._append(entry, bytes(frame))

    def add_damaged(self, entry: Entry, kept: bytes) -> Entry:
        """Append what `DamagedFrames.kept` made of a damaged frame of another segment.

        Its session is listed like any other, and found damaged by whoever reads it.
        Raises as `add`.
        """
        self._check_open()
        self._check_room(entry)
        here = self._append(entry, kept)
        self._damaged[here.ordinal] = hashlib.sha256(kept).hexdigest()
        return here

    def finish(self) -> Manifest:
        """Sync, read back, verify and publish the segment and its manifest.

        When this returns, both are durable and every frame was read from the storage
        and compared. The segment is published before its manifest.

        Raises:
            InvalidInputError: Nothing was added; the segment is aborted.
            SegmentCorruptError: What came back is not what was written; nothing was
                published.
            StorageFullError, UnavailableError, ConfigError: From the storage. Nothing
                was published, or the segment alone: it is then an orphan for recovery.
        """
        self._check_open()
        try:
            if not self._entries:
                raise InvalidInputError("segment", "has no documents")
            self._write_waiting()
            self._staged[0].sync()
            manifest = self._manifest()
            verify_staged(
                self._staged[0], manifest, self._unpacker, self._damaged, self._on_step
            )
            self._staged.append(
                stage_manifest(self._blobs, manifest, self._limits, self._on_step)
            )
            for staged in self._staged:
                staged.publish()
        finally:
            self.abort()
        return manifest

    def abort(self) -> None:
        """Drop what is not published. Idempotent; nothing after `finish`."""
        self._done = True
        for staged in self._staged:
            staged.abort()

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def _check_open(self) -> None:
        if self._done:
            raise ConfigError(f"segment {self._segment_id} is finished or aborted")

    def _check_room(self, entry: Entry) -> None:
        limits = self._limits
        if entry.raw_length > limits.max_document_bytes:
            raise LimitExceededError(
                "max_document_bytes", limits.max_document_bytes, entry.raw_length
            )
        if len(self._entries) >= limits.max_entries:
            raise LimitExceededError(
                "max_entries", limits.max_entries, len(self._entries) + 1
            )
        if (entry.tenant_id, entry.session_id) in self._names:
            raise AlreadyExistsError("the session in this segment")

    def _append(self, entry: Entry, frame: bytes) -> Entry:
        here = placed(
            entry,
            ordinal=len(self._entries),
            offset=self._size,
            length=len(frame),
        )
        try:
            if self._on_step is silent:
                self._write_soon(frame)
            else:
                self._write_aloud(frame)
        except BaseException:
            self.abort()
            raise
        self._size += len(frame)
        self._hash.update(frame)
        self._entries.append(here)
        self._names.add((entry.tenant_id, entry.session_id))
        return here

    def _write_soon(self, frame: bytes) -> None:
        # Copied: the compressor's own result holds on to room for the unpacked size.
        self._waiting += frame
        if len(self._waiting) >= BUFFER_BYTES:
            self._write_waiting()

    def _write_waiting(self) -> None:
        if self._waiting:
            self._staged[0].write(bytes(self._waiting))
            self._waiting.clear()

    def _write_aloud(self, frame: bytes) -> None:
        # Somebody wants to stop the world in the middle of an entry: let there be one.
        half = len(frame) // 2
        self._staged[0].write(frame[:half])
        self._on_step("write.half_entry")
        self._staged[0].write(frame[half:])
        self._on_step("write.entry")

    def _manifest(self) -> Manifest:
        return Manifest(
            key=self._key,
            segment_id=self._segment_id,
            created_at=self._created_at,
            writer=self._writer,
            size_bytes=self._size,
            sha256=self._hash.hexdigest(),
            entries=tuple(self._entries),
        )
