"""Chat messages of the OpenAI kind as turns, without loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from convstore.imports.extras import external_id, keep
from convstore.imports.fields import (
    first_time,
    id_or_none,
    kind_of,
    need_object,
    need_text,
)
from convstore.messages.parts import ROLES, parts_text
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject, TurnInput

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_SAYING = frozenset({"tool_calls", "function_call", "refusal", "audio", *_THOUGHTS})
"""What a message without content may say instead."""


def role_of(field: str, given: Json) -> tuple[str, JsonObject]:
    """Our word for a role, and the note that keeps the source's when it differs."""
    original = need_text(field, given)
    if not original:
        raise InvalidInputError(field, "is empty")
    role: str = ROLES.get(original.lower(), original)
    return role, {} if role == original else {"role": original}


def turns_of(
    messages: Iterable[Json], *, field: str = "messages", first_seq: int = 1
) -> list[TurnInput]:
    """One turn per message, each following the one before.

    Content parts and tool calls are kept as they are in `parts`, the content's first;
    `content` then holds the text of the parts, if they have any. What an assistant
    thought before it spoke is the last part.

    Raises:
        InvalidInputError: A message has no role, or content of a kind that no chat
            has; names the message by its place.
    """
    return [
        _turn(need_object(f"{field}[{place}]", message), f"{field}[{place}]", seq)
        for place, (seq, message) in enumerate(enumerate(messages, first_seq))
    ]


def _turn(message: JsonObject, field: str, seq: int) -> TurnInput:
    left_over = dict(message)
    role, notes = role_of(f"{field}.role", left_over.pop("role", None))
    content, parts = _take_content(left_over, notes, field)
    parts += _take_calls(left_over, notes, field)
    if role == "assistant":
        parts += _take_thoughts(left_over, notes)
    given: dict[str, Any] = {
        name: left_over.pop(name)
        for name in ("tool_call_id", "name")
        if isinstance(left_over.get(name), str)
    }
    if id_or_none(left_over, "model") is not None:
        given["model"] = left_over.pop("model")
    return TurnInput(
        role=role,
        content=content,
        parts=parts or None,
        metadata=keep(left_over, notes),
        external_id=external_id(seq),
        created_at=first_time(left_over),
        **given,
    )


def _take_content(
    message: JsonObject, notes: JsonObject, field: str
) -> tuple[str | None, list[Json]]:
    if "content" not in message:
        notes["no_content"] = True
        if isinstance(message.get("parts"), list):
            return _take_parts(message, notes)
        if not message.keys() & _SAYING:
            raise InvalidInputError(f"{field}.content", "is missing")
        return None, []
    content = message.pop("content")
    if content is None or isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        raise InvalidInputError(
            f"{field}.content", f"must be text, null or a list, not {kind_of(content)}"
        )
    notes["content_parts"] = len(content)
    return parts_text(content) or None, list(content)


def _take_parts(
    message: JsonObject, notes: JsonObject
) -> tuple[str | None, list[Json]]:
    """The content of a message that has `parts`: texts, or objects with a text and no
    type, as two vendors write them, become parts as all others read them."""
    given = message.pop("parts")
    notes["parts"] = kinds = [_part_kind(part) for part in given]
    notes["content_parts"] = len(given)
    parts = [
        {"type": "text", "text": part}
        if kind == "text"
        else {"type": "text", **part}
        if kind == "untyped"
        else part
        for part, kind in zip(given, kinds, strict=True)
    ]
    return parts_text(parts) or None, parts


def _part_kind(part: Json) -> str:
    if isinstance(part, str):
        return "text"
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return "typed" if "type" in part else "untyped"
    return "typed"


def _take_calls(message: JsonObject, notes: JsonObject, field: str) -> list[Json]:
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        del message["tool_calls"]
        for place, call in enumerate(calls):
            need_object(f"{field}.tool_calls[{place}]", call)
        return list(calls)
    call = message.get("function_call")
    if isinstance(call, dict):
        # The API's first form: one call, no id, answered by a `function` message.
        notes["function_call"] = True
        return [{"type": "function", "function": message.pop("function_call")}]
    return []


def _take_thoughts(message: JsonObject, notes: JsonObject) -> list[Json]:
    for key in _THOUGHTS:
        if isinstance(message.get(key), str) and message[key]:
            notes["thoughts"] = key
            return [{"type": "reasoning", "text": message.pop(key)}]
    return []
