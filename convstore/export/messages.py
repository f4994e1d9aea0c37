"""A stored turn as a training message, or the reason why it cannot be one.

The shape is the one that open chat templates accept: text content, absent keys left
out, tool arguments as objects, both `tool_call_id` and `name` on tool results.
"""

from __future__ import annotations

from collections.abc import Sequence

from convstore.codec import decode_json
from convstore.errors import CorruptionError
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


def message_of(turn: Turn, *, resolved_question: bool = False) -> Message | Dropped:
    """The turn as a message.

    `resolved_question` puts the resolved question in place of the words of a user.
    Images, audio and parts of unknown type cannot be told as text: `Dropped`.
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
        if role != "tool" and not calls and not message["content"].strip():
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
    calls: list[JsonObject] = []
    thoughts: list[str] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _TEXT and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in _CALLS:
            call = _call(part)
            if isinstance(call, Dropped):
                return call
            calls.append(call)
        elif kind in _THOUGHTS:
            thoughts.append(_first_text(part, "text", "thinking", "reasoning") or "")
        elif kind in _RESULTS and message["role"] == "tool":
            texts.append(_first_text(part, "output", "content") or "")
        else:
            return Dropped("not-text")
    if texts and not message["content"]:
        message["content"] = "".join(texts)
    if calls:
        message["tool_calls"] = calls
    if any(thoughts):
        message["reasoning_content"] = "\n".join(t for t in thoughts if t)
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
