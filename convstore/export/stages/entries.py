"""The two records that wait on disk for a row: an index entry and the row's bytes.

The same bytes travel between the processes of an export: lengths and content, so that
taking them apart is slicing, and nothing in them can be run.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from convstore.export.choosing.keys import KEY_BYTES

_ENTRY = struct.Struct(f"<{KEY_BYTES}s{KEY_BYTES}s{KEY_BYTES}s8s8sqIBBBI")
_HEAD = struct.Struct(f"<{KEY_BYTES}sBBBII12sII")

_PACKED = struct.Struct("<BHI")
_ROW_ID = slice(2 * KEY_BYTES, 3 * KEY_BYTES)
_AT_US = struct.Struct(f"<{3 * KEY_BYTES + 16}xq")
_SPLIT = _ENTRY.size - 6
_STAYING = struct.Struct(f"<{KEY_BYTES}sBBI")

LABEL_TRUE, LABEL_FALSE, PAIR, LONGER, LEFT, RIGHT, PICTURED = 1, 2, 4, 8, 16, 32, 64


class Entry(NamedTuple):
    """What decides whether a row stays, and in which file: read in bulk, so it is small
    and flat. `size` is that of the row's data."""

    prompt: bytes
    subject: bytes
    row_id: bytes
    session: bytes
    user: bytes
    at_us: int
    votes: int
    polarity: int
    split: int
    flags: int
    size: int


Staying: TypeAlias = tuple[bytes, int, int, int]
"""A row that stays, and what decides its place: row id, split, flags and size, as in
`Entry`. No names: there are as many as rows, and each is looked at once or twice."""


class Waiting(NamedTuple):
    """A row in its format, with the facts that the card counts."""

    row_id: bytes
    split: int
    rule: int
    flags: int
    chars: int
    tokens: int
    language: str
    data: bytes
    side: bytes


class Packed(NamedTuple):
    """A row as it goes into the spools of its format.

    Attributes:
        place: That of the format among those of the export.
        entry: As `pack_entry` made it.
        record: As `pack_waiting` made it.
        signature: For near duplicates; empty unless these are looked for.
    """

    place: int
    entry: bytes
    record: bytes
    signature: bytes

    @property
    def prompt(self) -> bytes:
        """The key of the entry."""
        return self.entry[:KEY_BYTES]

    @property
    def row_id(self) -> bytes:
        """The key of the record."""
        return self.entry[_ROW_ID]

    @property
    def split(self) -> int:
        """The number of its split."""
        return self.entry[_SPLIT]

    @property
    def at_us(self) -> int:
        """When the row was judged."""
        return int(_AT_US.unpack_from(self.entry)[0])


def join_packed(rows: Iterable[Packed]) -> bytes:
    """All rows as one run of bytes."""
    pieces: list[bytes] = []
    for place, entry, record, signature in rows:
        head = _PACKED.pack(place, len(signature), len(record))
        pieces += (head, entry, signature, record)
    return b"".join(pieces)


def cut_packed(data: bytes) -> Iterator[Packed]:
    """The rows that `join_packed` joined."""
    at = 0
    while at < len(data):
        place, signature_size, record_size = _PACKED.unpack_from(data, at)
        entry = at + _PACKED.size
        signature = entry + _ENTRY.size
        record = signature + signature_size
        at = record + record_size
        yield Packed(
            place, data[entry:signature], data[record:at], data[signature:record]
        )


def pack_entry(entry: Entry) -> bytes:
    """The entry as bytes of fixed length."""
    return _ENTRY.pack(*entry)


def unpack_entries(data: bytes) -> Iterator[Entry]:
    """The entries of a part."""
    return map(Entry._make, _ENTRY.iter_unpack(data))


def cut_entries(name: str) -> Callable[[bytes], Iterator[tuple[bytes, int, int]]]:
    """A way to find the entries of a part, by the field that is the key."""
    place = Entry._fields.index(name)

    def cut(data: bytes) -> Iterator[tuple[bytes, int, int]]:
        for end in range(_ENTRY.size, len(data) + 1, _ENTRY.size):
            start = end - _ENTRY.size
            yield _ENTRY.unpack_from(data, start)[place], start, end

    return cut


def pack_staying(entry: Entry) -> bytes:
    """What is left of an entry that stays, as bytes of fixed length."""
    return _STAYING.pack(entry.row_id, entry.split, entry.flags, entry.size)


def unpack_staying(data: bytes) -> list[Staying]:
    """The rows of a part in order of row id, each once."""
    return sorted({row[0]: row for row in _STAYING.iter_unpack(data)}.values())


def cut_staying(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Row id, beginning and end of each whole row of a part."""
    for end in range(_STAYING.size, len(data) + 1, _STAYING.size):
        start = end - _STAYING.size
        yield data[start : start + KEY_BYTES], start, end


def pack_waiting(row: Waiting) -> bytes:
    """The row as bytes."""
    language = row.language.encode()[:12]
    head = _HEAD.pack(*row[:6], language, len(row.data), len(row.side))
    return b"".join((head, row.data, row.side))


def cut_waiting(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Row id, beginning and end of each whole row of a part."""
    at, last = 0, len(data) - _HEAD.size
    while at <= last:
        row_id, *_, data_size, side_size = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + data_size + side_size
        if end > len(data):
            return
        yield row_id, at, end
        at = end


def unpack_waiting(record: bytes) -> Waiting:
    """The row that `pack_waiting` packed."""
    row_id, split, rule, flags, chars, tokens, language, size, _ = _HEAD.unpack_from(
        record
    )
    text = language.rstrip(b"\0").decode(errors="ignore")
    middle = _HEAD.size + size
    data, side = record[_HEAD.size : middle], record[middle:]
    return Waiting(row_id, split, rule, flags, chars, tokens, text, data, side)
