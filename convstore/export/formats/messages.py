"""A stored turn as a training message, or the reason why it cannot be one.

The shape is the one that open chat templates accept: text content, absent keys left
out, tool arguments as objects, both `tool_call_id` and `name` on tool results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from convstore.export.example import Dropped, Message
from convstore.export.formats.pictures import IMAGE_PARTS, IMAGES, image_of
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.records import Json, JsonObject, Turn

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
_TEXT = frozenset({"text", "input_text", "output_text"})
_CALLS = frozenset({"function", "function_call", "tool_call", "tool_use"})
_RESULTS = frozenset({"function_call_output", "tool_result"})
_THOUGHTS = frozenset({"reasoning", "thinking"})
_REASONING = "reasoning_content"


def message_of(turn: Turn, *, resolved_question: bool = False) -> Message | Dropped:
    """The turn as a message.

    `resolved_question` puts the resolved question in place of the words of a user.
    Images of a user are kept beside the text, under `images`. Audio and parts of
    unknown type cannot be told: `Dropped`.
    """
    role = ROLES.get(turn.role)
    if role is None:
        return Dropped("unknown-role")
    content = turn.content or ""
    if resolved_question and role == "user" and turn.resolved_question:
        content = turn.resolved_question
    message: Message = {"role": role, "content": content}
    if turn.parts:
        problem = _read_parts(message, turn.parts)
        if problem is not None:
            return problem
    if role == "tool":
        if turn.tool_call_id is not None:
            message["tool_call_id"] = turn.tool_call_id
        if turn.name is not None:
            message["name"] = turn.name
    return message


def only_text(turn: Turn) -> bool:
    """Whether the parts of a turn hold nothing but text, and thoughts before it."""
    kinds = (part.get("type") for part in turn.parts or () if isinstance(part, dict))
    return all(kind in _TEXT or kind in _THOUGHTS for kind in kinds)


def text_chars(messages: Sequence[Message]) -> int:
    """Characters of text in the messages; tool calls are not counted."""
    chars = 0
    for message in messages:  # a third of the time of sum() over a generator
        chars += len(message["content"])
    return chars


class Shape(NamedTuple):
    """What messages must be followed by, as far as they have come.

    Attributes:
        fault: Where and why chat templates would refuse or distort them, if at all.
        length: How many messages; of those with a fault, how many were looked at.
        role: The role of the last one.
        called: The ids of the calls so far; None if nothing was called.
    """

    fault: tuple[int, str] | None = None
    length: int = 0
    role: str = ""
    called: frozenset[str] | None = None


NO_MESSAGES = Shape()


def followed(shape: Shape, message: Message) -> Shape:
    """The shape of the messages with one more.

    The strict profile: system only first, users and assistants in turn, each tool
    result after a call that has its id, no message without content.
    """
    if shape.fault is not None:
        return shape
    role, calls, called = message["role"], message.get("tool_calls"), shape.called
    problem = _misplaced(shape, role, message)
    if problem is None and role != "tool" and not calls:
        said = message["content"].strip() or IMAGES in message
        problem = None if said else "empty-turn"
    if problem is not None:
        return shape._replace(fault=(shape.length, problem))
    if calls:
        ids = (call["id"] for call in calls if "id" in call)
        called = (called or frozenset()).union(ids)
    return Shape(None, shape.length + 1, role, called)


def _misplaced(shape: Shape, role: str, message: Message) -> str | None:
    if role == "system":
        return "system-in-the-middle" if shape.length else None
    if role == "tool":
        call_id = message.get("tool_call_id")
        called = shape.called
        known = called is not None and (call_id is None or call_id in called)
        return None if known else "result-without-call"
    if role == shape.role:
        return f"two-{role}-turns"
    if role == "assistant" and shape.role in ("", "system"):
        return "starts-with-assistant"
    return None


def has_calls(messages: Sequence[Message]) -> bool:
    """Whether any message calls a tool."""
    for message in messages:  # noqa: SIM110 - a third of the time of any()
        if "tool_calls" in message:
            return True
    return False


def _read_parts(message: Message, parts: list[Json]) -> Dropped | None:
    texts: list[str] = []
    found: dict[str, list[Json]] = {IMAGES: [], "tool_calls": [], _REASONING: []}
    for part in parts:
        told = _told_part(part, message["role"])
        if isinstance(told, Dropped):
            return told
        if isinstance(told, str):
            texts.append(told)
        elif told[1]:
            found[told[0]].append(told[1])
    if texts and not message["content"]:
        message["content"] = "".join(texts)
    message.update({key: values for key, values in found.items() if values})
    if _REASONING in message:
        message[_REASONING] = "\n".join(message[_REASONING])
    return None


def _told_part(part: Json, role: str) -> str | tuple[str, Json] | Dropped:
    """The text of a part, or the key of the message that it goes to, with its value."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _THOUGHTS:
        return _REASONING, _first_text(part, "text", "thinking", "reasoning")
    if kind in _CALLS or (kind in IMAGE_PARTS and role == "user"):
        told = _call(part) if kind in _CALLS else image_of(part)
        key = "tool_calls" if kind in _CALLS else IMAGES
        return told if isinstance(told, Dropped) else (key, told)
    text = _text(kind, part, role)
    return Dropped("not-text") if text is None else text


def _text(kind: Json, part: Json, role: str) -> str | None:
    """What a part says, if it is text, or the result of a tool."""
    if kind in _TEXT and isinstance(part.get("text"), str):
        said: str = part["text"]
        return said
    if kind in _RESULTS and role == "tool":
        return _first_text(part, "output", "content") or ""
    return None


def _call(part: JsonObject) -> JsonObject | Dropped:
    inner = part.get("function")
    source = inner if isinstance(inner, dict) else part
    name = source.get("name")
    arguments = source.get("arguments", source.get("input", source.get("args", {})))
    if isinstance(arguments, str):
        try:
            arguments = decode_json(arguments) if arguments.strip() else {}
        except CorruptionError:
            return Dropped("call-arguments-not-json")
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return Dropped("call-malformed")
    call: JsonObject = {}
    call_id = part.get("call_id") or part.get("id")
    if isinstance(call_id, str):
        call["id"] = call_id
    call["type"] = "function"
    call["function"] = {"name": name, "arguments": arguments}
    return call


def _first_text(part: JsonObject, *keys: str) -> str | None:
    return next((part[key] for key in keys if isinstance(part.get(key), str)), None)
