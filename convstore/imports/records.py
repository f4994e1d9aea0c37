"""From bytes to records: JSON Lines, a JSON list of any length, or one JSON object.

Which of them it is, the beginning tells. A list is cut into its items as it streams
past, so that its length is no matter; a line, an item and an object are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from convstore.imports.grouping import Record
from convstore.imports.items import Item, ends_list, split_items
from convstore.imports.model import Rejected
from convstore.imports.source import Line, SourceLimits, split_lines
from convstore.imports.strict_json import parse_json
from convstore.vocabulary.errors import InvalidInputError, LimitExceededError

TOO_LONG = "too_long"
_PEEK_BYTES = 4 * 1024 * 1024
"""How far is looked for the end of a first line that begins a list. Beyond it, it is
taken for a list of records."""

# What JSON can hold behind the opening bracket of a list.
_BEGINS_VALUE = b'[{"tfn-0123456789]'


def records_of(
    chunks: Iterator[bytes], limits: SourceLimits
) -> Iterator[Record | Rejected]:
    """The records in these bytes, in order; what cannot be read is set aside.

    Records of JSON Lines are numbered by their lines, those of a list by their places.

    Raises:
        LimitExceededError: One text alone is longer than a record may be.
    """
    head, chunks = _peeked(chunks)
    begun = head.lstrip()
    if begun[:1] == b"[" and _is_list(begun):
        blank = len(head) - len(begun) + 1
        yield from _list(chain([head[blank:]], chunks), limits)
    else:
        lines = split_lines(chain([head], chunks), limits.max_line_bytes)
        yield from _lines(lines, limits)


def _peeked(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning, up to where something follows the first line that is not blank."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) > _PEEK_BYTES or _goes_on(head):
            break
    return head, chunks


def _goes_on(head: bytes) -> bool:
    begun = head.lstrip()
    newline = begun.find(b"\n")
    return newline >= 0 and bool(begun[newline:].strip())


def _is_list(begun: bytes) -> bool:
    """Whether what begins with a bracket is one list of records.

    Not if its first line is a whole list and more lines follow: then each line is a
    record. Nor if no value stands behind the bracket.
    """
    after = begun[1:].lstrip()[:1]
    if after and after not in _BEGINS_VALUE:
        return False
    first, _, rest = begun.partition(b"\n")
    return not rest.strip() or not ends_list(first[1:])


def _list(chunks: Iterator[bytes], limits: SourceLimits) -> Iterator[Record | Rejected]:
    items = split_items(chunks, limits.max_line_bytes)
    for number, item in enumerate(items, 1):
        yield _item(number, item, limits)


def _item(number: int, item: Item, limits: SourceLimits) -> Record | Rejected:
    if not item.whole:
        reason = "record: is not whole: the source ends inside it, or goes on behind it"
        return Rejected(number, "truncated", reason, item.data)
    return read_record(Line(number, item.data, item.size_bytes, True), limits)


def _lines(lines: Iterator[Line], limits: SourceLimits) -> Iterator[Record | Rejected]:
    lines = (line for line in lines if line.data is None or line.data.strip())
    first = next(lines, None)
    if first is None:
        return
    record = read_record(first, limits)
    if isinstance(record, Rejected) and _may_begin_object(first):
        document, lines = _document(first, lines, limits)
        yield from document
    else:
        yield record
    for line in lines:
        yield read_record(line, limits)


def read_record(line: Line, limits: SourceLimits) -> Record | Rejected:
    """The record of one line, or why it is none."""
    if line.data is None:
        reason = f"has {line.size_bytes} bytes; at most {limits.max_line_bytes} fit"
        return Rejected(line.number, TOO_LONG, f"record: {reason}", None)
    try:
        value = parse_json(line.data, limits.max_depth, max_pieces=limits.max_pieces)
    except LimitExceededError as error:
        return Rejected(line.number, TOO_LONG, f"record: {error}", line.data)
    except InvalidInputError as error:
        if line.complete or not _may_begin(line, b"[{"):
            return Rejected(line.number, "bad_json", str(error), line.data)
        reason = "record: is not whole: the source ends inside it"
        return Rejected(line.number, "truncated", reason, line.data)
    return Record(line.number, value, line.data)


def _may_begin(line: Line, marks: bytes) -> bool:
    begins = (line.data or b"").lstrip()[:1]
    return bool(begins) and begins in marks


def _may_begin_object(line: Line) -> bool:
    # Too long as it is, it is no beginning of anything.
    return line.data is not None and line.complete and _may_begin(line, b"{")


def _document(
    first: Line, lines: Iterator[Line], limits: SourceLimits
) -> tuple[Iterator[Record | Rejected], Iterator[Line]]:
    """The one record of an object that `first` begins, or nothing and all its lines.

    And the lines that are left.
    """
    taken, size = [first], first.size_bytes
    for line in lines:
        taken.append(line)
        size += line.size_bytes + 1
        if size > limits.max_line_bytes or len(taken) > limits.max_pieces:
            return _given(taken, limits), lines
    data = b"\n".join(line.data or b"" for line in taken)
    try:
        value = parse_json(data, limits.max_depth + 1, max_pieces=limits.max_pieces)
    except (InvalidInputError, LimitExceededError):
        return _given(taken, limits), iter(())
    return iter([Record(1, value, data)]), iter(())


def _given(taken: list[Line], limits: SourceLimits) -> Iterator[Record | Rejected]:
    return (read_record(line, limits) for line in taken)
