"""What is left of damaged frames, when the segment around them has to be rewritten.

A neighbour's damage must not keep an erasure from being finished, and an erasure must
not destroy what may still be mended. So the bytes of a damaged frame are kept as they
are, inside a skippable frame (RFC 8878, section 3.1.2), which every zstd decoder passes
over; their session stays listed, and is reported as damaged. But only if they can be
nothing else than what became of that frame: never if what is to be destroyed may lie
among them.
"""

from __future__ import annotations

from convstore.blobs.base import BlobStore
from convstore.segments.entries import check_line
from convstore.segments.frames import (
    MAGIC,
    Unpacker,
    frame_length,
    skippable,
    skippable_length,
)
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.reader import frame_at, open_stream
from convstore.segments.segment import ArchiveLimits
from convstore.vocabulary.documents import DOCUMENT_BEGINS, beginning_of
from convstore.vocabulary.errors import CorruptionError


class DamagedFrames:
    """Judges the bytes at the place of a damaged frame; reads the segment when asked.

    Args:
        blobs: Where the segment is.
        manifest: Of the damaged segment.
        limits: Of what is read.
    """

    def __init__(
        self, blobs: BlobStore, manifest: Manifest, limits: ArchiveLimits
    ) -> None:
        self._blobs, self._manifest, self._limits = blobs, manifest, limits
        self._size = 0
        self._intact: list[bool] = []

    def kept(self, entry: Entry, data: bytes) -> bytes:
        """The frame that keeps `data`, which was found at the place of the entry's.

        Raises:
            CorruptionError: Something of another session may lie there.
        """
        if skippable_length(data) == entry.length:
            return data  # kept by an earlier rewrite
        if data and not (self._has_form(entry, data) or self._is_in_place(entry)):
            raise CorruptionError("what lies in its place may be another session's")
        # Where a frame begins inside. By chance it would be once in 4 GiB.
        if data.find(MAGIC, 1) >= 0 or self._holds_another(entry, data):
            raise CorruptionError("another session lies in its place")
        return skippable(data)

    def _holds_another(self, entry: Entry, data: bytes) -> bool:
        """Whether what can still be unpacked at its start is of somebody else."""
        begins = Unpacker(self._limits).beginning(data)
        own = beginning_of(entry.tenant_id, entry.session_id)
        return begins[: len(own)] != own[: len(begins)]

    def _has_form(self, entry: Entry, data: bytes) -> bool:
        """Whether block for block it is as long as the frame was: only bits changed."""
        try:
            return len(data) == entry.length == frame_length(data)
        except CorruptionError:
            return False

    def _is_in_place(self, entry: Entry) -> bool:
        """Whether the frames before and behind are whole and where they were, so that
        in between there can only be this one; or the file was cut off inside it."""
        intact = self._survey()
        entries, place = self._manifest.entries, entry.ordinal
        if place == 0:
            begins = entry.offset == 0
        else:
            begins = intact[place - 1] and entries[place - 1].end == entry.offset
        if self._size < entry.end:
            return begins
        if place == len(entries) - 1:
            ends = entry.end == self._size
        else:
            ends = intact[place + 1] and entry.end == entries[place + 1].offset
        return begins and ends and self._size == self._manifest.size_bytes

    def _survey(self) -> list[bool]:
        if not self._intact:
            stream = open_stream(self._blobs, self._manifest.key)
            self._size, unpacker = stream.size_bytes, Unpacker(self._limits)
            for entry in self._manifest.entries:
                try:
                    frame = frame_at(stream, entry)
                    line = unpacker.unpack(
                        frame, entry.raw_length, begins=DOCUMENT_BEGINS
                    )
                    check_line(line, entry.sha256)
                except CorruptionError:
                    self._intact.append(False)
                else:
                    self._intact.append(True)
        return self._intact
