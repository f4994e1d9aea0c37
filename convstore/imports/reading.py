"""From a source to sessions: a stream in bounded memory, bad records set aside.

A source is JSON Lines, or one JSON document: an object, or a list of records. Which of
them is told by the first line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from convstore.imports.grouping import Record, grouped
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.registry import Format
from convstore.imports.source import DEFAULT_LIMITS, Line, SourceLimits, read_lines
from convstore.imports.strict_json import parse_json
from convstore.vocabulary.errors import (
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
    NewerFormatError,
)
from convstore.vocabulary.records import Json

_TOO_LONG = "too_long"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# What no database can hold: NUL, and halves of surrogate pairs.
_INVALID = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Imported:
    """A session read from the record at `number`; see `Rejected` for what that counts.

    `data` is the record as read, for `rejected.jsonl` should the store refuse it;
    `replaced` says whether characters of it were.
    """

    number: int
    session: ImportedSession
    data: bytes
    replaced: bool = False


def read_sessions(
    format_: Format,
    source: str | os.PathLike[str],
    limits: SourceLimits = DEFAULT_LIMITS,
    *,
    replace_invalid: bool = False,
) -> Iterator[Imported | Rejected]:
    """One item for each record or group of rows, in the order of the source.

    With `replace_invalid`, NUL and halves of surrogate pairs become U+FFFD; else the
    store refuses the record that has one. A bad record is given as `Rejected` and stops
    nothing. Empty lines are no records.

    Raises:
        InvalidInputError: The source cannot be read; nothing was given.
        LimitExceededError: A bomb, or a JSON document beyond `max_line_bytes`.
        CorruptionError: The compressed source is damaged; what came before was given.
    """
    records = _records(read_lines(source, limits), limits)
    if format_.group_key is not None:
        records = grouped(records, format_.group_key, limits)
    for record in records:
        if isinstance(record, Rejected):
            yield record
        else:
            yield _session(format_.parse, record, replace_invalid)


def _session(
    parse: Callable[[Json], ImportedSession], record: Record, replace_invalid: bool
) -> Imported | Rejected:
    value, replaced = record.value, False
    if replace_invalid and (b"\\u" in record.data or b"\0" in record.data):
        value = _replaced(value)
        replaced = value != record.value
    try:
        session = parse(value)
    except (InvalidInputError, CorruptionError, NewerFormatError) as error:
        return Rejected(record.number, error.code, str(error), record.data)
    return Imported(record.number, session, record.data, replaced)


def _replaced(value: Json) -> Json:
    if isinstance(value, str):
        return _INVALID.sub(_REPLACEMENT, value)
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if isinstance(value, dict):
        made = {_replaced(key): _replaced(item) for key, item in value.items()}
        # Two names may have become one: then nothing of them is lost here.
        return made if len(made) == len(value) else value
    return value


def _records(
    lines: Iterator[Line], limits: SourceLimits
) -> Iterator[Record | Rejected]:
    lines = (line for line in lines if line.data is None or line.data.strip())
    first = next(lines, None)
    if first is None:
        return
    record = _record(first, limits)
    if isinstance(record, Record) and isinstance(record.value, list):
        second = next(lines, None)
        if second is None:
            yield from _items(record.value)
            return
        # Several lists, a line each, are no document of records.
        yield record
        lines = chain([second], lines)
    elif isinstance(record, Rejected) and record.code == _TOO_LONG:
        # Whole as it is, and too much of it: no beginning of anything.
        yield record
    elif isinstance(record, Rejected) and _may_begin_document(first):
        document, lines = _document(first, lines, limits)
        yield from document
    else:
        yield record
    for line in lines:
        yield _record(line, limits)


def _record(line: Line, limits: SourceLimits) -> Record | Rejected:
    if line.data is None:
        reason = f"has {line.size_bytes} bytes; at most {limits.max_line_bytes} fit"
        return Rejected(line.number, _TOO_LONG, f"record: {reason}", None)
    try:
        value = parse_json(line.data, limits.max_depth, max_pieces=limits.max_pieces)
    except LimitExceededError as error:
        return Rejected(line.number, _TOO_LONG, f"record: {error}", line.data)
    except InvalidInputError as error:
        if line.complete or not _may_begin_document(line):
            return Rejected(line.number, "bad_json", str(error), line.data)
        reason = "record: is not whole: the source ends inside it"
        return Rejected(line.number, "truncated", reason, line.data)
    return Record(line.number, value, line.data)


def _may_begin_document(line: Line) -> bool:
    return line.data is not None and line.data.lstrip()[:1] in (b"[", b"{")


def _document(
    first: Line, lines: Iterator[Line], limits: SourceLimits
) -> tuple[Iterator[Record | Rejected], Iterator[Line]]:
    """The records of a document that `first` begins, or `first` as the line it is.

    And the lines that are left.
    """
    taken, size = [first], first.size_bytes
    for line in lines:
        taken.append(line)
        size += line.size_bytes + 1
        if size > limits.max_line_bytes or len(taken) > limits.max_pieces:
            if (first.data or b"").lstrip()[:1] == b"[":
                raise _over_the_limit(limits, size, len(taken))
            return iter(()), chain(taken, lines)
    data = b"\n".join(line.data or b"" for line in taken)
    try:
        value = parse_json(data, limits.max_depth + 1, max_pieces=limits.max_pieces)
    except InvalidInputError:
        return iter(()), iter(taken)
    if isinstance(value, list):
        return _items(value), iter(())
    return iter([Record(1, value, data)]), iter(())


def _over_the_limit(limits: SourceLimits, size: int, lines: int) -> Exception:
    if size > limits.max_line_bytes:
        return LimitExceededError("max_line_bytes", limits.max_line_bytes, size)
    return LimitExceededError("max_pieces", limits.max_pieces, lines)


def _items(values: list[Json]) -> Iterator[Record]:
    for number, value in enumerate(values, 1):
        yield Record(number, value, json.dumps(value).encode())
