"""Turns as chat messages of LlamaIndex, in their JSON form, and the other way. Pure.

A message is one turn. The other way neighbouring turns of an assistant that others
wrote are one message, and each result of a tool is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from convstore.messages.media import Media, media_of
from convstore.messages.message import (
    Message,
    Said,
    blocks_of,
    says_only_text,
    speaks,
    told_by,
)
from convstore.messages.neutral import (
    plain_id,
    plain_parts,
    plain_text,
    stored_json,
)
from convstore.messages.own import Group, grouped_by_own, own_of, with_own
from convstore.messages.parts import ROLES, Call, Result, objects_in
from convstore.vocabulary.records import Json, JsonObject, Turn, TurnInput

FORMAT: Final = "llama-index"
"""Of the payloads: JSON text of a message, or of an empty object where the turn's
columns say all of it."""

_ROLES = {"chatbot": "assistant", "model": "assistant", "function": "tool"}
_ROLE_WORDS = {*_ROLES, "system", "developer", "user", "assistant", "tool"}
# Inline data beyond this stands in the payload alone: twice it would not fit a turn.
_MOST_INLINE = 1 << 20
_MEDIA = {
    # The block, its data, its type, and what a part of it is called.
    "image": ("image", "image_mimetype", "image"),
    "audio": ("audio", "format", "audio"),
    "video": ("video", "video_mimetype", "file"),
    "document": ("data", "document_mimetype", "file"),
}


def turn_of(message: Mapping[str, Json]) -> TurnInput:
    """The neutral side of a message: never refused."""
    more = message.get("additional_kwargs")
    more = more if isinstance(more, dict) else {}
    parts = [
        part for block in objects_in(message.get("blocks")) if (part := _part(block))
    ]
    if not any(part["type"] == "function" for part in parts):
        parts += [
            call for old in objects_in(more.get("tool_calls")) if (call := _old(old))
        ]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    kinds = [part["type"] for part in parts if part["type"] != "reasoning"]
    if len(texts) == len(kinds) or (len(texts) == 1 and kinds[0] == "text"):
        parts = [part for part in parts if part["type"] != "text"]
    role = str(message.get("role"))
    role = _ROLES.get(role, role)
    is_tool = role == "tool"
    return TurnInput(
        role,
        "\n".join(texts) if texts or is_tool else None,
        parts=plain_parts(parts),
        name=plain_id(more.get("name")) if is_tool else None,
        tool_call_id=plain_id(more.get("tool_call_id")) if is_tool else None,
    )


def kept(turn: TurnInput, message: JsonObject | None) -> TurnInput:
    """See `with_own`."""
    return with_own(turn, message, FORMAT)


def grouped(turns: Iterable[Turn]) -> list[Group]:
    """See `grouped_by_own`."""
    return grouped_by_own(turns, _is_own, _messages)


def _is_own(turn: Turn) -> bool:
    return own_of(turn, FORMAT, _is_message) is not None


def _is_message(value: JsonObject) -> bool:
    """Whether an object has the form of a message that was dumped."""
    role, blocks = value.get("role"), value.get("blocks")
    if not isinstance(role, str) or role not in _ROLE_WORDS:
        return False
    return isinstance(blocks, list) and all(
        isinstance(block, dict) and isinstance(block.get("block_type"), str)
        for block in blocks
    )


def message_of(turn: Turn) -> JsonObject | None:
    """The one message that a neutral turn is; None where it is none, or several."""
    told = _messages([turn])
    return told[0] if len(told) == 1 else None


def _messages(turns: Sequence[Turn]) -> list[JsonObject]:
    first = turns[0]
    if own := own_of(first, FORMAT, _is_message):
        return [own]
    if len(turns) == 1 and says_only_text(first):
        return [_message(first.role, [_text(first.content or "")])]
    said = [block for turn in turns for block in blocks_of(turn)]
    role = ROLES.get(first.role)
    if role is None:
        return []
    if all(speaks(turn) for turn in turns):
        blocks = [found for block in said if (found := _block(block))]
        return [_message("assistant", blocks)] if blocks else []
    return [
        message
        for turn in turns
        for told in told_by(turn, role)
        for message in _told(turn, told)
    ]


def _told(turn: Turn, told: Message) -> list[JsonObject]:
    blocks = [block for block, _ in told.blocks]
    if told.role != "tool":
        role = "developer" if told.given == "developer" else told.role
        found = [part for block in blocks if (part := _block(block))]
        return [_message(role, found)] if found else []
    messages = []
    for block in blocks:
        if not isinstance(block, Result):
            continue
        more = {}
        if block.call_id:
            more["tool_call_id"] = block.call_id
        if turn.name:
            more["name"] = turn.name
        messages.append(_message("tool", [_text(_result(block.content))], more))
    return messages


def _message(
    role: str, blocks: list[JsonObject], more: JsonObject | None = None
) -> JsonObject:
    return {"role": role, "additional_kwargs": more or {}, "blocks": blocks}


# From the framework


def _part(block: Mapping[str, Json]) -> JsonObject | None:
    """A block as a part of a turn."""
    kind = block.get("block_type")
    if kind == "text" and isinstance(block.get("text"), str):
        return {"type": "text", "text": plain_text(block["text"])}
    if kind == "thinking" and isinstance(block.get("content"), str):
        thought = plain_text(block["content"])
        return {"type": "reasoning", "text": thought} if thought else None
    if kind == "tool_call":
        given = block.get("tool_kwargs")
        text = given if isinstance(given, str) else stored_json(given)
        return _call(block.get("tool_call_id"), block.get("tool_name"), text)
    if kind in ("citable", "citation"):
        within = block.get("content", block.get("cited_content"))
        inner = within if isinstance(within, list) else [within]
        told = [part for each in objects_in(inner) if (part := _part(each))]
        texts = [part["text"] for part in told if part["type"] == "text"]
        return {"type": "text", "text": "\n".join(texts)} if texts else None
    return _media(kind, block) if kind in _MEDIA else None


def _old(call: Mapping[str, Json]) -> JsonObject | None:
    """A call as OpenAI's client has it, which older releases keep beside the blocks."""
    function = call.get("function")
    if not isinstance(function, dict):
        return None
    given = function.get("arguments")
    text = given if isinstance(given, str) else stored_json(given)
    return _call(call.get("id"), function.get("name"), text)


def _call(call_id: Json, name: Json, arguments: str) -> JsonObject:
    told = plain_text(name) if isinstance(name, str) else ""
    function = {"name": told, "arguments": plain_text(arguments)}
    return {"id": plain_id(call_id) or "", "type": "function", "function": function}


def _media(kind: str, block: Mapping[str, Json]) -> JsonObject | None:
    data_key, type_key, name = _MEDIA[kind]
    data, url, given = block.get(data_key), block.get("url"), block.get(type_key)
    media_type = given if isinstance(given, str) and given else kind
    if "/" not in media_type:
        media_type = f"{kind}/{media_type}"
    if isinstance(url, str) and url:
        if kind == "image":
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": name, "file": {"url": url, "media_type": media_type}}
    if not isinstance(data, str):
        return None
    source = {"type": "base64", "media_type": media_type}
    if len(data) <= _MOST_INLINE:
        source["data"] = data
    return {"type": name, "source": source}


# To the framework


def _block(block: object) -> JsonObject | None:
    if isinstance(block, Call):
        found = block.object()
        given: Any = block.arguments
        kwargs = given if found is None and isinstance(given, str) else found or {}
        call = {"tool_call_id": block.id, "tool_name": block.name}
        return {"block_type": "tool_call", **call, "tool_kwargs": kwargs}
    if not isinstance(block, Said):
        return None
    if block.kind == "thought":
        part = block.part if isinstance(block.part, dict) else {}
        text = block.text or str(part.get("text") or "")
        return {"block_type": "thinking", "content": text} if text else None
    if block.kind in ("text", "refusal"):
        return _text(block.text) if block.text else None
    media = media_of(block.part) if isinstance(block.part, dict) else ""
    if not isinstance(media, Media) or block.kind not in ("image", "file"):
        return None
    if media.text:
        return _text(media.text)
    data_key, type_key, _ = _MEDIA["image" if block.kind == "image" else "document"]
    kind = "image" if block.kind == "image" else "document"
    given = {"url": media.url} if media.url else {data_key: media.data}
    if not (media.url or media.data):
        return None
    known = {type_key: media.media_type} if media.media_type else {}
    return {"block_type": kind, **given, **known}


def _text(text: str) -> JsonObject:
    return {"block_type": "text", "text": text}


def _result(content: Json) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            part["text"]
            for part in objects_in(content)
            if isinstance(part.get("text"), str)
        )
    return stored_json(content)
