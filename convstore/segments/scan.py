"""Finds the frames of a segment without a manifest, also behind damaged ones."""

from __future__ import annotations

from collections.abc import Iterator

from convstore.segments.frames import MAGIC, Unpacker, frame_length
from convstore.segments.segment import ArchiveLimits
from convstore.segments.stream import CHUNK_BYTES, Stream
from convstore.vocabulary.documents import DOCUMENT_BEGINS
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.record import Value

# A hostile file can be nothing but beginnings of frames; each costs a look.
MAX_FALSE_STARTS = 1_000


class Found(Value, frozen=True):
    """A stretch of the file: one whole line, or damage when `line` is None."""

    offset: int
    length: int
    line: bytes | None
    problem: str = ""

    @property
    def end(self) -> int:
        """The first byte behind the stretch."""
        return self.offset + self.length


def scan_frames(stream: Stream, limits: ArchiveLimits) -> Iterator[Found]:
    """Every frame in the order of the file, and every stretch that is none.

    Behind a damaged frame the next one is taken up where the damaged one says it ends,
    or else at the next bytes that begin like a frame.
    """
    unpacker = Unpacker(limits)
    while stream.peek(1):
        offset = stream.offset
        try:
            length = _whole_frame(stream, limits)
            line = _line(unpacker, stream.peek(length))
        except CorruptionError as error:
            _skip_damage(stream, limits)
            yield Found(offset, stream.offset - offset, None, str(error))
            continue
        stream.skip(length)
        yield Found(offset, length, line)


def _whole_frame(stream: Stream, limits: ArchiveLimits) -> int:
    """The length of the frame that begins here and ends inside file and limits."""
    wanted = CHUNK_BYTES
    while True:
        data = stream.peek(wanted)
        length = frame_length(data)
        if length is not None:
            return length
        if len(data) < wanted:
            raise CorruptionError("the file ends inside the frame")
        if wanted > limits.max_frame_bytes:
            raise CorruptionError("the frame is larger than the limit")
        wanted *= 2


def _line(unpacker: Unpacker, frame: memoryview) -> bytes:
    # How long the line is nobody knows here but the frame itself, which may lie. What
    # does not begin like a document is not worth the memory that it asks for.
    return unpacker.unpack(frame, begins=DOCUMENT_BEGINS)


def _skip_damage(stream: Stream, limits: ArchiveLimits) -> None:
    if _skip_as_told(stream, limits):
        return
    for _ in range(MAX_FALSE_STARTS):
        _skip_to_magic(stream)
        if not stream.peek(1) or _begins_frame(stream, limits):
            return
    while stream.peek(1):
        stream.skip(CHUNK_BYTES)


def _skip_as_told(stream: Stream, limits: ArchiveLimits) -> bool:
    """Pass a frame with damaged content, if its end fits what comes behind it."""
    try:
        length = _whole_frame(stream, limits)
    except CorruptionError:
        return False
    behind = bytes(stream.peek(length + len(MAGIC))[length:])
    if behind not in (b"", MAGIC):
        return False
    stream.skip(length)
    return True


def _begins_frame(stream: Stream, limits: ArchiveLimits) -> bool:
    try:
        length = _whole_frame(stream, limits)
        _line(Unpacker(limits), stream.peek(length))
    except CorruptionError:
        return False
    return True


def _skip_to_magic(stream: Stream) -> None:
    """Pass at least one byte, up to the next beginning of a frame or the end."""
    stream.skip(1)
    while True:
        data = bytes(stream.peek(CHUNK_BYTES))
        found = data.find(MAGIC)
        if found >= 0:
            stream.skip(found)
            return
        if len(data) < CHUNK_BYTES:
            stream.skip(len(data))
            return
        # The magic may lie across the edge.
        stream.skip(len(data) - len(MAGIC) + 1)
