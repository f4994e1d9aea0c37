"""Which format reads a source: by name, by a mapping file, or by what it looks like."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

from convstore.imports.grouping import Record
from convstore.imports.model import Rejected
from convstore.imports.opening import Opened, open_source
from convstore.imports.reading import read_sessions
from convstore.imports.registry import FORMATS, Format, load_format
from convstore.imports.signs import SIGNS, Sample
from convstore.imports.source import STDIN
from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
)
from convstore.vocabulary.records import Json

AUTO = "auto"
_SPECIFIC_FIRST = (
    "convstore preference kto oasst session-json alpaca sharegpt messages"
).split()
"""Where two formats take a record, the one that reads more of it goes before: a row of
messages with a label is a judgement, and would lose it as mere messages."""
MAP = "map"
_CONVERSATIONS = re.compile(r"(^|/)conversations[^/]*[.]json", re.IGNORECASE)
_RECORDS, _FILES = 30, 12
"""So many records, of so many files, are looked at."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The format of a source, and by what it was told; empty where it was named."""

    format: Format
    why: str = ""


def choose_format(
    name: str,
    source: str | os.PathLike[str],
    mapping: str | os.PathLike[str] | None = None,
) -> Choice:
    """The format of this name; `map` reads by a mapping file, `auto` looks first.

    Raises:
        InvalidInputError: No such format; or none that takes the source: the message
            has the nearest ones.
        ConfigError: The mapping file cannot be used, is missing, or not asked for.
    """
    if (name == MAP) != (mapping is not None):
        raise ConfigError("a mapping file and the format `map` go together")
    if mapping is not None:
        from convstore.imports.mapping.file import load_mapping
        from convstore.imports.mapping.records import mapped_format

        return Choice(mapped_format(load_mapping(mapping)))
    if name == AUTO:
        return _by_its_looks(source)
    return Choice(load_format(name))


def _by_its_looks(source: str | os.PathLike[str]) -> Choice:
    if source == STDIN:
        raise InvalidInputError(
            "format", "standard input is read once: name its format"
        )
    with open_source(source) as opened:
        sample = _sample(opened)
    for sign in SIGNS:
        if sign.format in FORMATS and sign.seen(sample):
            return Choice(load_format(sign.format), sign.why)
    if sample.tables is not None:
        told = ", ".join(sorted(sample.tables)[:8]) or "none"
        problem = f"no format takes a database with these tables: {told}"
        raise InvalidInputError(
            "format", problem + _nearest(sample.tables, _NEAR_TABLES)
        )
    reasons = {}
    for name in _SPECIFIC_FIRST:
        first = _first(load_format(name), source)
        if first is None:
            return Choice(load_format(name), "it holds no record, and any format fits")
        if not isinstance(first, Rejected):
            return Choice(load_format(name), "its first record can be read so")
        reasons[name] = first.reason
    raise InvalidInputError("format", _refusal(sample, reasons))


def _first(format_: Format, source: str | os.PathLike[str]) -> object:
    found = cast(Iterator[object], read_sessions(format_, source))
    return next(found, None)


def _sample(opened: Opened) -> Sample:
    tables = None if opened.tables is None else opened.tables.columns
    records: list[Json] = []
    # What lies beside the conversations may be many files with names that come first.
    names = sorted(opened.names, key=lambda name: not _CONVERSATIONS.search(name))
    for name in names[:_FILES]:
        try:
            for record in islice(opened.records(name), _RECORDS):
                if isinstance(record, Record):
                    records.append(record.value)
        except (CorruptionError, LimitExceededError):
            continue  # whoever reads it is told
        except ConvstoreError:
            if len(opened.names) == 1:
                raise
    return Sample(records, opened.names, tables)


def _refusal(sample: Sample, reasons: dict[str, str]) -> str:
    """Why no format takes it, with those that come nearest."""
    if not sample.records:
        return f"nothing in it can be read: {next(iter(reasons.values()))}"
    keys = {key for record in sample.objects for key in list(record)[:40]}
    told = "no format takes the first record: name one, or write a mapping"
    told += _nearest(keys, _NEAR)
    near = _near(keys, _NEAR)
    if len(near) == 1 and near[0] in reasons:
        told += f" ({reasons[near[0]]})"
    return told


def _near(names: Iterable[str], words: Mapping[str, str]) -> list[str]:
    """The formats that some of these names speak for."""
    given = set(names)
    return [name for name, some in words.items() if given & set(some.split())]


def _nearest(names: Iterable[str], words: Mapping[str, str]) -> str:
    near = _near(names, words)
    return f"; nearest are {', '.join(near[:4])}" if near else ""


_NEAR = {
    "messages": "messages conversation conversations prompt completion",
    "sharegpt": "conversations from value",
    "preference": "chosen rejected",
    "alpaca": "instruction input output",
    "oasst": "message_tree_id parent_id prompt replies",
    "chatgpt": "mapping current_node",
    "claude-ai": "chat_messages",
    "open-webui": "chat history",
    "librechat": "conversationId",
    "claude-code": "sessionId uuid parentUuid",
    "langfuse": "trace observations traceId",
    "langsmith": "run_type trace_id inputs outputs",
    "uimessage": "parts role",
}
"""Words among the names of fields that speak for a format."""
_NEAR_TABLES = {
    "llm": "threads turns responses conversations",
    "openai-agents": "agent_sessions agent_messages",
    "google-adk": "app_states user_states events",
    "langgraph": "checkpoints writes checkpoint_blobs checkpoint_writes",
    "langchain": "message_store chat_history",
    "chainlit": "threads steps elements feedbacks",
    "agno": "agno_sessions agno_runs agent_sessions",
    "open-webui": "chat chat_message feedback",
    "rasa": "events",
}
"""The same among the names of tables."""
