"""One zstd frame per line: packed with size and checksum, unpacked within bounds.

A frame says how large it unpacks; that is believed only up to a budget, so a bomb of
some kilobytes cannot ask for gigabytes. Format: RFC 8878.
"""

from __future__ import annotations

from contextlib import suppress

import zstandard

from convstore.segments.segment import ArchiveLimits
from convstore.vocabulary.errors import ConfigError, CorruptionError

MAGIC = b"\x28\xb5\x2f\xfd"
# Of a frame that decoders pass over: length, and that many bytes of anything.
SKIPPABLE_MAGIC = b"\x50\x2a\x4d\x18"
DEFAULT_LEVEL = 3
MAX_LEVEL = 19

_CHECKSUM_BYTES = 4
# A look at the beginning costs as much as unpacking some hundred kilobytes.
_WORTH_A_LOOK_BYTES = 1024 * 1024
_BEGINNING_BYTES = 4096
_BLOCK_HEADER_BYTES = 3
_RLE_BLOCK, _RESERVED_BLOCK = 1, 3
# A block is at least a header and a byte, and gives at most 128 KiB.
_MIN_BLOCK_BYTES = 4
_MAX_BLOCK_CONTENT_BYTES = 128 * 1024
# Magic, descriptor, window, dictionary id and content size at their largest.
_MAX_HEADER_BYTES = 18
_NO_SIZE = (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR)


class Packer:
    """Makes frames; keeps its compressor, so use one per writer and thread."""

    def __init__(self, level: int = DEFAULT_LEVEL) -> None:
        # Levels from 20 on need more memory to read than the `zstd` command grants.
        if not 1 <= level <= MAX_LEVEL:
            raise ConfigError(f"zstd level {level} is not between 1 and {MAX_LEVEL}")
        self._compressor = zstandard.ZstdCompressor(
            level=level, write_checksum=True, write_content_size=True
        )

    def pack(self, line: bytes) -> bytes:
        """The frame of `line` and a newline."""
        return self._compressor.compress(line + b"\n")


class Unpacker:
    """Reads frames within limits; keeps its decompressor, so use one per thread."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._decompressor = zstandard.ZstdDecompressor(
            max_window_size=limits.max_window_bytes
        )

    def unpack(
        self,
        frame: bytes | memoryview,
        raw_length: int | None = None,
        *,
        begins: bytes = b"",
    ) -> bytes:
        """The line in `frame`, without its newline.

        Args:
            frame: All of it.
            raw_length: Bytes that the line has, where they are known: a frame that
                claims another length is refused before any memory is asked for.
            begins: What the line must begin with; where it is long, the rest is
                unpacked only if it does.

        Raises:
            CorruptionError: Not exactly one frame with size and checksum, larger than
                the limits allow, damaged, or not one line.
        """
        size = self._check_header(frame, raw_length)
        look = begins and size > _WORTH_A_LOOK_BYTES
        if look and not self.beginning(frame).startswith(begins):
            raise CorruptionError("frame does not hold a document")
        content = self._content(frame)
        if not content or content.find(b"\n") != len(content) - 1:
            raise CorruptionError("frame does not hold exactly one line")
        return content[:-1]

    def check(self, frame: bytes, line: bytes) -> None:
        """Check that `unpack` gives this line, without a copy of it.

        Raises:
            CorruptionError: It gives another one, or none.
        """
        self._check_header(frame, len(line))
        content = self._content(frame)
        if not (content.startswith(line) and content.endswith(b"\n", len(line))):
            raise CorruptionError("frame does not unpack as it was packed")

    def _content(self, frame: bytes | memoryview) -> bytes:
        try:
            return self._decompressor.decompress(frame, allow_extra_data=False)
        except zstandard.ZstdError:
            raise CorruptionError(
                "frame does not unpack or fails its checksum"
            ) from None

    def beginning(self, data: bytes | memoryview) -> bytes:
        """Up to 4 KiB of what the frame at the start of `data` holds, as far as it can
        be unpacked; empty when there is none."""
        found = b""
        with (
            suppress(zstandard.ZstdError),
            self._decompressor.stream_reader(data, read_size=1024) as reader,
        ):
            while len(found) < _BEGINNING_BYTES and (some := reader.read(64)):
                found += some
        return found

    def _check_header(self, frame: bytes | memoryview, raw_length: int | None) -> int:
        if bytes(frame[:4]) != MAGIC:
            raise CorruptionError("no frame begins here")
        try:
            header = zstandard.get_frame_parameters(frame)
        except zstandard.ZstdError:
            raise CorruptionError("frame has a damaged header") from None
        if header.content_size in _NO_SIZE or not header.has_checksum:
            raise CorruptionError("frame lacks its size or checksum")
        # The newline is not part of the document.
        if header.content_size > self._limits.max_document_bytes + 1:
            raise CorruptionError("frame unpacks to more than the limit")
        if raw_length is not None and header.content_size != raw_length + 1:
            raise CorruptionError("frame holds more or less than the document")
        # Checked before that many bytes of memory are asked for.
        blocks = len(frame) // _MIN_BLOCK_BYTES + 1
        if header.content_size > blocks * _MAX_BLOCK_CONTENT_BYTES:
            raise CorruptionError("frame claims more content than it can hold")
        if header.window_size > self._limits.max_window_bytes:
            raise CorruptionError("frame asks for a larger window than the limit")
        return int(header.content_size)


def skippable(data: bytes) -> bytes:
    """A frame that holds `data` as it is; to be passed over (RFC 8878, 3.1.2)."""
    return SKIPPABLE_MAGIC + len(data).to_bytes(4, "little") + data


def skippable_length(data: bytes | memoryview) -> int | None:
    """Bytes of the skippable frame that begins `data`; None when none does."""
    if bytes(data[:4]) != SKIPPABLE_MAGIC or len(data) < 8:
        return None
    return 8 + int.from_bytes(data[4:8], "little")


def frame_length(data: bytes | memoryview, start: int = 0) -> int | None:
    """Bytes of the frame at `start`, found without unpacking; None to see more data.

    Walks the block headers (RFC 8878, section 3.1.1), so that a frame whose content is
    damaged does not hide the frames behind it.

    Raises:
        CorruptionError: No frame begins at `start`.
    """
    head = bytes(data[start : start + _MAX_HEADER_BYTES])
    if head[:4] != MAGIC[: len(head)]:
        raise CorruptionError("no frame begins here")
    try:
        at = start + zstandard.frame_header_size(head)
    except zstandard.ZstdError:
        return None  # Fails for want of bytes alone.
    last = False
    while not last:
        if at + _BLOCK_HEADER_BYTES > len(data):
            return None
        block = int.from_bytes(data[at : at + _BLOCK_HEADER_BYTES], "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        if kind == _RESERVED_BLOCK or size > _MAX_BLOCK_CONTENT_BYTES:
            raise CorruptionError("frame has a damaged block")
        at += _BLOCK_HEADER_BYTES + (1 if kind == _RLE_BLOCK else size)
    end = at + (_CHECKSUM_BYTES if head[4] & 4 else 0)
    return end - start if end <= len(data) else None
