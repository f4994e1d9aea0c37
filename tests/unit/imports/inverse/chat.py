"""Chat messages, prompts and offered tools, as the records had them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convstore.imports.extras import kept
from convstore.imports.prompts import Form
from convstore.vocabulary.records import Json, JsonObject, TurnInput


def messages_of(turns: Iterable[TurnInput]) -> list[JsonObject]:
    """The messages that `turns_of` took."""
    return [message_of(turn) for turn in turns]


def message_of(turn: TurnInput) -> JsonObject:
    """The message that became this turn."""
    message, notes = kept(turn.metadata)
    message["role"] = notes.get("role", turn.role)
    parts = turn.parts or []
    if "thoughts" in notes:
        *parts, thought = parts
        message[notes["thoughts"]] = thought["text"]
    count = notes.get("content_parts")
    if "parts" in notes:
        message["parts"] = list(map(_part_again, parts[:count], notes["parts"]))
    elif count is not None:
        message["content"] = parts[:count]
    elif not notes.get("no_content"):
        message["content"] = turn.content
    calls = parts[count or 0 :]
    if notes.get("function_call"):
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    for name in ("tool_call_id", "name", "model"):
        value = getattr(turn, name)
        # A model may be that of the whole record.
        if value is not None and notes.get(name) is not False:
            message[name] = value
    return message


def _part_again(part: Json, kind: str) -> Json:
    if kind == "text":
        return part["text"]
    if kind == "untyped":
        return {name: value for name, value in part.items() if name != "type"}
    return part


def offered_tools(turns: tuple[TurnInput, ...]) -> JsonObject:
    """The `tools` field that `offer_tools` took, if it did."""
    tools = next((turn.tools for turn in turns if turn.tools is not None), None)
    return {} if tools is None else {"tools": tools}


def gather(messages: list[JsonObject], form: Form) -> Json:
    """The value that `spread` took."""
    if form == "text":
        return messages[0]["content"]
    return messages[0] if form == "message" else messages


def write_exchange(turns: Sequence[TurnInput], notes: JsonObject) -> JsonObject:
    """The fields that `read_exchange` took."""
    messages = messages_of(turns)
    asked, (form, answer_form) = notes["prompt"], notes["forms"]
    return {
        "prompt": gather(messages[:asked], form),
        "completion": gather(messages[asked:], answer_form),
    }
