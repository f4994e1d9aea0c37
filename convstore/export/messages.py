"""A stored turn as a training message, or the reason why it cannot be one.

The shape is the one that open chat templates accept: text content, absent keys left
out, tool arguments as objects, both `tool_call_id` and `name` on tool results.
"""

from __future__ import annotations

from collections.abc import Sequence

from convstore.codec import decode_json
from convstore.errors import CorruptionError
from convstore.export.pictures import IMAGE_PARTS, IMAGES, image_of
from convstore.export.rows import Dropped, Message
from convstore.records import Json, JsonObject, Turn

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


def text_chars(messages: Sequence[Message]) -> int:
    """Characters of text in the messages; tool calls are not counted."""
    return sum(len(message["content"]) for message in messages)


def shape_fault(messages: Sequence[Message]) -> tuple[int, str] | None:
    """Where and why chat templates would refuse or distort these messages, if at all.

    The strict profile: system only first, users and assistants in turn, each tool
    result after a call that has its id, no message without content.
    """
    previous = ""
    called: set[str] = set()
    saw_call = False
    for index, message in enumerate(messages):
        role = message["role"]
        calls = message.get("tool_calls")
        if role == "system":
            if index:
                return index, "system-in-the-middle"
        elif role == "tool":
            call_id = message.get("tool_call_id")
            if not saw_call or (call_id is not None and call_id not in called):
                return index, "result-without-call"
        elif role == previous:
            return index, f"two-{role}-turns"
        elif role == "assistant" and previous in ("", "system"):
            return index, "starts-with-assistant"
        empty = not message["content"].strip() and IMAGES not in message
        if role != "tool" and not calls and empty:
            return index, "empty-turn"
        if calls:
            saw_call = True
            called.update(call["id"] for call in calls if "id" in call)
        previous = role
    return None


def has_calls(messages: Sequence[Message]) -> bool:
    """Whether any message calls a tool."""
    return any("tool_calls" in message for message in messages)


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
