"""Rows as Parquet, in the two profiles that readers take.

`json`: each message is an `arrow.json` value, so that nothing is invented or merged
(datasets 4.7 and later). `text`: messages are structs of role and content, without
metadata, which older readers and LLaMA-Factory take.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convstore.codec import decode_json, dumps
from convstore.errors import MissingExtraError
from convstore.export.formats.base import PROVENANCE_COLUMNS, Column
from convstore.export.options import Profile
from convstore.export.writers.base import HashedFile
from convstore.records import Json, JsonObject

GROUP_ROWS = 2_000
GROUP_BYTES = 32 * 1024 * 1024
"""Readers hold a row group in memory; datasets wants them under 100 MB."""


def pack_columns(
    body: JsonObject, columns: Sequence[Column], profile: Profile
) -> bytes:
    """A row as a JSON list of its columns, messages in the shape the file will hold."""
    return dumps([_packed(body.get(c.name), c, profile) for c in columns])


def _packed(value: Json, column: Column, profile: Profile) -> Json:
    if value is None or column.keys or column.type not in ("messages", "json"):
        return value
    if column.type == "json":
        return dumps(value).decode()
    return value if profile == "text" else [dumps(item).decode() for item in value]


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
        self._writer = self._pq.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            write_page_index=True,
        )
        # Rows without images were packed without a place for them.
        names = [column.name for column in columns if column.type == "images"]
        self._images = self._schema.get_field_index(names[0]) if names else None
        self._rows: list[list[Json]] = []
        self._waiting = 0

    def add(self, data: bytes) -> None:
        """Append one row that `pack_columns` packed."""
        row = decode_json(data)
        if self._images is not None and len(row) < len(self._schema):
            row.insert(self._images, [])
        self._rows.append(row)
        self._waiting += len(data)
        if len(self._rows) >= GROUP_ROWS or self._waiting >= GROUP_BYTES:
            self._flush()

    def close(self) -> HashedFile:
        """Finish the file; it is durable after this."""
        self._flush()
        self._writer.close()
        self._file.close()
        return self._file

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = [
            _array(self._pa, list(values), field.type)
            for values, field in zip(columns, self._schema, strict=True)
        ]
        batch = self._pa.record_batch(arrays, schema=self._schema)
        self._writer.write_batch(batch, row_group_size=len(self._rows))
        self._rows.clear()
        self._waiting = 0


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
    }[column.type]()


def _holds_bytes(pa: Any, kind: Any) -> bool:
    return isinstance(kind, pa.StructType) and kind.get_field_index("bytes") >= 0


def _array(pa: Any, values: list[Json], kind: Any) -> Any:
    if isinstance(kind, pa.ListType) and isinstance(kind.value_type, pa.JsonType):
        texts = pa.array(values, pa.list_(pa.string()))
        items = pa.ExtensionArray.from_storage(pa.json_(), texts.values)
        return pa.ListArray.from_arrays(
            texts.offsets,
            items,
            type=kind,
            mask=texts.is_null() if texts.null_count else None,
        )
    if isinstance(kind, pa.ListType) and _holds_bytes(pa, kind.value_type):
        values = [
            [{"bytes": b64decode(text), "path": None} for text in images]
            for images in values
        ]
    if isinstance(kind, pa.JsonType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, pa.string()))
    return pa.array(values, kind)
