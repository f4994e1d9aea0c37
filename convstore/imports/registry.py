"""The import formats by name. A format's module is loaded when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from convstore.imports.model import ImportedSession
from convstore.vocabulary.errors import InvalidInputError, shown
from convstore.vocabulary.records import Json


@dataclass(frozen=True, slots=True)
class Format:
    """How records of one kind become sessions: pure functions.

    Attributes:
        name: What the caller writes.
        parse: One parsed record, or the list of a group, to a session. Raises
            `InvalidInputError` or `CorruptionError` and nothing else, whatever the
            record.
        group_key: For rows that form a session together and stand next to each other:
            what they share; None for a record that stands alone.
        absent: Fields that a mapping names and no record had so far.
    """

    name: str
    parse: Callable[[Json], ImportedSession]
    group_key: Callable[[Json], str | None] | None = None
    absent: Callable[[], list[str]] | None = None


@dataclass(frozen=True, slots=True)
class FormatEntry:
    """A format that can be loaded: what lists and help show."""

    name: str
    description: str
    module: str

    def load(self) -> Format:
        """The format, its module imported now."""
        module = import_module(f"convstore.imports.formats.{self.module}")
        group_key = getattr(module, "group_key", None)
        return Format(self.name, module.parse, group_key)


_ENTRIES = (
    FormatEntry("convstore", "session documents of convstore, lossless", "documents"),
    FormatEntry("messages", "chat messages as OpenAI and TRL write them", "messages"),
    FormatEntry("sharegpt", "conversations of from and value", "sharegpt"),
    FormatEntry("preference", "a prompt, a chosen and a rejected answer", "preference"),
    FormatEntry("kto", "an answer with a good or bad label", "kto"),
    FormatEntry("alpaca", "instruction, input, output, ranked outputs", "alpaca"),
    FormatEntry("oasst", "Open Assistant message trees, nested or flat", "oasst"),
    FormatEntry(
        "session-json", "one session per file, of an earlier manager", "session_json"
    ),
)

FORMATS: Mapping[str, FormatEntry] = MappingProxyType({e.name: e for e in _ENTRIES})
"""The formats by name, in the order in which help lists them."""


def load_format(name: str) -> Format:
    """The format of this name.

    Raises:
        InvalidInputError: There is none; the message lists those there are.
    """
    entry = FORMATS.get(name)
    if entry is None:
        known = ", ".join(FORMATS)
        raise InvalidInputError("format", f"{shown(name)} is not one of {known}")
    return entry.load()
