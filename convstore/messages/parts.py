"""What a part of a turn is, whichever client's shape it has. Pure.

A turn keeps the parts that a framework gave, verbatim. Whoever needs to know whether
one is text, a thought, a call, a result or a picture asks here.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Json, JsonObject, Turn

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
ROLES: dict[str, Role] = {
    "ai": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "developer": "system",
    "function": "tool",
    "function_call": "assistant",
    "gpt": "assistant",
    "human": "user",
    "ipython": "tool",
    "model": "assistant",
    "observation": "tool",
    "prompter": "user",
    "system": "system",
    "tool": "tool",
    "tool_call": "assistant",
    "tool_response": "tool",
    "user": "user",
}
"""What the words of other tools are in ours: one of four roles. No other is known."""

RESULT_ROLES = frozenset(word for word, role in ROLES.items() if role == "tool")

Kind: TypeAlias = Literal[
    "text",
    "thought",
    "call",
    "result",
    "image",
    "audio",
    "file",
    "refusal",
    "unknown",
]
TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
CHAT_CALLS = frozenset({"function", "custom"})
"""Calls as they stand under `tool_calls` of OpenAI's chat completions."""
IMAGE_PARTS = frozenset({"image", "image_url", "input_image"})
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(TEXT_PARTS, "text"),
    **dict.fromkeys(("reasoning", "thinking", "redacted_thinking"), "thought"),
    **dict.fromkeys(CHAT_CALLS, "call"),
    **dict.fromkeys(
        ("function_call", "custom_tool_call", "tool_call", "tool_use"), "call"
    ),
    **dict.fromkeys(
        ("function_call_output", "custom_tool_call_output", "tool_result"), "result"
    ),
    **dict.fromkeys(IMAGE_PARTS, "image"),
    **dict.fromkeys(("input_audio", "audio", "output_audio"), "audio"),
    **dict.fromkeys(("file", "input_file", "document"), "file"),
    "refusal": "refusal",
}


class Call(Value, frozen=True):
    """A call of a tool.

    Attributes:
        id: None where the client gave none, or an empty one.
        arguments: As given: an object, JSON text, or what a model made of it.
        free: Whether the tool takes any text, not an object.
    """

    id: str | None
    name: str
    arguments: Json
    free: bool = False

    def object(self) -> JsonObject | None:
        """The arguments as an object; None where they are none."""
        given = self.arguments
        if isinstance(given, str):
            try:
                given = decode_json(given) if given.strip() else {}
            except CorruptionError:
                return None
        return given if isinstance(given, dict) else None


class Result(Value, frozen=True):
    """What a tool gave back; `content` is text, parts, or any JSON."""

    call_id: str | None
    content: Json
    is_error: bool = False


def kind_of(part: Json) -> Kind:
    """What a part is. Bare text is text, an object with a `function` is a call."""
    if isinstance(part, str):
        return "text"
    if not isinstance(part, dict):
        return "unknown"
    kind: Any = part.get("type")
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is not None:
        return known
    if isinstance(part.get("function"), dict):
        return "call"
    return "text" if kind is None and isinstance(part.get("text"), str) else "unknown"


def text_of(part: Json) -> str | None:
    """What a part of kind `text` or `refusal` says; None where it says nothing."""
    if isinstance(part, str):
        return part
    kind = kind_of(part)
    said = part.get(kind) if kind in ("text", "refusal") else None
    return said if isinstance(said, str) else None


def thought_of(part: JsonObject) -> str | None:
    """What a part of kind `thought` says: text of its own, or of its summary."""
    said = first_text(part, "text", "thinking", "reasoning")
    if said is not None:
        return said
    for key in ("summary", "content"):
        items = part.get(key)
        texts = [
            item["text"]
            for item in (items if isinstance(items, list) else ())
            if isinstance(item, dict) and isinstance(item.get("text"), str)
        ]
        if texts:
            return "\n".join(texts)
    return None


def call_of(part: JsonObject) -> Call:
    """A part of kind `call`, of either of OpenAI's APIs, Anthropic's or LangChain's."""
    source: Json = part.get("function") or part.get("custom")
    source = source if isinstance(source, dict) else part
    name = source.get("name")
    keys = ("arguments", "input", "args")
    arguments: Json = next((source[key] for key in keys if key in source), {})
    # The Responses API has both; results name `call_id`.
    call_id = first_text(part, "call_id", "id")
    name = name if isinstance(name, str) else ""
    free = part.get("type") in ("custom", "custom_tool_call")
    return Call(call_id or None, name, arguments, free)


def result_of(part: JsonObject) -> Result:
    """A part of kind `result`."""
    call_id = first_text(part, "tool_use_id", "call_id", "tool_call_id")
    content = part.get("output", part.get("content"))
    return Result(call_id or None, content, part.get("is_error") is True)


def first_text(part: JsonObject, *keys: str) -> str | None:
    """The first of `keys` that holds text."""
    return next((part[key] for key in keys if isinstance(part.get(key), str)), None)


def parts_text(parts: Json) -> str:
    """The text parts of a list, put together; empty where there are none."""
    texts = (
        text_of(part)
        for part in (parts if isinstance(parts, list) else ())
        if kind_of(part) == "text"
    )
    return "".join(text for text in texts if text)


def is_result(turn: Turn) -> bool:
    """Whether a turn is what a tool gave back."""
    if turn.tool_call_id is not None or turn.role in RESULT_ROLES:
        return True
    return any(kind_of(part) == "result" for part in turn.parts or ())


def objects_in(value: Json) -> list[JsonObject]:
    """The objects of a list; none where it is no list."""
    given = value if isinstance(value, list | tuple) else ()
    return [each for each in given if isinstance(each, dict)]
