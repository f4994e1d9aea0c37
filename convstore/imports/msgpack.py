"""MessagePack as plain data: nothing that it names is imported or made. Pure.

An extension becomes an `Extension` with its bytes decoded where they are MessagePack.
Depth, sizes and counts are bounded by the bytes that are there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from convstore.vocabulary.errors import CorruptionError

_MOST_DEPTH = 100
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_FIXED_EXT = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_SIZES = {1: ">B", 2: ">H", 4: ">I"}
# First byte: what it is, and the bytes of its length.
_LONG = {
    0xD9: ("text", 1), 0xDA: ("text", 2), 0xDB: ("text", 4),
    0xC4: ("bytes", 1), 0xC5: ("bytes", 2), 0xC6: ("bytes", 4),
    0xDC: ("list", 2), 0xDD: ("list", 4), 0xDE: ("map", 2), 0xDF: ("map", 4),
    0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extension:
    """A value of an application's own type: its number, and what its bytes hold."""

    code: int
    value: Any


def unpack(data: bytes) -> Any:
    """The one value in these bytes; bytes stay bytes.

    Raises:
        CorruptionError: They are no MessagePack, or nested too deeply.
    """
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise CorruptionError("MessagePack with more behind its value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise CorruptionError("MessagePack that ends early")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def value(self, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise CorruptionError("MessagePack that is nested too deeply")
        mark = self.take(1)[0]
        if mark < 0x80:
            return mark
        if mark >= 0xE0:
            return mark - 0x100
        if mark < 0x90:
            return self.map(mark & 0x0F, depth)
        if mark < 0xA0:
            return self.items(mark & 0x0F, depth)
        if mark < 0xC0:
            return self.text(mark & 0x1F)
        if mark in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[mark]
        return self.marked(mark, depth)

    def marked(self, mark: int, depth: int) -> Any:
        if mark in _NUMBERS:
            form = _NUMBERS[mark]
            return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        if mark in _FIXED_EXT:
            return self.extension(_FIXED_EXT[mark], depth)
        if mark not in _LONG:
            raise CorruptionError("MessagePack of no known kind")
        kind, width = _LONG[mark]
        size = struct.unpack(_SIZES[width], self.take(width))[0]
        if size > len(self.data):
            # More items than there are bytes: nothing is set aside for them.
            raise CorruptionError("MessagePack that ends early")
        if kind == "text":
            return self.text(size)
        if kind == "bytes":
            return self.take(size)
        if kind == "list":
            return self.items(size, depth)
        if kind == "map":
            return self.map(size, depth)
        return self.extension(size, depth)

    def text(self, size: int) -> str:
        return self.take(size).decode("utf-8", "replace")

    def items(self, count: int, depth: int) -> list[Any]:
        return [self.value(depth + 1) for _ in range(count)]

    def map(self, count: int, depth: int) -> dict[str, Any]:
        made = {}
        for _ in range(count):
            key = self.value(depth + 1)
            made[key if isinstance(key, str) else str(key)] = self.value(depth + 1)
        return made

    def extension(self, size: int, depth: int) -> Extension:
        code = struct.unpack(">b", self.take(1))[0]
        data = self.take(size)
        try:
            inner = _Reader(data)
            value = inner.value(depth + 1)
        except CorruptionError:
            return Extension(code, data)
        return Extension(code, value if inner.at == len(data) else data)
