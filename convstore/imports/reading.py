"""From a source to sessions: a stream in bounded memory, bad records set aside.

A source is JSON Lines, or one JSON document: an object, or a list of records; or a
folder or zip of such files; or, for formats that read tables, a SQLite file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from convstore.imports.files import with_files
from convstore.imports.grouping import Record, grouped
from convstore.imports.material import LeftOut
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.opening import Opened, open_source
from convstore.imports.registry import Format
from convstore.imports.source import DEFAULT_LIMITS, SourceLimits
from convstore.vocabulary.errors import (
    CorruptionError,
    InvalidInputError,
    NewerFormatError,
)
from convstore.vocabulary.records import Json

R = TypeVar("R")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# What no database can hold: NUL, and halves of surrogate pairs.
_INVALID = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Imported:
    """A session read from the record at `number`; see `Rejected` for what that counts.

    `data` is the record as read, for `rejected.jsonl` should the store refuse it; None
    where it was many rows. `replaced` says whether characters of it were.
    """

    number: int
    session: ImportedSession
    data: bytes | None
    replaced: bool = False
    size_bytes: int = 0


def read_sessions(
    format_: Format,
    source: str | os.PathLike[str] | Opened,
    limits: SourceLimits = DEFAULT_LIMITS,
    *,
    replace_invalid: bool = False,
) -> Iterator[Imported | Rejected | LeftOut]:
    """One item for each record or group of rows, in the order of the source.

    With `replace_invalid`, NUL and halves of surrogate pairs become U+FFFD; else the
    store refuses the record that has one. A bad record is given as `Rejected` and stops
    nothing. Empty lines are no records.

    Raises:
        InvalidInputError: The source cannot be read; nothing was given.
        LimitExceededError: A bomb, or one text that is longer than a record may be.
        CorruptionError: The compressed source is damaged; what came before was given.
    """
    with ExitStack() as stack:
        if not isinstance(source, Opened):
            source = stack.enter_context(open_source(source, limits))
        if not source.names and source.tables is None:
            problem = "holds no file whose name ends in .json, .jsonl or .ndjson"
            if others := source.beside.to_be_named():
                told = ", ".join(others[:3])
                problem += f"; a database or zip is named by itself: {told}"
            raise InvalidInputError("source", problem)
        if format_.read is not None:
            yield from _read(format_, source, replace_invalid)
            return
        if source.tables is not None:
            problem = f"is a database, which the format {format_.name} does not read"
            raise InvalidInputError("source", problem)
        for name in source.names:
            yield from _by_records(format_, source, name, replace_invalid)


def _by_records(
    format_: Format, source: Opened, name: str, replace_invalid: bool
) -> Iterator[Imported | Rejected]:
    records = source.records(name)
    if format_.group_key is not None:
        records = grouped(records, format_.group_key, source.limits)
    for record in records:
        if isinstance(record, Rejected):
            yield source.told(record, name)
        else:
            found = _session(format_.parse, record, replace_invalid)
            yield source.told(found, name) if isinstance(found, Rejected) else found


def _read(
    format_: Format, source: Opened, replace_invalid: bool
) -> Iterator[Imported | Rejected | LeftOut]:
    """The sessions of a format that reads files and tables by itself."""
    assert format_.read is not None
    for number, found in enumerate(format_.read(source), 1):
        if not isinstance(found, ImportedSession):
            yield found
            continue
        session = with_files(found, source.beside, source.limits.max_file_bytes)
        replaced = False
        if replace_invalid:
            session, replaced = _replaced_in(session)
        yield Imported(number, session, None, replaced, _size(session))


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
    return Imported(record.number, session, record.data, replaced, len(record.data))


def _replaced_in(session: ImportedSession) -> tuple[ImportedSession, bool]:
    """The session with what no database can hold replaced, and whether any was."""
    made = replace(
        _replaced_fields(session),
        turns=tuple(map(_replaced_fields, session.turns)),
        interactions=tuple(map(_replaced_fields, session.interactions)),
        graph_states=tuple(map(_replaced_fields, session.graph_states)),
    )
    return made, made != session


def _replaced_fields(record: R) -> R:
    given: Any = record
    changed = {
        field.name: _replaced(value)
        for field in fields(given)
        if isinstance(value := getattr(record, field.name), (str, list, dict))
    }
    made: R = replace(given, **changed)
    return made


def _size(session: ImportedSession) -> int:
    """About how many bytes it takes: what texts it has."""
    return sum(
        len(turn.content or "") + _text_size(turn.parts) + 200 for turn in session.turns
    )


def _text_size(value: Json) -> int:
    waiting, size = [value], 0
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return size


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
