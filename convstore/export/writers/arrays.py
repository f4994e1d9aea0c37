"""Arrow arrays from the cells of rows, by way of buffers where there is no null.

`pyarrow.array` looks at every value, and imports pandas where that is installed. Most
columns are text, numbers or JSON that is encoded already: their buffers are a join of
bytes and a run of offsets, which takes a third of the time and gives equal arrays.
"""

from __future__ import annotations

from array import array
from base64 import b64decode
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, Protocol

from convstore.vocabulary.records import Json

_CODES = {"int64": "q", "double": "d"}


class Cells(Protocol):
    """The cells of one column, until they are an array."""

    def add(self, cell: Json, data: bytes, at: int) -> int:
        """Take a cell, whose text, if it has one, begins at `at`; returns its end."""
        ...

    def array(self, pa: Any) -> Any:
        """The cells so far as an array; there are none afterwards."""
        ...


class JsonCells:
    """A column of `arrow.json` values, or of lists of them, as encoded text.

    A cell is the length of its text; of a list, the lengths; None is null.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._listed = hasattr(kind, "value_type")
        self._cells: list[Any] = []
        self._texts: list[bytes] = []

    def add(self, cell: Json, data: bytes, at: int) -> int:
        """Take a cell, whose text begins at `at`; returns where it ends."""
        self._cells.append(cell)
        if cell is None:
            return at
        end = at + (sum(cell) if self._listed else cell)
        self._texts.append(data[at:end])
        return end

    def array(self, pa: Any) -> Any:
        """The cells so far as an array; there are none afterwards."""
        cells, texts = self._cells, self._texts
        self._cells, self._texts = [], []
        some = [cell for cell in cells if cell is not None]
        if not some:
            return pa.nulls(len(cells), self._kind)
        there = None
        if len(some) < len(cells):
            there = _bitmap(pa, [cell is not None for cell in cells])
        if not self._listed:
            lengths = [cell or 0 for cell in cells]
            storage = _texts(pa, lengths, texts, there)
            return pa.ExtensionArray.from_storage(pa.json_(), storage)
        storage = _texts(pa, list(chain.from_iterable(some)), texts)
        items = pa.ExtensionArray.from_storage(pa.json_(), storage)
        counts = [0 if cell is None else len(cell) for cell in cells]
        return _lists(pa, counts, items, self._kind, there)


class PlainCells:
    """A column of values that JSON holds as they are."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._cells: list[Json] = []

    def add(self, cell: Json, data: bytes, at: int) -> int:
        """Take a cell; nothing of it is in the text."""
        self._cells.append(cell)
        return at

    def array(self, pa: Any) -> Any:
        """The cells so far as an array; there are none afterwards."""
        cells, self._cells = self._cells, []
        return values(pa, cells, self._kind)


class ImageCells(PlainCells):
    """A column of lists of images, whose cells are lists of Base64."""

    def array(self, pa: Any) -> Any:
        """The cells so far as an array; there are none afterwards."""
        cells, self._cells = self._cells, []
        images = [
            [{"bytes": b64decode(text), "path": None} for text in cell]
            for cell in cells
        ]
        return pa.array(images, self._kind)


class StructCells:
    """A column of structs, whose cells are lists of their values in order."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._cells: list[list[Json]] = []

    def add(self, cell: list[Json], data: bytes, at: int) -> int:
        """Take a cell; nothing of it is in the text."""
        self._cells.append(cell)
        return at

    def array(self, pa: Any) -> Any:
        """The cells so far as an array; there are none afterwards."""
        fields = list(self._kind)
        columns = zip(*self._cells, strict=True)
        arrays = [
            values(pa, column, field.type)
            for column, field in zip(columns, fields, strict=True)
        ]
        self._cells = []
        return pa.StructArray.from_arrays(arrays, fields=fields)


def values(pa: Any, cells: Sequence[Json], kind: Any) -> Any:
    """An array of this kind."""
    if None in cells:
        return pa.array(cells, kind)
    if kind == pa.string():
        texts = [cell.encode() for cell in cells]
        return _texts(pa, list(map(len, texts)), texts)
    if pa.types.is_list(kind):
        counts = list(map(len, cells))
        items = values(pa, list(chain.from_iterable(cells)), kind.value_type)
        return _lists(pa, counts, items, kind)
    if pa.types.is_struct(kind):
        arrays = [values(pa, [c[f.name] for c in cells], f.type) for f in kind]
        return pa.StructArray.from_arrays(arrays, fields=list(kind))
    if kind == pa.bool_():
        return _bits(pa, cells)
    code = _CODES.get(str(kind))
    if code is None:
        return pa.array(cells, kind)
    return _numbers(pa, array(code, cells), kind)


def _bits(pa: Any, cells: Sequence[bool]) -> Any:
    bits = _bitmap(pa, cells)
    return pa.Array.from_buffers(pa.bool_(), len(cells), [None, bits])


def _bitmap(pa: Any, cells: Sequence[bool]) -> Any:
    """As they lie in memory, eight to a byte: a cast of bytes, or a mask, would import
    all of `pyarrow.compute` and with it numpy, for which a thousand rows are
    written."""
    bits = int("".join("01"[cell] for cell in reversed(cells)) or "0", 2)
    return pa.py_buffer(bits.to_bytes(-(-len(cells) // 8), "little"))


def _numbers(pa: Any, numbers: array[Any], kind: Any) -> Any:
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _texts(
    pa: Any, lengths: Sequence[int], texts: Sequence[bytes], there: Any = None
) -> Any:
    """Text of these lengths, out of as many or fewer pieces; `there` are the bits of
    those that are not null."""
    ends = pa.py_buffer(array("i", accumulate(lengths, initial=0)))
    data = pa.py_buffer(b"".join(texts))
    return pa.Array.from_buffers(pa.string(), len(lengths), [there, ends, data])


def _lists(
    pa: Any, counts: Sequence[int], items: Any, kind: Any, there: Any = None
) -> Any:
    ends = pa.py_buffer(array("i", accumulate(counts, initial=0)))
    return pa.Array.from_buffers(kind, len(counts), [there, ends], children=[items])
