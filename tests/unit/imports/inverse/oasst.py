"""Records of `oasst`."""

from __future__ import annotations

from typing import Any

from convstore.imports.extras import kept
from convstore.imports.model import ImportedSession
from convstore.vocabulary.records import Json, TurnInput

_USUAL = {"user": "prompter"}


def to_record(session: ImportedSession) -> Json:
    """The record that `parse` took."""
    left_over, notes = kept(session.metadata)
    messages = [_message(turn) for turn in session.turns]
    if notes.get("flat"):
        return messages
    for place, turn in enumerate(session.turns):
        parent = place if turn.parent_seq is None else turn.parent_seq
        if parent:
            messages[parent - 1]["replies"].append(messages[place])
    return {**left_over, "prompt": messages[0]}


def _message(turn: TurnInput) -> dict[str, Any]:
    message, notes = kept(turn.metadata)
    message["role"] = notes.get("role", _USUAL.get(turn.role, turn.role))
    message["text"] = turn.content
    if notes.get("replies"):
        message["replies"] = []
    return message
