"""Turns as messages of LangChain, in their JSON form, and the other way. Pure.

A message is a turn. The other way neighbouring turns of an assistant are one message:
models take calls that were made at once from one message alone. The JSON form is that
of `message_to_dict`: `{"type": …, "data": …}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from convstore.messages.message import Message, Said, grouped, messages_of
from convstore.messages.neutral import plain_id, plain_parts, plain_text
from convstore.messages.parts import (
    ROLES,
    Call,
    Result,
    kind_of,
    text_of,
)
from convstore.messages.responses import OTHER_ROLE
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject, Turn, TurnInput

_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
# Blocks that say again what stands in `tool_calls`.
_CALLS = ("tool_use", "tool_call", "function_call", "tool_call_chunk")
_THOUGHTS = ("reasoning", "thinking")


class Told(NamedTuple):
    """A message that neutral turns are, and how many of them have been read by then."""

    message: JsonObject
    turns: int


def turn_of(kind: str, data: Mapping[str, Json]) -> TurnInput:
    """The neutral side of a message: never refused, whatever the message holds."""
    given = data.get("role") if kind == "chat" else kind
    role = ROLES.get(str(given), OTHER_ROLE)
    content, parts = _content(data.get("content"))
    parts += [_call(call) for call in _objects(data.get("tool_calls"))]
    parts += [_call(call) for call in _objects(data.get("invalid_tool_calls"))]
    response = _object(data.get("response_metadata"))
    usage = _object(data.get("usage_metadata"))
    spoken = role == "assistant"
    return TurnInput(
        role,
        content,
        parts=plain_parts(parts),
        name=plain_id(data.get("name")),
        tool_call_id=plain_id(data.get("tool_call_id")) if role == "tool" else None,
        model=plain_id(response.get("model_name")) if spoken else None,
        finish_reason=plain_id(response.get("finish_reason")) if spoken else None,
        tokens_in=_count(usage.get("input_tokens")),
        tokens_out=_count(usage.get("output_tokens")),
    )


def messages_of_turns(turns: Sequence[Turn]) -> list[Told]:
    """The messages that turns are which follow one another; those that say nothing are
    left out. Each has an id that stays: `turn-` and the number of its last turn."""
    told: list[Told] = []
    read = 0
    for group in grouped(turns):
        read += len(group)
        seq = group[-1].seq
        found = [
            message
            for said in messages_of(group, [])
            for message in _messages(said, group[-1])
        ]
        for number, message in enumerate(found):
            last = number + 1 == len(found)
            message["data"]["id"] = f"turn-{seq}" if last else f"turn-{seq}.{number}"
            told.append(Told(message, read if last else read - len(group)))
    return told


# From the framework


def _content(content: Json) -> tuple[str | None, list[Json]]:
    """What is said as text, and the parts where there is more."""
    if isinstance(content, str):
        return plain_text(content) if content else None, []
    blocks = content if isinstance(content, list) else []
    blocks = [b for b in blocks if not (isinstance(b, dict) and _is_call(b))]
    texts = [text_of(b) or "" for b in blocks if kind_of(b) == "text"]
    kept = [_thought(block) for block in blocks]
    kinds = [kind_of(part) for part in kept]
    text = plain_text("".join(texts)) or None
    if set(kinds) <= {"text"}:
        return text, []
    if kinds.count("text") == 1 and kinds.index("text") == kinds.count("thought"):
        kept = [part for part in kept if kind_of(part) != "text"]
    return text, kept


def _is_call(block: Mapping[str, Json]) -> bool:
    return block.get("type") in _CALLS


def _thought(block: Json) -> Json:
    if not isinstance(block, dict) or block.get("type") not in _THOUGHTS:
        return block
    told = block.get("reasoning") or block.get("thinking") or block.get("text")
    return {"type": "reasoning", "text": plain_text(str(told or ""))}


def _call(call: Mapping[str, Json]) -> JsonObject:
    args, name = call.get("args"), call.get("name")
    text = args if isinstance(args, str) else _json_text(args or {})
    return {
        "id": plain_id(call.get("id")) or "",
        "type": "function",
        "function": {
            "name": plain_text(str(name or "")),
            "arguments": plain_text(text),
        },
    }


# To the framework


def _messages(message: Message, last: Turn) -> Iterable[JsonObject]:
    blocks = [block for block, _ in message.blocks]
    if message.role == "tool":
        for block in blocks:
            if isinstance(block, Result):
                yield _result(block, message, last)
        return
    data: JsonObject = {"content": _shown(message, blocks)}
    if message.name is not None:
        data["name"] = message.name
    if message.role == "assistant":
        data |= _of_assistant(blocks, last)
        if not data["content"] and not (data.keys() - {"content", "name"}):
            return
    elif not data["content"]:
        return
    yield {"type": _TYPES[message.role], "data": data}


def _of_assistant(blocks: Sequence[Any], last: Turn) -> JsonObject:
    data: JsonObject = {}
    calls, invalid = [], []
    for block in blocks:
        if not isinstance(block, Call):
            continue
        call = {"name": block.name, "id": block.id or f"turn-{last.seq}"}
        args = block.object()
        if args is None:
            calls_it = {**call, "args": str(block.arguments), "error": None}
            invalid.append({**calls_it, "type": "invalid_tool_call"})
        else:
            calls.append({**call, "args": args, "type": "tool_call"})
    if calls:
        data["tool_calls"] = calls
    if invalid:
        data["invalid_tool_calls"] = invalid
    thoughts = [
        text
        for block in blocks
        if isinstance(block, Said)
        and block.kind == "thought"
        and (text := _told(block))
    ]
    if thoughts:
        data["additional_kwargs"] = {"reasoning_content": "\n\n".join(thoughts)}
    known = {"model_name": last.model, "finish_reason": last.finish_reason}
    response = {name: value for name, value in known.items() if value is not None}
    if response and (data or any(isinstance(block, Said) for block in blocks)):
        data["response_metadata"] = response
    return data


def _told(block: Said) -> str:
    given = block.part.get("text") if isinstance(block.part, dict) else None
    return block.text or (given if isinstance(given, str) else "")


def _shown(message: Message, blocks: Sequence[Any]) -> Json:
    """Text; or, with media, the blocks as they were given."""
    said = [b for b in blocks if isinstance(b, Said) and b.kind != "thought"]
    if all(block.kind in ("text", "refusal") for block in said):
        return message.texts()
    return [
        {"type": "text", "text": block.text}
        if block.kind in ("text", "refusal")
        else block.part
        for block in said
        if block.text or isinstance(block.part, dict)
    ]


def _result(block: Result, message: Message, last: Turn) -> JsonObject:
    content = block.content
    if not isinstance(content, str):
        given = content if isinstance(content, list) else None
        plain = given is not None and all(isinstance(b, str | dict) for b in given)
        content = given if plain else dumps(content).decode()
    call_id = block.call_id or f"turn-{last.seq}"
    data: JsonObject = {"content": content, "tool_call_id": call_id}
    if message.name is not None:
        data["name"] = message.name
    if block.is_error:
        data["status"] = "error"
    return {"type": "tool", "data": data}


def _objects(value: Json) -> list[JsonObject]:
    return [each for each in value or () if isinstance(each, dict)]


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _json_text(value: Json) -> str:
    stored = plain_parts([value])
    return dumps(stored[0]).decode() if stored else ""


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 2**63 else None
