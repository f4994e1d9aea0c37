"""Which format reads a source: by name, by a mapping file, or by its first record."""

from __future__ import annotations

import os

from convstore.imports.model import Rejected
from convstore.imports.reading import read_sessions
from convstore.imports.registry import Format, load_format
from convstore.imports.source import STDIN
from convstore.vocabulary.errors import ConfigError, InvalidInputError

AUTO = "auto"
_SPECIFIC_FIRST = (
    "convstore preference kto oasst session-json alpaca sharegpt messages"
).split()
"""Where two formats take a record, the one that reads more of it goes before: a row of
messages with a label is a judgement, and would lose it as mere messages."""
MAP = "map"


def choose_format(
    name: str,
    source: str | os.PathLike[str],
    mapping: str | os.PathLike[str] | None = None,
) -> Format:
    """The format of this name; `map` reads by a mapping file, `auto` looks first.

    Raises:
        InvalidInputError: No such format; or no format takes the first record.
        ConfigError: The mapping file cannot be used, is missing, or not asked for.
    """
    if (name == MAP) != (mapping is not None):
        raise ConfigError("a mapping file and the format `map` go together")
    if mapping is not None:
        from convstore.imports.mapping.file import load_mapping
        from convstore.imports.mapping.records import mapped_format

        return mapped_format(load_mapping(mapping))
    if name == AUTO:
        return _by_first_record(source)
    return load_format(name)


def _by_first_record(source: str | os.PathLike[str]) -> Format:
    """The format that reads most of the first record."""
    if source == STDIN:
        raise InvalidInputError(
            "format", "standard input is read once: name its format"
        )
    for name in _SPECIFIC_FIRST:
        format_ = load_format(name)
        first = next(read_sessions(format_, source), None)
        if first is None or not isinstance(first, Rejected):
            return format_
    raise InvalidInputError("format", "no format takes the first record: name one")
