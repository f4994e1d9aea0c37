"""A part of a data set: rows of one split, between two row ids, in a file of their own.

Where parts begin and end is decided from the rows alone, so neither the names nor the
bytes of the files depend on who writes them, or how many do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convstore.export.choosing.keys import KEY_BYTES
from convstore.export.dataset.statistics import RowCounter, Stats
from convstore.export.formats.base import Format
from convstore.export.options import ExportOptions
from convstore.export.stages.entries import unpack_waiting
from convstore.export.stages.gather import columns_of
from convstore.export.writers.base import FileRecord, ShardWriter
from convstore.export.writers.jsonl import JsonlShard
from convstore.export.writers.parquet import ParquetShard
from convstore.vocabulary.errors import CorruptionError

DATA, SIDE = "data", "provenance"
TOLD_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one file of a data set.

    Attributes:
        format: Name of the format.
        split: Name of the split.
        index: Its place among the files of the split, from 0.
        pictures: Whether files of this data set have a column of images.
        ids: The row ids, 16 bytes each, in order.
    """

    format: str
    split: str
    index: int
    pictures: bool
    ids: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The file's name until it is known how many there are."""
        return f"{self.split}-{self.index:05}.part"

    @property
    def first(self) -> bytes:
        """The lowest row id; empty of a part without rows."""
        return self.ids[:KEY_BYTES]

    @property
    def last(self) -> bytes:
        """The highest row id; empty of a part without rows."""
        return self.ids[-KEY_BYTES:]


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A part whose files are durable, and what was counted over its rows.

    `data` and `side` are None in a dry run; `side` also where rows carry where they
    come from.
    """

    format: str
    split: str
    index: int
    rows: int
    stats: Stats
    data: FileRecord | None
    side: FileRecord | None


def write_rows(
    rows: Iterable[bytes],
    part: Part,
    root: Path,
    fmt: Format,
    options: ExportOptions,
    step: Callable[[int], None] | None = None,
) -> WrittenPart:
    """Write the rows of a part as its files in the folder of its data set.

    Args:
        rows: Packed rows in order of row id; those of other parts are passed over, and
            none is taken behind the last one of this part.
        part: Which ones.
        root: The folder; the files are in `data` and `provenance`.
        fmt: The format.
        options: Those of the export.
        step: Called now and then with the rows written since.

    Raises:
        CorruptionError: A row of the part is not among them.
    """
    counter, count = RowCounter(), 0
    writer, side = (
        (None, None) if options.dry_run else _writers(part, root, fmt, options)
    )
    try:
        for record in _those_of(part.ids, rows):
            row = unpack_waiting(record)
            counter.add(row)
            if writer is not None:
                writer.add(row.data)
            if side is not None:
                side.add(row.side)
            count += 1
            if step is not None and count % TOLD_ROWS == 0:
                step(TOLD_ROWS)
        if step is not None:
            step(count % TOLD_ROWS)
        data = told = None
        if writer is not None:
            data = writer.close().record(part.name, count)
        if side is not None:
            told = side.close().record(part.name, count)
    except BaseException:
        for file in filter(None, (writer, side)):
            file.abandon()
        raise
    stats = counter.stats(part.split)
    return WrittenPart(part.format, part.split, part.index, count, stats, data, told)


def _writers(
    part: Part, root: Path, fmt: Format, options: ExportOptions
) -> tuple[ShardWriter, JsonlShard | None]:
    path = root / DATA / part.name
    path.parent.mkdir(parents=True, exist_ok=True)
    inline = fmt.provenance == "column"
    if options.file_type == "parquet":
        columns = columns_of(fmt, options, pictures=part.pictures)
        writer: ShardWriter = ParquetShard(path, columns, options.profile, inline)
    else:
        writer = JsonlShard(path)
    if fmt.provenance != "sidecar":
        return writer, None
    try:
        beside = root / SIDE / part.name
        beside.parent.mkdir(parents=True, exist_ok=True)
        return writer, JsonlShard(beside)
    except BaseException:
        writer.abandon()
        raise


def _those_of(ids: bytes, rows: Iterable[bytes]) -> Iterator[bytes]:
    """The rows with these ids, each once; both in order."""
    at = 0
    if not ids:
        return
    for record in rows:
        if not ids.startswith(record[:KEY_BYTES], at):
            if record[:KEY_BYTES] > ids[at : at + KEY_BYTES]:
                break
            continue
        yield record
        at += KEY_BYTES
        if at == len(ids):
            return
    raise CorruptionError("a row of the export is missing")
