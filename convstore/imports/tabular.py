"""Rows of CSV and Parquet files as records: an object of each row's cells."""

from __future__ import annotations

import base64
import codecs
import csv
import math
from collections.abc import Generator, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO

from convstore.imports.grouping import Record
from convstore.imports.model import Rejected
from convstore.imports.source import SourceLimits
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import (
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
    MissingExtraError,
)
from convstore.vocabulary.records import Json, JsonObject

ROWS = (".csv", ".tsv")
_ROWS_AT_A_TIME = 64
_MOST_COLUMNS = 10_000


def csv_records(
    chunks: Iterator[bytes], limits: SourceLimits, *, tabs: bool
) -> Iterator[Record | Rejected]:
    """The rows below a first row of names; empty cells are left out.

    Cells are text. Numbers of records are those of the rows, the names being 1.
    """
    # The bound is the process's own: it may only be raised here.
    csv.field_size_limit(max(csv.field_size_limit(), limits.max_line_bytes))
    dialect = csv.excel_tab if tabs else csv.excel
    rows = csv.reader(_lines(chunks, limits), dialect, strict=True)
    try:
        names = next(rows, None)
    except csv.Error:
        yield Rejected(1, "bad_csv", "record: the row of names is no CSV", None)
        return
    if names is None:
        return
    if len(set(names)) < len(names) or len(names) > _MOST_COLUMNS:
        raise InvalidInputError("source", "has two columns of one name, or too many")
    number = 1
    while True:
        number += 1
        try:
            cells = next(rows, None)
        except csv.Error:
            yield Rejected(number, "bad_csv", "record: is no CSV", None)
            continue
        if cells is None:
            return
        if cells:
            yield _row(number, names, cells)


def _row(number: int, names: list[str], cells: list[str]) -> Record | Rejected:
    given = zip(names, cells, strict=False)
    value: JsonObject = {name: cell for name, cell in given if cell}
    data = dumps(value)
    if len(cells) > len(names):
        told = f"record: has {len(cells)} cells for {len(names)} columns"
        return Rejected(number, "bad_csv", told, data)
    return Record(number, value, data)


def _lines(chunks: Iterator[bytes], limits: SourceLimits) -> Iterator[str]:
    """Lines of text, none longer than a record may be."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    rest = ""
    for chunk in chunks:
        rest = yield from _whole(rest + _decoded(decoder, chunk, final=False))
        if len(rest) > limits.max_line_bytes:
            bound = limits.max_line_bytes
            raise LimitExceededError("max_line_bytes", bound, len(rest))
    rest += _decoded(decoder, b"", final=True)
    if rest:
        yield rest


def _whole(text: str) -> Generator[str, None, str]:
    lines = text.split("\n")
    for line in lines[:-1]:
        yield line + "\n"
    return lines[-1]


def _decoded(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool) -> str:
    try:
        return decoder.decode(chunk, final=final)
    except UnicodeDecodeError:
        raise InvalidInputError("source", "is no UTF-8 text") from None


def parquet_records(
    file: BinaryIO, limits: SourceLimits
) -> Iterator[Record | Rejected]:
    """The rows of a Parquet file; empty cells are left out.

    Raises:
        MissingExtraError: The extra `parquet` is not installed.
        InvalidInputError: The source cannot be read from its end, as this format is.
        CorruptionError: The file is damaged.
        LimitExceededError: It unpacks to more than a source may.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("reading Parquet", "parquet") from None
    if not file.seekable():
        raise InvalidInputError("source", "is Parquet: give it as a file")
    try:
        table = pq.ParquetFile(file, memory_map=False)
        groups = [table.metadata.row_group(n) for n in range(table.num_row_groups)]
        total = sum(group.total_byte_size for group in groups)
        if total > limits.max_total_bytes:
            bound = limits.max_total_bytes
            raise LimitExceededError("max_total_bytes", bound, total)
        number = 0
        for batch in table.iter_batches(batch_size=_ROWS_AT_A_TIME):
            for row in batch.to_pylist():
                number += 1
                yield _plain_row(number, row, limits)
    except (pa.ArrowException, OSError):
        raise CorruptionError("the Parquet file is damaged") from None


def _plain_row(
    number: int, row: dict[str, Any], limits: SourceLimits
) -> Record | Rejected:
    try:
        value = {k: _plain(v) for k, v in row.items() if v is not None}
        data = dumps(value)
    except (TypeError, ValueError, RecursionError):
        told = "record: has a cell that no JSON can hold"
        return Rejected(number, "invalid_input", told, None)
    if len(data) > limits.max_line_bytes:
        told = f"record: has {len(data)} bytes; at most {limits.max_line_bytes} fit"
        return Rejected(number, "too_long", told, None)
    return Record(number, value, data)


def _plain(value: Any) -> Json:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, Decimal) else value
