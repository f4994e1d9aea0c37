"""Rows as Parquet, in the two profiles that readers take.

`json`: each message is an `arrow.json` value, so that nothing is invented or merged
(datasets 4.7 and later). `text`: messages are structs of role and content, without
metadata, which older readers and LLaMA-Factory take.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Any

from convstore.export.formats.base import PROVENANCE_COLUMNS, Column
from convstore.export.options import Profile
from convstore.export.writers.arrays import (
    Cells,
    ImageCells,
    JsonCells,
    PlainCells,
    StructCells,
)
from convstore.export.writers.base import HashedFile
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import MissingExtraError
from convstore.vocabulary.records import Json, JsonObject

GROUP_ROWS = 2_000
GROUP_BYTES = 32 * 1024 * 1024
"""Readers hold a row group in memory; datasets wants them under 100 MB."""


_HEAD = Struct("<I")


def pack_columns(
    body: JsonObject,
    columns: Sequence[Column],
    profile: Profile,
    told: JsonObject | None,
) -> bytes:
    """A row as its cells and, behind them, the text of its JSON values.

    The cell of a JSON value is the length of its text: the text is encoded here, once,
    and copied from then on. `told` is the provenance, where it is a column.
    """
    cells: list[Json] = []
    texts: list[bytes] = []
    for column in columns:
        value = body.get(column.name)
        if value is not None and _is_json(column, profile):
            listed = column.type == "messages"
            found = [dumps(item) for item in value] if listed else [dumps(value)]
            texts += found
            value = [len(text) for text in found] if listed else len(found[0])
        cells.append(value)
    if told is not None:
        cells.append([told[column.name] for column in PROVENANCE_COLUMNS])
    head = dumps(cells)
    return b"".join((_HEAD.pack(len(head)), head, *texts))


def _is_json(column: Column, profile: Profile) -> bool:
    """Whether the column holds `arrow.json` values, or lists of them."""
    if column.keys is not None:
        return False
    return column.type == "json" or (column.type, profile) == ("messages", "json")


def _cells(column: Column, profile: Profile) -> Callable[[Any], Cells]:
    if _is_json(column, profile):
        return JsonCells
    return ImageCells if column.type == "images" else PlainCells


class ParquetShard:
    """One `.parquet` file, zstd, a row group every 2,000 rows or 32 MiB of JSON.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    suffix = "parquet"

    def __init__(
        self, path: Path, columns: Sequence[Column], profile: Profile, provenance: bool
    ) -> None:
        self._pa, self._pq = load_pyarrow()
        types = [(c.name, _arrow_type(self._pa, c, profile)) for c in columns]
        if provenance:
            fields = [
                (c.name, _arrow_type(self._pa, c, profile)) for c in PROVENANCE_COLUMNS
            ]
            types.append(("convstore", self._pa.struct(fields)))
        self._schema = self._pa.schema(types)
        self._file = HashedFile(path)
        self._sink = _Sink(self._file)
        self._writer = self._pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            write_page_index=True,
        )
        self._columns: list[Cells] = [
            _cells(column, profile)(field.type)
            for column, field in zip(columns, self._schema, strict=False)
        ]
        if provenance:
            self._columns.append(StructCells(types[-1][1]))
        # Rows without images were packed without a place for them.
        images = [c.type for c in columns]
        self._images = images.index("images") if "images" in images else None
        self._rows = self._waiting = 0

    def add(self, data: bytes) -> None:
        """Append one row that `pack_columns` packed."""
        (size,) = _HEAD.unpack_from(data)
        at = _HEAD.size + size
        cells = decode_json(data[_HEAD.size : at])
        if self._images is not None and len(cells) < len(self._columns):
            cells.insert(self._images, [])
        for column, cell in zip(self._columns, cells, strict=True):
            at = column.add(cell, data, at)
        self._rows += 1
        self._waiting += len(data)
        if self._rows >= GROUP_ROWS or self._waiting >= GROUP_BYTES:
            self._flush()

    def close(self) -> HashedFile:
        """Finish the file; it is durable after this."""
        self._flush()
        self._writer.close()
        self._sink.check()
        self._file.close()
        return self._file

    def abandon(self) -> None:
        """Let go of the file, after an error. Idempotent."""
        self._sink.end()
        self._writer.close()
        self._file.abandon()

    def _flush(self) -> None:
        if not self._rows:
            return
        arrays = [column.array(self._pa) for column in self._columns]
        batch = self._pa.record_batch(arrays, schema=self._schema)
        self._writer.write_batch(batch, row_group_size=self._rows)
        self._sink.check()
        self._rows = self._waiting = 0


class _Sink:
    """What pyarrow writes to. It keeps what goes wrong to itself, until it is asked.

    A writer of pyarrow that has met an error can never be closed, and says so on
    standard error when it is collected.
    """

    closed = False

    def __init__(self, file: HashedFile) -> None:
        self._file: HashedFile | None = file
        self._error: OSError | None = None
        self._size = 0

    def write(self, data: bytes) -> int:
        self._size += len(data)
        try:
            if self._file is not None:
                self._file.write(data)
        except OSError as error:
            self._file, self._error = None, error
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing waits here."""

    def check(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Take no more of what is written."""
        self._file = None


def load_pyarrow_alone() -> None:
    """Import pyarrow without numpy, which is more than half of what that takes.

    For processes of our own: in no other may pyarrow be found without it. Nothing here
    makes numpy's arrays. One that was imported before is left alone, and who imports
    it afterwards gets it.
    """
    if "numpy" in sys.modules or "pyarrow" in sys.modules:
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        with suppress(MissingExtraError):  # said where it is wanted
            load_pyarrow()
    finally:
        del sys.modules["numpy"]


def load_pyarrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        MissingExtraError: They are not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("Parquet output", "parquet") from None
    return pa, pq


def _arrow_type(pa: Any, column: Column, profile: Profile) -> Any:
    keys = column.keys
    if keys is None and (column.type, profile) == ("messages", "text"):
        keys = ("role", "content")
    if keys is not None:
        struct = pa.struct([(key, pa.string()) for key in keys])
        return pa.list_(struct) if column.listed else struct
    if column.type == "images":
        return pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    return {
        "messages": lambda: pa.list_(pa.json_()),
        "json": pa.json_,
        "string": pa.string,
        "strings": lambda: pa.list_(pa.string()),
        "bool": pa.bool_,
        "bools": lambda: pa.list_(pa.bool_()),
        "int64": pa.int64,
        "float64": pa.float64,
        "counts": lambda: pa.list_(
            pa.struct([("kind", pa.string()), ("count", pa.int64())])
        ),
    }[column.type]()
