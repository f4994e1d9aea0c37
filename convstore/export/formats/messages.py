"""A stored turn as training messages, or the reason why it cannot be told.

The shape is the one that open chat templates accept: text content, absent keys left
out, tool arguments as objects, both `tool_call_id` and `name` on tool results.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from convstore.export.example import Dropped, Message
from convstore.export.formats.pictures import IMAGES, image_of
from convstore.messages.message import Block, LeftOut, told_by
from convstore.messages.message import Message as Told
from convstore.messages.parts import (
    ROLES,
    Call,
    Result,
    Role,
    kind_of,
    text_of,
    thought_of,
)
from convstore.messages.results import result_text
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.records import Json, JsonObject, Turn

_CALLS, _REASONING = "tool_calls", "reasoning_content"
Messages = tuple[Message, ...]


def messages_of(turn: Turn, *, resolved_question: bool = False) -> Messages | Dropped:
    """The turn as messages: one, but for turns that hold results beside words.

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
    if not turn.parts:
        message: Message = {"role": role, "content": content}
        if role == "tool":
            _name(message, turn, turn.tool_call_id)
        return (message,)
    found: list[Message] = []
    told = list(told_by(replace(turn, content=content, resolved_question=None), role))
    for one in told:
        # Of a turn that speaks in several roles each part says its own.
        problem = _read(found, one, turn, content if len(told) == 1 else "")
        if problem is not None:
            return problem
    return tuple(found)


def more_of(message: Message, more: Message) -> Message:
    """An assistant's message with what its next turn adds: text as a paragraph."""
    said = [one["content"] for one in (message, more) if one["content"]]
    joined: Message = {"role": "assistant", "content": "\n\n".join(said)}
    for key in (_CALLS, _REASONING):
        values = [one[key] for one in (message, more) if key in one]
        if values and key == _CALLS:
            joined[key] = [call for calls in values for call in calls]
        elif values:
            joined[key] = "\n".join(values)
    return joined


def only_text(turn: Turn) -> bool:
    """Whether the parts of a turn hold nothing but text, and thoughts before it."""
    return all(kind_of(part) in ("text", "thought") for part in turn.parts or ())


def text_chars(messages: Sequence[Message]) -> int:
    """Characters of text in the messages; tool calls are not counted."""
    chars = 0
    for message in messages:  # a third of the time of sum() over a generator
        chars += len(message["content"])
    return chars


def has_calls(messages: Sequence[Message]) -> bool:
    """Whether any message calls a tool."""
    for message in messages:  # noqa: SIM110 - a third of the time of any()
        if "tool_calls" in message:
            return True
    return False


def _read(found: list[Message], told: Told, turn: Turn, content: str) -> Dropped | None:
    """Put one message of a turn behind those found, or say why it cannot be told."""
    results = [block for block, _ in told.blocks if isinstance(block, Result)]
    for result in results:
        untold: list[LeftOut] = []
        text = result_text(result, turn.seq, untold)
        if untold:
            return Dropped("not-text")
        message: Message = {"role": "tool", "content": text}
        if content and len(results) == 1:
            message["content"] = content
        _name(message, turn, result.call_id)
        found.append(message)
    if results:
        return None
    texts: list[str] = []
    beside: JsonObject = {IMAGES: [], _CALLS: [], _REASONING: []}
    for block, _ in told.blocks:
        read = _told(block, told.role)
        if isinstance(read, Dropped):
            return read
        if isinstance(read, str):
            texts.append(read)
        elif read[1]:
            beside[read[0]].append(read[1])
    message = {"role": told.role, "content": content or "".join(texts)}
    message.update({key: values for key, values in beside.items() if values})
    if _REASONING in message:
        message[_REASONING] = "\n".join(message[_REASONING])
    found.append(message)
    return None


def _told(block: Block, role: Role) -> str | tuple[str, Json] | Dropped:
    """The text of a block, or the key that its value goes to in the message."""
    if isinstance(block, Call):
        call = _call(block)
        return call if isinstance(call, Dropped) else (_CALLS, call)
    if isinstance(block, Result):
        return Dropped("not-text")
    if block.kind == "thought":
        return _REASONING, thought_of(block.part)
    if block.kind == "image" and role == "user":
        image = image_of(block.part)
        return image if isinstance(image, Dropped) else (IMAGES, image)
    part = block.part
    if block.kind == "refusal" or (block.kind == "text" and text_of(part) is not None):
        return block.text
    return block.text if part is None else Dropped("not-text")


def _call(call: Call) -> JsonObject | Dropped:
    if call.free:
        return Dropped("call-malformed")
    if isinstance(call.arguments, str) and not _is_json(call.arguments):
        return Dropped("call-arguments-not-json")
    arguments = call.object()
    if not call.name or arguments is None:
        return Dropped("call-malformed")
    told: JsonObject = {"id": call.id} if call.id is not None else {}
    function = {"name": call.name, "arguments": arguments}
    return {**told, "type": "function", "function": function}


def _is_json(text: str) -> bool:
    try:
        decode_json(text or "{}")
    except CorruptionError:
        return not text.strip()
    return True


def _name(message: Message, turn: Turn, call_id: str | None) -> None:
    if call_id is not None:
        message["tool_call_id"] = call_id
    if turn.name is not None:
        message["name"] = turn.name
