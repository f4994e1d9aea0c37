"""Turns as messages of LangChain, in their JSON form, and the other way. Pure.

The form is that of `message_to_dict`: `{"type": …, "data": {…}}`. A message is a turn.
The other way neighbouring turns of an assistant that others wrote are one message, and
each result of a tool is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from convstore.messages.media import Media, media_of
from convstore.messages.message import Message, Said, blocks_of, speaks, told_by
from convstore.messages.neutral import (
    plain_id,
    plain_parts,
    plain_text,
    stored_count,
    stored_json,
)
from convstore.messages.own import Group, grouped_by_own, own_of, with_own
from convstore.messages.parts import ROLES, Call, Result, objects_in
from convstore.vocabulary.records import Json, JsonObject, Turn, TurnInput

FORMAT: Final = "langchain"
"""Of the payloads: JSON text of a message, or of an empty object where the turn's
columns say all of it."""

_ROLES = {"human": "user", "ai": "assistant", "function": "tool"}
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
_TEXTS = ("text", "text-plain")
_MEDIA = {"image": "image", "audio": "audio", "video": "file", "file": "file"}
# Inline data beyond this stands in the payload alone: twice it would not fit a turn.
_MOST_INLINE = 1 << 20


def turn_of(message: Mapping[str, Json]) -> TurnInput:
    """The neutral side of a message: never refused."""
    data = _object(message.get("data"))
    kind = str(message.get("type")).removesuffix("MessageChunk").lower()
    role = str(data.get("role")) if kind == "chat" else _ROLES.get(kind, kind)
    role = plain_id(role) or "chat"
    content = data.get("content")
    given = [content] if isinstance(content, str) else content
    blocks = given if isinstance(given, list) else []
    parts = [part for block in blocks if (part := _part(block))]
    more = _object(data.get("additional_kwargs"))
    if isinstance(more.get("reasoning_content"), str):
        thought = {"type": "reasoning", "text": plain_text(more["reasoning_content"])}
        parts = [thought, *parts] if thought["text"] else parts
    parts += _calls(data, more)
    texts = [part["text"] for part in parts if part["type"] == "text"]
    kinds = [part["type"] for part in parts if part["type"] != "reasoning"]
    if len(texts) == len(kinds) or (len(texts) == 1 and kinds[0] == "text"):
        parts = [part for part in parts if part["type"] != "text"]
    meta = _object(data.get("response_metadata"))
    usage = _object(data.get("usage_metadata"))
    is_own, is_tool = role == "assistant", role == "tool"
    return TurnInput(
        role,
        "".join(texts) if texts or is_tool or content == "" else None,
        parts=plain_parts(parts),
        name=plain_id(data.get("name")),
        tool_call_id=plain_id(data.get("tool_call_id")) if is_tool else None,
        model=_first_id(meta, "model_name", "model") if is_own else None,
        finish_reason=_first_id(meta, "finish_reason", "stop_reason")
        if is_own
        else None,
        tokens_in=stored_count(usage.get("input_tokens")) if is_own else None,
        tokens_out=stored_count(usage.get("output_tokens")) if is_own else None,
    )


def kept(turn: TurnInput, message: JsonObject | None) -> TurnInput:
    """See `with_own`."""
    return with_own(turn, message, FORMAT)


def grouped(turns: Iterable[Turn]) -> list[Group]:
    """See `grouped_by_own`."""
    return grouped_by_own(turns, FORMAT, _messages)


def message_of(turn: Turn) -> JsonObject | None:
    """The one message that a neutral turn is; None where it is none, or several."""
    told = _messages([turn])
    return told[0] if len(told) == 1 else None


def _messages(turns: Sequence[Turn]) -> list[JsonObject]:
    first = turns[0]
    if (own := own_of(first, FORMAT)) is not None:
        return [own]
    said = [block for turn in turns for block in blocks_of(turn)]
    role = ROLES.get(first.role)
    if role is None:
        return []
    if all(speaks(turn) for turn in turns):
        names_of = {turn.name for turn in turns}
        name = first.name if len(names_of) == 1 else None
        return _answer(said, name, any(turn.content is not None for turn in turns))
    return [
        message
        for turn in turns
        for told in told_by(turn, role)
        for message in _told(turn, told)
    ]


def _told(turn: Turn, told: Message) -> list[JsonObject]:
    blocks = [block for block, _ in told.blocks]
    if told.role == "tool":
        return [
            _message(
                "tool",
                _result(block.content),
                name=turn.name,
                tool_call_id=block.call_id or f"turn-{turn.seq}",
                status="error" if block.is_error else "success",
            )
            for block in blocks
            if isinstance(block, Result)
        ]
    found = [piece for block in blocks if (piece := _piece(block))]
    if not found and turn.content is None:
        return []
    return [_message(_TYPES[told.role], _content(found), name=turn.name)]


def _answer(said: Sequence[object], name: str | None, spoken: bool) -> list[JsonObject]:
    """A message of the assistant: text, thoughts, calls."""
    found = [piece for block in said if (piece := _piece(block))]
    calls, invalid = [], []
    for block in said:
        if isinstance(block, Call):
            args = block.object()
            told = {"name": block.name, "id": block.id}
            if args is None:
                given = block.arguments
                text = given if isinstance(given, str) else stored_json(given)
                wrong = {"args": text, "error": None, "type": "invalid_tool_call"}
                invalid.append({**told, **wrong})
            else:
                calls.append({**told, "args": args, "type": "tool_call"})
    if not (found or calls or invalid or spoken):
        return []
    more = {"tool_calls": calls, "invalid_tool_calls": invalid}
    return [_message("ai", _content(found), name=name, **more)]


def _message(kind: str, content: Json, **more: Json) -> JsonObject:
    return {"type": kind, "data": {"content": content, "type": kind, **more}}


def _content(pieces: list[JsonObject]) -> Json:
    if all(piece["type"] == "text" for piece in pieces):
        return "".join(piece["text"] for piece in pieces)
    return pieces


# From the framework


def _part(block: Json) -> JsonObject | None:
    """A block of content as a part of a turn; calls stand beside the content."""
    if isinstance(block, str):
        return {"type": "text", "text": plain_text(block)}
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(kind, str):
        return None
    if kind in _TEXTS:
        said = block.get("text")
        return _part(said) if isinstance(said, str) else None
    if kind in ("thinking", "reasoning"):
        told = block.get("thinking") or block.get("reasoning") or block.get("text")
        thought = plain_text(told) if isinstance(told, str) else ""
        return {"type": "reasoning", "text": thought} if thought else None
    if kind == "image_url":
        return {"type": kind, kind: block.get(kind)}
    return _media(kind, block) if kind in _MEDIA else None


def _media(kind: str, block: JsonObject) -> JsonObject | None:
    source = _object(block.get("source"))
    url = block.get("url") or source.get("url")
    data = block.get("base64") or block.get("data") or source.get("data")
    given = block.get("mime_type") or source.get("media_type")
    media_type = given if isinstance(given, str) else f"{kind}/*"
    if isinstance(url, str) and url:
        if kind == "image":
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": _MEDIA[kind], "file": {"url": url, "media_type": media_type}}
    if not isinstance(data, str):
        return None
    told = {"type": "base64", "media_type": media_type}
    if len(data) <= _MOST_INLINE:
        told["data"] = data
    return {"type": _MEDIA[kind], "source": told}


def _calls(data: JsonObject, more: JsonObject) -> list[JsonObject]:
    calls = [
        _call(call.get("id"), call.get("name"), call.get("args"))
        for key in ("tool_calls", "invalid_tool_calls")
        for call in objects_in(data.get(key))
    ]
    if calls:
        return calls
    # Older messages have them as OpenAI's API had.
    old = objects_in(more.get("tool_calls"))
    if isinstance(more.get("function_call"), dict):
        old.append({"function": more["function_call"]})
    return [
        _call(call.get("id"), function.get("name"), function.get("arguments"))
        for call in old
        if (function := _object(call.get("function")))
    ]


def _call(call_id: Json, name: Json, given: Json) -> JsonObject:
    text = given if isinstance(given, str) else stored_json(given)
    told = plain_text(name) if isinstance(name, str) else ""
    function = {"name": told, "arguments": plain_text(text)}
    return {"id": plain_id(call_id) or "", "type": "function", "function": function}


# To the framework


def _piece(block: object) -> JsonObject | None:
    """What is said or shown, as a block of content."""
    if not isinstance(block, Said):
        return None
    if block.kind in ("text", "refusal"):
        return {"type": "text", "text": block.text}
    part = block.part if isinstance(block.part, dict) else {}
    if block.kind == "thought":
        text = block.text or str(part.get("text") or "")
        return {"type": "reasoning", "reasoning": text} if text else None
    media = media_of(part) if block.kind in ("image", "file") else ""
    if not isinstance(media, Media):
        return None
    if media.text:
        return {"type": "text", "text": media.text}
    known = {"mime_type": media.media_type} if media.media_type else {}
    if media.data:
        return {"type": block.kind, "base64": media.data, **known}
    return {"type": block.kind, "url": media.url, **known} if media.url else None


def _result(content: Json) -> Json:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in objects_in(content)]
        if len(texts) == len(content) and all(isinstance(t, str) for t in texts):
            return "".join(text for text in texts if text)
    return stored_json(content)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _first_id(given: JsonObject, *keys: str) -> str | None:
    return next((found for key in keys if (found := plain_id(given.get(key)))), None)
