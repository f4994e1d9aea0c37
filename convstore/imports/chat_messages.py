"""Messages of chat completions as steps, for formats with trees and ids. Pure."""

from __future__ import annotations

from convstore.imports.chat import role_of
from convstore.imports.fields import first_time, text_or_none
from convstore.imports.openai_items import add_content
from convstore.imports.pieces import call_part, text_part, thought_part
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.records import Json, JsonObject

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_READ = frozenset(
    ("role", "content", "tool_calls", "function_call", "tool_call_id", "name", "model",
     "id", "finish_reason", *_THOUGHTS)
)  # fmt: skip


def said_of_chat(talk: Talk, message: JsonObject, message_id: str) -> Said:
    """The step of a message with `role` and `content`; what has no place is metadata.

    Raises:
        InvalidInputError: It has no role.
    """
    role, _ = role_of("message.role", message.get("role"))
    said = Said(message_id, role, at=first_time(message))
    for key in _THOUGHTS:
        if text_or_none(message.get(key)):
            said.parts.append(thought_part(message[key]))
            break
    content = message.get("content")
    if isinstance(content, str):
        said.parts.append(text_part(content))
    elif isinstance(content, list):
        for part in content:
            add_content(talk, said, part)
    calls = message.get("tool_calls")
    calls = list(calls) if isinstance(calls, list) else []
    if isinstance(message.get("function_call"), dict):
        calls.append({"function": message["function_call"]})
    for call in calls:
        _call(said, call)
    merge_text(said)
    said.tool_call_id = text_or_none(message.get("tool_call_id"))
    said.name = text_or_none(message.get("name"))
    said.model = text_or_none(message.get("model"))
    said.finish_reason = text_or_none(message.get("finish_reason"))
    said.metadata = {
        k: v for k, v in message.items() if k not in _READ and v is not None
    }
    talk.source([said], message)
    return said


def _call(said: Said, call: Json) -> None:
    if not isinstance(call, dict):
        return
    function = call.get("function")
    source = function if isinstance(function, dict) else call
    name, call_id = str(source.get("name") or ""), text_or_none(call.get("id"))
    arguments = source.get("arguments", source.get("args", source.get("input")))
    said.parts.append(call_part(call_id, name, arguments))
