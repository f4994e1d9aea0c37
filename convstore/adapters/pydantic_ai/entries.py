"""Entries of the framework as turns, and turns as entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pydantic
from pydantic_ai.conversation_store import ConversationEntry
from pydantic_ai.messages import ModelMessage

from convstore.messages.model_messages import (
    FORMAT,
    Group,
    grouped,
    kept,
    message_of,
    turns_of,
)
from convstore.messages.neutral import unsaved
from convstore.vocabulary.records import JsonObject, Turn, TurnInput

JSON = pydantic.ConfigDict(
    ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants"
)
"""As the framework's own `ModelMessagesTypeAdapter`, and NaN stays what it is."""

_MESSAGES = pydantic.TypeAdapter(list[ModelMessage], config=JSON)


def turns_of_entry(entry: ConversationEntry) -> list[TurnInput]:
    """The turns of an entry: the last one has its id, and the message itself where the
    columns say less."""
    (native,) = _MESSAGES.dump_python([entry.message], mode="json")
    turns = turns_of(native)
    turns[-1] = replace(turns[-1], external_id=entry.id)
    plain = message_of([unsaved(turn) for turn in turns])
    return kept(turns, None if plain and _filled(plain) == native else native)


def _filled(message: JsonObject) -> Any:
    """A message with all that the framework adds to it."""
    loaded = _MESSAGES.validate_python([message])
    return _MESSAGES.dump_python(loaded, mode="json")[0]


def entries_of(turns: Sequence[Turn]) -> list[ConversationEntry]:
    """The entries of a path. The first ones may be cut short, or miss the names of
    tools, if the path does not begin with a first turn."""
    ids: list[str] = []
    told: list[JsonObject] = []
    before: Iterable[Turn] = ()
    for group in grouped(turns):
        message = _message(group, before)
        before = group.turns
        if message is not None:
            ids.append(entry_id_of(group.turns[-1]))
            told.append(message)
    parents = [None, *ids]
    return [
        ConversationEntry(id=own, parent_id=parent, message=message)
        for own, parent, message in zip(
            ids, parents, _MESSAGES.validate_python(told), strict=False
        )
    ]


def _message(group: Group, before: Iterable[Turn]) -> JsonObject | None:
    if group.message is not None:
        return group.message
    # What was made of a message alone is what it is read from.
    return message_of(group.turns, () if group.own else before)


def entry_id_of(turn: Turn) -> str:
    """The id of the entry that ends with a turn."""
    if turn.payload_format == FORMAT and turn.external_id is not None:
        return turn.external_id
    return f"{turn.session_id}#{turn.seq}"
