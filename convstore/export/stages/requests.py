"""What an export and its workers say to each other: frames of bytes over two pipes.

Values travel as JSON of known shape, and packed rows as they are: nothing that comes
can be run.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

import msgspec

from convstore.export.dataset.parts import Part, WrittenPart
from convstore.export.dataset.statistics import Stats
from convstore.export.stages.making import Counts, Rows
from convstore.export.writers.base import FileRecord
from convstore.vocabulary.decoders import decoder_of
from convstore.vocabulary.records import JsonObject

T = TypeVar("T")

_SIZE = struct.Struct("<Q")
DONE, FAILED = b"\0", b"\1"
DOCUMENTS, SPLIT, PARTS = b"d", b"s", b"p"
"""What a worker is asked for: the rows of lines, or of a split; or to write files."""

SYSTEM = "OSError "
"""Of a failure of the system, with its number behind."""


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What a worker is told first."""

    formats: Sequence[str]
    options: JsonObject


@dataclass(frozen=True, slots=True)
class PartsRequest:
    """Parts of one split, one after the other, to be written from rows on disk.

    Attributes:
        parts: Without their ids.
        ids: The file in which the ids of the rows of the split are, in order.
        places: Of each part, where its ids begin in the file, and where they end.
        rows: Folder of the rows of the split.
        root: Folder of the data set.
    """

    parts: list[Part]
    ids: str
    places: list[tuple[int, int]]
    rows: str
    root: str


@dataclass(frozen=True, slots=True)
class _Written:
    """A part as it is told: counters by number are no objects of JSON."""

    part: tuple[str, str, int, int]
    stats: JsonObject
    files: tuple[FileRecord | None, FileRecord | None]


@dataclass(frozen=True, slots=True)
class _Told:
    formats: tuple[str, ...]
    counts: Counts
    left: tuple[str, ...]


def told(value: Any) -> bytes:
    """A value as JSON."""
    return msgspec.json.encode(value, enc_hook=str)


def understood(data: bytes, kind: type[T]) -> T:
    """The value that was `told`."""
    return decoder_of(kind).decode(data)


def join_answer(rows: Rows) -> bytes:
    """What a worker answers: counts, and the rows as they are."""
    head = told(_Told(rows.formats, rows.counts, rows.left))
    return b"".join((_SIZE.pack(len(head)), head, rows.packed))


def split_answer(answer: bytes) -> Rows:
    """The counts and rows of an answer."""
    (size,) = _SIZE.unpack_from(answer)
    end = _SIZE.size + size
    head = understood(answer[_SIZE.size : end], _Told)
    return Rows(head.formats, head.counts, answer[end:], head.left)


def join_written(parts: Iterable[WrittenPart]) -> bytes:
    """What a worker answers of parts that it has written."""
    return told(
        [
            _Written(
                (p.format, p.split, p.index, p.rows), p.stats.told(), (p.data, p.side)
            )
            for p in parts
        ]
    )


def split_written(answer: bytes) -> list[WrittenPart]:
    """The parts of an answer."""
    return [
        WrittenPart(*each.part, Stats.of(each.stats), *each.files)
        for each in understood(answer, list[_Written])
    ]


def write_frame(pipe: IO[bytes], data: bytes) -> None:
    """Send one message: its length, and its bytes."""
    pipe.write(_SIZE.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> bytes | None:
    """Receive one message; None if the other side ended before it was whole."""
    head = pipe.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(head)
    data = pipe.read(size)
    return data if len(data) == size else None
