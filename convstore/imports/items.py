"""The items of one JSON list, cut apart as it streams past, in flat memory.

Only brackets, commas and quotes are looked at: what an item is, and whether it is JSON
at all, is said by whoever parses it. So one bad item costs one record, and a list may
be as long as the disk. A parser of streams, such as ijson, ends at the first bad byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from convstore.vocabulary.errors import LimitExceededError

# A string, or what there is of one that goes on behind the piece. Once begun it cannot
# fail: before 3.11.5 Python loses its place where the last round of a possessive
# repetition fails on its way, and finds brackets inside of strings.
_BEGUN = rb'"[^"\\]*+(?:\\(?:.|\Z)[^"\\]*+)*+'
_PLAIN = _BEGUN + rb'(?:"|\Z)'
# What stands before the next bracket, strings passed over whole; possessive, so that
# nothing is looked at twice.
_DEEP = re.compile(rb'(?:[^"\[\]{}]++|' + _PLAIN + rb")*+[\[\]{}]", re.DOTALL)
# The same between the items themselves, where a comma parts them.
_LEVEL = re.compile(rb'(?:[^"\[\]{},]++|' + _PLAIN + rb")*+[\[\]{},]", re.DOTALL)
# One string that has ended, or what stands between two.
_STRETCH = re.compile(rb'[^"\[\]{}]++|' + _BEGUN + rb'"', re.DOTALL)
_OPENS, _CLOSES = b"[{", b"]}"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the list.

    Attributes:
        data: Its bytes; None where there were more than allowed.
        size_bytes: How many there were.
        whole: False for what is left where the source ends inside the list.
    """

    data: bytes | None
    size_bytes: int
    whole: bool = True


def split_items(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Item]:
    """The items of a list whose opening bracket has been read, as they come.

    After its end, what is not blank comes as one more item that is not whole.

    Raises:
        LimitExceededError: One text alone is longer than an item may be.
    """
    cutter = _Cutter(max_bytes)
    for data in _growing(chunks, cutter):
        yield from cutter.feed(data)
        if cutter.ended:
            rest = cutter.rest() + b"".join(_some(chunks))
            if rest.strip():
                yield Item(rest, len(rest), whole=False)
            return
    rest = cutter.rest()
    yield Item(rest, len(rest), whole=False)


def ends_list(data: bytes) -> bool:
    """Whether a list whose opening bracket stands before `data` ends in it."""
    cutter = _Cutter(len(data))
    for _ in cutter.feed(data):
        pass
    return cutter.ended


def _some(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What follows, up to the first piece that is not blank."""
    for chunk in chunks:
        if chunk.strip():
            yield chunk
            return


def _growing(chunks: Iterator[bytes], cutter: _Cutter) -> Iterator[bytes]:
    """Pieces at least as long as what waits: none is looked at often."""
    piece: list[bytes] = []
    size = 0
    for chunk in chunks:
        piece.append(chunk)
        size += len(chunk)
        if size >= cutter.waiting:
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)


class _Cutter:
    """Where the scan is: inside how many brackets, and where the item began."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._data = b""
        self._at = self._start = self._depth = 0
        self._dropped = 0
        self.ended = False

    @property
    def waiting(self) -> int:
        """Bytes that have been looked at and are not given yet."""
        return len(self._data) - self._start

    def rest(self) -> bytes:
        """What has been read and not been given."""
        return self._data[self._start :]

    def feed(self, data: bytes) -> Iterator[Item]:
        self._data = self._data[self._start :] + data
        self._at -= self._start
        self._start = 0
        while not self.ended:
            pattern = _DEEP if self._depth else _LEVEL
            match = pattern.match(self._data, self._at)
            if match is None:
                break
            self._at = match.end()
            mark = self._data[self._at - 1]
            if mark in _OPENS:
                self._depth += 1
            elif mark in _CLOSES and self._depth:
                self._depth -= 1
            else:
                # A comma between items, or the bracket that ends the list.
                self.ended = mark in _CLOSES
                yield from self._item()
        self._bound()

    def _item(self) -> Iterator[Item]:
        data = self._data[self._start : self._at - 1]
        self._start = self._at
        size, self._dropped = self._dropped + len(data), 0
        if self.ended and not data.strip() and not size - len(data):
            return
        yield Item(data if size <= self._max else None, size)

    def _bound(self) -> None:
        if self._dropped + self.waiting <= self._max:
            return
        if self._depth:
            # Whole strings without a bracket between them.
            while stretch := _STRETCH.match(self._data, self._at):
                self._at = stretch.end()
        if len(self._data) - self._at > self._max:
            # One string, of which no end is in sight.
            raise LimitExceededError("max_line_bytes", self._max, self.waiting)
        self._dropped += self._at - self._start
        self._start = self._at
