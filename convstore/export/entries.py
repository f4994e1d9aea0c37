"""The two records that wait on disk for a row: an index entry and the row's bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from convstore.export.keys import KEY_BYTES

_ENTRY = struct.Struct(f"<{KEY_BYTES}s{KEY_BYTES}s{KEY_BYTES}s8s8sqIBB")
_HEAD = struct.Struct(f"<{KEY_BYTES}sBBBII12sII")

LABEL_TRUE, LABEL_FALSE, PAIR, LONGER, LEFT, RIGHT, PICTURED = 1, 2, 4, 8, 16, 32, 64


class Entry(NamedTuple):
    """What decides whether a row stays: read in bulk, so it is small and flat."""

    prompt: bytes
    subject: bytes
    row_id: bytes
    session: bytes
    user: bytes
    at_ms: int
    votes: int
    polarity: int
    split: int


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


def pack_entry(entry: Entry) -> bytes:
    """The entry as bytes of fixed length."""
    return _ENTRY.pack(*entry)


def unpack_entries(data: bytes) -> Iterator[Entry]:
    """The entries of a part."""
    return map(Entry._make, _ENTRY.iter_unpack(data))


def cut_entries(name: str) -> Callable[[bytes], Iterator[tuple[bytes, bytes]]]:
    """A way to cut a part into (key, record), by the field that is the key."""
    place = Entry._fields.index(name)

    def cut(data: bytes) -> Iterator[tuple[bytes, bytes]]:
        for at in range(0, len(data), _ENTRY.size):
            record = data[at : at + _ENTRY.size]
            yield _ENTRY.unpack(record)[place], record

    return cut


def pack_waiting(row: Waiting) -> bytes:
    """The row as bytes."""
    language = row.language.encode()[:12]
    head = _HEAD.pack(*row[:6], language, len(row.data), len(row.side))
    return b"".join((head, row.data, row.side))


def flags_of(record: bytes) -> int:
    """The flags of a packed row, without unpacking it."""
    return record[KEY_BYTES + 2]


def cut_waiting(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(row id, record) of each row of a part."""
    at = 0
    while at < len(data):
        row_id, *_, data_size, side_size = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + data_size + side_size
        yield row_id, data[at:end]
        at = end


def unpack_waiting(record: bytes) -> Waiting:
    """The row that `pack_waiting` packed."""
    head = _HEAD.unpack_from(record)
    *facts, language, data_size, _ = head
    middle = _HEAD.size + data_size
    text = language.rstrip(b"\0").decode(errors="ignore")
    row_id, split, rule, flags, chars, tokens = facts
    data, side = record[_HEAD.size : middle], record[middle:]
    return Waiting(row_id, split, rule, flags, chars, tokens, text, data, side)
