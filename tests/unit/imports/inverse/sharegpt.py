"""Records of `sharegpt`."""

from __future__ import annotations

import json

from convstore.imports.extras import kept
from convstore.imports.model import ImportedSession
from convstore.vocabulary.records import JsonObject, TurnInput
from tests.unit.imports.inverse.chat import offered_tools

USUAL = {"user": "human", "assistant": "gpt", "tool": "observation"}


def to_record(session: ImportedSession) -> JsonObject:
    """The record that `parse` took."""
    left_over, notes = kept(session.metadata)
    return {
        **offered_tools(session.turns),
        **left_over,
        **write_conversation(session.turns, notes),
    }


def write_conversation(
    turns: tuple[TurnInput, ...] | list[TurnInput], notes: JsonObject
) -> JsonObject:
    """The fields that `read_conversation` took."""
    if not notes.get("system"):
        return {"conversations": [write_message(turn) for turn in turns]}
    rest = [write_message(turn) for turn in turns[1:]]
    return {"system": turns[0].content, "conversations": rest}


def write_message(turn: TurnInput) -> JsonObject:
    """The message that `read_message` took."""
    message, notes = kept(turn.metadata)
    message["from"] = notes.get("role", USUAL.get(turn.role, turn.role))
    value = turn.content
    if turn.parts:
        call = turn.parts[0]["function"]
        value = notes.get("value") or json.dumps(call, ensure_ascii=False)
    message["value"] = value
    return message
