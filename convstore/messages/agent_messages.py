"""Turns as messages of Microsoft's Agent Framework, as JSON, and the other way. Pure.

The form is that of `Message.to_dict`. A message is a turn, and one with the results of
several calls a turn for each. The other way neighbouring turns of an assistant that
others wrote are one message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from convstore.messages.media import Media, media_of
from convstore.messages.message import Said, blocks_of, says_only_text, speaks
from convstore.messages.neutral import (
    plain_id,
    plain_parts,
    plain_text,
    stored_json,
)
from convstore.messages.own import is_count, json_of, with_payload
from convstore.messages.parts import (
    ROLES,
    Call,
    Result,
    is_result,
    objects_in,
)
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject, Turn, TurnInput

FORMAT: Final = "agent-framework"
"""Of the payloads: JSON text of an object with `message`, left out where the turn's
columns say all of it. Where it is several turns, the first one has it and, in `turns`,
how many these are; the others have their place among them, in `next`."""

_OURS = {"message", "turns", "next"}
# Inline data beyond this stands in the payload alone: twice it would not fit a turn.
_MOST_INLINE = 1 << 20


def turns_of(message: Mapping[str, Json]) -> list[TurnInput]:
    """The neutral side of a message, at least one turn: never refused."""
    contents = objects_in(message.get("contents"))
    results = [c for c in contents if c.get("type") == "function_result"]
    role = plain_id(message.get("role")) or "chat"
    name = plain_id(message.get("author_name"))
    if results and len(results) == len(contents):
        return [
            TurnInput(
                role,
                plain_text(_result(result)),
                name=name,
                tool_call_id=plain_id(result.get("call_id")),
            )
            for result in results
        ]
    parts = [part for content in contents if (part := _part(content))]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    kinds = [part["type"] for part in parts if part["type"] != "reasoning"]
    if len(texts) == len(kinds) or (len(texts) == 1 and kinds[0] == "text"):
        parts = [part for part in parts if part["type"] != "text"]
    content = "".join(texts) if texts else None
    return [TurnInput(role, content, parts=plain_parts(parts), name=name)]


def kept(turns: Sequence[TurnInput], message: JsonObject | None) -> list[TurnInput]:
    """The turns of a message with the message itself, or None where the columns of one
    say all of it. Then only an assistant's is marked, as neighbours of others are put
    together."""
    first, *others = turns
    whole: JsonObject = {} if message is None else {"message": message}
    if others:
        whole["turns"] = len(turns)
    elif message is None and first.role != "assistant":
        return [first]
    marked = [_with(turn, {"next": place}) for place, turn in enumerate(others, 1)]
    return [_with(first, whole), *marked]


def _with(turn: TurnInput, whole: JsonObject) -> TurnInput:
    # ASCII: any text that JSON can tell fits, lone surrogates too.
    text = json.dumps(whole, separators=(",", ":"))
    return with_payload(turn, text.encode(), FORMAT)


def messages_of(turns: Sequence[Turn]) -> list[JsonObject]:
    """The messages of a path, oldest first."""
    messages: list[JsonObject] = []
    at = 0
    while at < len(turns):
        end = at + 1
        whole = _kept(turns[at])
        if whole is None and speaks(turns[at]):
            while end < len(turns) and speaks(turns[end]) and not _kept(turns[end]):
                end += 1
        found = None
        if whole and _is_whole(turns, at, whole.get("turns", 1)):
            end, found = at + whole.get("turns", 1), whole.get("message")
        message = found or _message(turns[at:end])
        messages += [message] if message else []
        at = end
    return messages


def message_of(turn: Turn) -> JsonObject | None:
    """The message that a neutral turn is; None where it says nothing."""
    return _message([turn])


def _kept(turn: Turn) -> JsonObject | None:
    """What was kept with a turn of ours; None for one of another's."""
    whole = json_of(turn, FORMAT)
    if not isinstance(whole, dict) or not whole.keys() <= _OURS:
        return None
    if "message" in whole and not _is_message(whole["message"]):
        return None
    if not all(is_count(whole.get(name, 1)) for name in ("turns", "next")):
        return None
    return whole or {"turns": 1}


def _is_message(value: Json) -> bool:
    """Whether it has the form of `Message.to_dict`."""
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        return False
    contents = value.get("contents")
    return isinstance(contents, list) and all(
        isinstance(each, dict) and isinstance(each.get("type"), str)
        for each in contents
    )


def _is_whole(turns: Sequence[Turn], at: int, count: int) -> bool:
    """Whether all turns of a message are on the path, one after the other."""
    told = [_kept(turn) or {} for turn in turns[at + 1 : at + count]]
    return [whole.get("next") for whole in told] == list(range(1, count))


def _message(turns: Sequence[Turn]) -> JsonObject | None:
    first = turns[0]
    role = ROLES.get(first.role)
    if role is None:
        return None
    if len(turns) == 1 and says_only_text(first):
        contents: list[JsonObject] = [{"type": "text", "text": first.content}]
    elif is_result(first) and not any(_is_result(part) for part in first.parts or ()):
        told = _given(first.tool_call_id, first.content or "")
        contents = [told]
    else:
        blocks = [block for turn in turns for block in blocks_of(turn)]
        contents = [found for block in blocks if (found := _content(block))]
    if not contents:
        return None
    message: JsonObject = {"type": "message", "role": first.role, "contents": contents}
    if role != first.role and first.role != "developer":
        message["role"] = role
    if first.name and len({turn.name for turn in turns}) == 1:
        message["author_name"] = first.name
    return message


# From the framework


def _part(content: JsonObject) -> JsonObject | None:
    """A content as a part of a turn."""
    kind, text = content.get("type"), content.get("text")
    if kind == "text" and isinstance(text, str):
        return {"type": "text", "text": plain_text(text)}
    if kind == "text_reasoning" and isinstance(text, str):
        return {"type": "reasoning", "text": plain_text(text)} if text else None
    call_id = plain_id(content.get("call_id")) or ""
    if kind == "function_call":
        given, name = content.get("arguments"), content.get("name")
        arguments = given if isinstance(given, str) else stored_json(given)
        told = plain_text(name) if isinstance(name, str) else ""
        function = {"name": told, "arguments": plain_text(arguments)}
        return {"id": call_id, "type": "function", "function": function}
    if kind == "function_result":
        said = plain_text(_result(content))
        return {"type": "tool_result", "tool_use_id": call_id, "content": said}
    uri, given = content.get("uri"), content.get("media_type")
    if kind not in ("uri", "data") or not isinstance(uri, str):
        return None
    media_type = given if isinstance(given, str) else ""
    if kind == "data" and len(uri) > _MOST_INLINE:
        uri = ""
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": uri}}
    return {"type": "file", "file": {"url": uri, "media_type": media_type}}


def _result(content: JsonObject) -> str:
    told = content.get("result")
    if told is None:
        told = content.get("exception")
    return told if isinstance(told, str) else stored_json(told)


# To the framework


def _content(block: object) -> JsonObject | None:
    if isinstance(block, Call):
        given = block.arguments
        arguments = given if isinstance(given, str) else dumps(given).decode()
        call = {"call_id": block.id or "", "name": block.name}
        return {"type": "function_call", **call, "arguments": arguments}
    if isinstance(block, Result):
        return _given(block.call_id, block.content)
    if not isinstance(block, Said):
        return None
    part = block.part if isinstance(block.part, dict) else {}
    if block.kind == "thought":
        text = block.text or str(part.get("text") or "")
        return {"type": "text_reasoning", "text": text} if text else None
    if block.kind in ("text", "refusal"):
        return {"type": "text", "text": block.text}
    media = media_of(part) if block.kind in ("image", "file") else ""
    if not isinstance(media, Media):
        return None
    if media.text:
        return {"type": "text", "text": media.text}
    if media.data:
        uri = f"data:{media.media_type};base64,{media.data}"
        return {"type": "data", "uri": uri, "media_type": media.media_type}
    known = media.media_type or ("image/*" if block.kind == "image" else "")
    if not (media.url and known):
        return None
    return {"type": "uri", "uri": media.url, "media_type": known}


def _given(call_id: str | None, content: Json) -> JsonObject:
    if isinstance(content, list):
        texts = [part.get("text") for part in objects_in(content)]
        if all(isinstance(text, str) for text in texts):
            content = "".join(text for text in texts if text)
    text = content if isinstance(content, str) else stored_json(content)
    return {"type": "function_result", "call_id": call_id or "", "result": text}


def _is_result(part: Json) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_result"
