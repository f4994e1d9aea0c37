"""A chat message as OpenAI's and Anthropic's clients have it, as one turn. Pure.

What a turn has no place for goes to its metadata under `message`; a part stays as it
is, so that the message comes out again as it went in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convstore.messages.openai import EXTRA, FIELDS
from convstore.messages.parts import first_text, kind_of, parts_text
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject, TurnInput

_PLACED = frozenset(
    "role content tool_calls function_call tool_call_id name model refusal usage "
    "stop_reason finish_reason".split()
)
_USAGE = {
    "tokens_in": ("prompt_tokens", "input_tokens"),
    "tokens_out": ("completion_tokens", "output_tokens"),
}


def turn_of_message(message: Mapping[str, Any]) -> TurnInput:
    """The turn of one message.

    Raises:
        InvalidInputError: It is no message; names the field.
    """
    if not isinstance(message, Mapping):
        raise InvalidInputError("message", "must be an object")
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidInputError("message.role", "is missing")
    content, parts = _content(message.get("content"))
    parts += _calls(message)
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    told = {
        key: value
        for key, value in message.items()
        if (key not in _PLACED or key in FIELDS) and value not in (None, "", [], {})
    }
    usage = message.get("usage")
    return TurnInput(
        role=role,
        content=content,
        parts=parts or None,
        name=_text(message, "name"),
        tool_call_id=_text(message, "tool_call_id"),
        model=_text(message, "model"),
        finish_reason=_text(message, "stop_reason", "finish_reason"),
        tokens_in=_count(usage, _USAGE["tokens_in"]),
        tokens_out=_count(usage, _USAGE["tokens_out"]),
        metadata={EXTRA: told} if told else {},
    )


def _content(content: Json) -> tuple[str | None, list[Json]]:
    if content is None or isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        raise InvalidInputError("message.content", "must be text, null or a list")
    for place, part in enumerate(content):
        if not isinstance(part, dict):
            raise InvalidInputError(f"message.content[{place}]", "must be an object")
    return parts_text(content) or None, list(content)


def _calls(message: Mapping[str, Any]) -> list[Json]:
    calls = message.get("tool_calls")
    if calls is None:
        calls = []
    if not isinstance(calls, list):
        raise InvalidInputError("message.tool_calls", "must be a list")
    for place, call in enumerate(calls):
        if not isinstance(call, dict) or kind_of(call) != "call":
            raise InvalidInputError(f"message.tool_calls[{place}]", "is no call")
    function: Json = message.get("function_call")
    if isinstance(function, dict):
        return [*calls, {"type": "function", "function": function}]
    return list(calls)


def _text(message: Mapping[str, Any], *keys: str) -> str | None:
    given: JsonObject = dict(message)
    return first_text(given, *keys) or None


def _count(usage: Json, keys: tuple[str, ...]) -> int | None:
    if isinstance(usage, dict):
        for key in keys:
            value = usage.get(key)
            if type(value) is int and value >= 0:
                return value
    return None
