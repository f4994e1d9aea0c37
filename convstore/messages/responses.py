"""Turns as items of OpenAI's Responses API, one by one, and items as turns. Pure.

An item is the finest thing that the API knows: a message, a thought, a call, a result.
Each becomes one turn. The other way a turn of another framework may be several items:
a text and two calls in one message are three.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from convstore.messages.media import Media, media_of
from convstore.messages.message import Block, Message, Said, says_only_text, told_by
from convstore.messages.neutral import (
    plain_id,
    plain_parts,
    plain_text,
    stored_json,
)
from convstore.messages.parts import (
    ROLES,
    Call,
    Result,
    kind_of,
    text_of,
    thought_of,
)
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject, Turn, TurnInput

OTHER_ROLE: Final = "item"
"""Of an item that is nobody's word: it is in the history, and in no message."""

_FREE = "custom_tool_call"
_CALLS = {"function_call": "arguments", _FREE: "input"}
RESULT_TYPES: Final = ("function_call_output", "custom_tool_call_output")
_AS_GIVEN = ("user", "assistant", "system", "developer")


def turn_of(item: Mapping[str, Json]) -> TurnInput:
    """The neutral side of an item: never refused, whatever the item holds.

    A message keeps its role, its text as content, and its parts where they are more
    than text. A call becomes a part of type `function`, a thought one of type
    `reasoning`, a result a turn of role `tool`. Calls that OpenAI carries out itself
    are empty turns of the assistant; what else there is has the role `item`.
    """
    kind, role = item.get("type"), item.get("role")
    if not isinstance(kind, str | None):
        return TurnInput(OTHER_ROLE)
    if kind in _CALLS:
        return TurnInput("assistant", parts=plain_parts([_call(item, _CALLS[kind])]))
    if kind in RESULT_TYPES:
        return _result(item)
    if kind == "reasoning":
        thought = plain_text(thought_of(dict(item)) or "")
        part = {"type": "reasoning", "text": thought}
        return TurnInput("assistant", parts=[part] if thought else None)
    if kind in (None, "message") and isinstance(role, str) and role in ROLES:
        return _message(role, item.get("content"))
    is_call = kind is not None and kind.endswith("_call")
    return TurnInput("assistant" if is_call else OTHER_ROLE)


def items_of(turn: Turn) -> list[JsonObject]:
    """The items that the neutral side of a turn is; none where it says nothing.

    Thoughts are left out: the API takes only its own, by their ids. So are media that
    were not stored, and turns of a role that is none of the words of `ROLES`.
    """
    if says_only_text(turn):
        return [{"role": turn.role, "content": turn.content}]
    role = ROLES.get(turn.role)
    if role is None:
        return []
    items: list[JsonObject] = []
    for message in told_by(turn, role):
        blocks = [block for block, _ in message.blocks]
        if message.role in ("tool", "assistant"):
            items += [item for block in blocks for item in _items(block)]
        else:
            items += _spoken(message, blocks)
    return items


def _message(role: str, content: Json) -> TurnInput:
    if isinstance(content, str):
        return TurnInput(role, plain_text(content))
    parts = content if isinstance(content, list) else []
    said = [text_of(part) or "" for part in parts if _is_said(part)]
    more = len(said) < len(parts)
    kept = plain_parts(parts) if more else None
    text = plain_text("".join(said))
    return TurnInput(role, text if text or not kept else None, parts=kept)


def _call(item: Mapping[str, Json], key: str) -> JsonObject:
    name, given = item.get("name"), item.get(key)
    kind, field = ("custom", "input") if key == "input" else ("function", key)
    text = given if isinstance(given, str) else stored_json(given)
    call = {"name": plain_text(name) if isinstance(name, str) else ""}
    return {
        "id": plain_id(item.get("call_id")) or "",
        "type": kind,
        kind: {**call, field: plain_text(text)},
    }


def _result(item: Mapping[str, Json]) -> TurnInput:
    call_id, output = plain_id(item.get("call_id")), item.get("output")
    if isinstance(output, str):
        return TurnInput("tool", plain_text(output), tool_call_id=call_id)
    if not isinstance(output, list):
        return TurnInput("tool", stored_json(output), tool_call_id=call_id)
    told = _message("tool", output)
    return TurnInput("tool", told.content, parts=told.parts, tool_call_id=call_id)


def _spoken(message: Message, blocks: list[Block]) -> list[JsonObject]:
    parts: list[JsonObject] = []
    pictured = False
    for block in blocks:
        if isinstance(block, Said):
            part = _part(block)
            parts += [part] if part else []
            pictured = pictured or not _is_said(part or "")
    if not parts:
        return []
    role = message.given if message.given in _AS_GIVEN else message.role
    if pictured:
        return [{"role": role, "content": parts}]
    return [{"role": role, "content": "".join(text_of(part) or "" for part in parts)}]


def _part(block: Said) -> JsonObject | None:
    if block.kind in ("text", "refusal"):
        given: Any = block.part
        as_input = isinstance(given, dict) and given.get("type") == "input_text"
        return given if as_input else {"type": "input_text", "text": block.text}
    if isinstance(block.part, dict) and str(block.part.get("type")).startswith(
        "input_"
    ):
        return block.part
    media = media_of(block.part) if block.kind in ("image", "file") else ""
    return (
        _picture(media) if isinstance(media, Media) and block.kind == "image" else None
    )


def _picture(media: Media) -> JsonObject | None:
    url = media.url
    if media.data:
        url = f"data:{media.media_type};base64,{media.data}"
    elif media.file_id:
        return {"type": "input_image", "file_id": media.file_id, "detail": "auto"}
    return {"type": "input_image", "image_url": url, "detail": "auto"} if url else None


def _items(block: Block) -> list[JsonObject]:
    if isinstance(block, Call):
        kind = _FREE if block.free else "function_call"
        given = block.arguments
        text = given if isinstance(given, str) else dumps(given).decode()
        call = {"type": kind, "call_id": block.id or "", "name": block.name}
        return [{**call, _CALLS[kind]: text}]
    if isinstance(block, Result):
        said = block.content
        if not isinstance(said, str | list):
            said = dumps(said).decode()
        return [
            {
                "type": "function_call_output",
                "call_id": block.call_id or "",
                "output": said,
            }
        ]
    if block.kind in ("text", "refusal") and block.text:
        return [{"role": "assistant", "content": block.text}]
    return []


def _is_said(part: Json) -> bool:
    return kind_of(part) in ("text", "refusal")
