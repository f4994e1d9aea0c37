"""Tool definitions of a record: with the turns that may use them, and kept exactly."""

from __future__ import annotations

from dataclasses import replace

from convstore.imports.strict_json import parse_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject, TurnInput

_MAX_DEPTH = 60


def offer_tools(
    turns: list[TurnInput], record: JsonObject
) -> tuple[list[TurnInput], frozenset[str]]:
    """The turns with the record's `tools` on each assistant turn, and the field taken.

    The field is taken when the turns hold all of it. It is not when it is JSON text,
    whose spacing would be lost, or when no assistant speaks.
    """
    given = record.get("tools")
    tools = _read(given)
    if not tools:
        return turns, frozenset()
    offered = [
        replace(turn, tools=tools) if turn.role == "assistant" else turn
        for turn in turns
    ]
    whole = given is tools and offered != turns
    return offered, frozenset({"tools"} if whole else ())


def _read(given: Json) -> list[Json] | None:
    if isinstance(given, str):
        try:
            given = parse_json(given.encode(), _MAX_DEPTH, field="tools")
        except (InvalidInputError, UnicodeEncodeError):
            return None
    return given if isinstance(given, list) else None
