"""Turns as messages of Pydantic AI, in their JSON form, and the other way. Pure.

A request holds what a model is told between two of its own words: system prompts,
prompts of the user, results of tools. Each of those becomes a turn; a response is one.
The other way neighbouring turns of one side are one message.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from convstore.messages.media import Media, media_of
from convstore.messages.message import (
    Block,
    Message,
    Said,
    blocks_of,
    called_names,
    speaks,
    told_by,
)
from convstore.messages.neutral import (
    plain_id,
    plain_parts,
    plain_text,
    stored_count,
    stored_json,
)
from convstore.messages.own import is_count, json_of, with_payload
from convstore.messages.parts import ROLES, Call, Result, objects_in
from convstore.messages.responses import OTHER_ROLE
from convstore.vocabulary.clock import EPOCH
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject, Turn, TurnInput

FORMAT: Final = "pydantic-ai"
"""Of the payloads: JSON text with `turns`, how many turns the message is, and
`message`, which is left out where the turns' columns say all of it."""

_OURS = {"turns", "message"}
_FINISHED = {"stop", "length", "content_filter", "tool_call", "error"}
# Inline data beyond this stands in the payload alone: twice it would not fit a turn.
_MOST_INLINE = 1 << 20
_URLS = {
    "image-url": "image",
    "audio-url": "audio",
    "video-url": "file",
    "document-url": "file",
}
_URL_SAFE = str.maketrans("-_", "+/")


class Group(NamedTuple):
    """The turns of one message, and the message itself where it was kept."""

    turns: tuple[Turn, ...]
    own: bool
    message: JsonObject | None


def turns_of(message: Mapping[str, Json]) -> list[TurnInput]:
    """The neutral side of a message, at least one turn: never refused.

    Results come first, as they do before a model. A request that says nothing is an
    empty turn of a role that is in no message. Instructions, which the framework sends
    anew each time, and calls that providers carry out themselves are left out.
    """
    if message.get("kind") == "response":
        return [_response_turn(message)]
    told = [_request_turn(part) for part in objects_in(message.get("parts"))]
    return sorted(told, key=lambda turn: turn.role != "tool") or [TurnInput(OTHER_ROLE)]


def kept(turns: Sequence[TurnInput], message: JsonObject | None) -> list[TurnInput]:
    """The turns of a message, the last of them with its payload."""
    whole: JsonObject = {"turns": len(turns)}
    if message is not None:
        whole["message"] = message
    # ASCII: any text that JSON can tell fits, lone surrogates too.
    text = json.dumps(whole, separators=(",", ":")).encode()
    return [*turns[:-1], with_payload(turns[-1], text, FORMAT)]


def grouped(turns: Sequence[Turn]) -> list[Group]:
    """The messages of a path, oldest first. Of the first one turns may be missing, if
    the path does not begin with a first turn."""
    groups: list[Group] = []
    end = len(turns)
    while end:
        whole = _kept(turns[end - 1])
        if whole is not None:
            start = max(end - whole["turns"], 0)
            groups.append(Group(tuple(turns[start:end]), True, whole.get("message")))
        else:
            start = _start(turns, end)
            groups.append(Group(tuple(turns[start:end]), False, None))
        end = start
    return groups[::-1]


def message_of(turns: Iterable[Turn], before: Iterable[Turn] = ()) -> JsonObject | None:
    """The message that neutral turns of one side are; None where they say nothing.

    Args:
        before: The turns of the message before: their calls name the tools of results.
    """
    known = [turn for turn in turns if turn.role in ROLES]
    if any(speaks(turn) for turn in known):
        return _response(known)
    names = called_names(before)
    parts = [
        part
        for turn in known
        for message in told_by(turn, ROLES[turn.role])
        for part in _request_parts(turn, message, names)
    ]
    return {"kind": "request", "parts": parts} if parts else None


def _kept(turn: Turn) -> JsonObject | None:
    """What was kept with the last turn of a message of ours. An import gives the
    framework's name to the messages of a file, too: these have no `turns`."""
    whole = json_of(turn, FORMAT)
    if not isinstance(whole, dict) or not whole.keys() <= _OURS:
        return None
    if not isinstance(whole.get("message", {}), dict):
        return None
    return whole if is_count(whole.get("turns")) else None


def _start(turns: Sequence[Turn], end: int) -> int:
    """Where the message of another framework begins that ends before `end`."""
    side: bool | None = None
    for place in range(end - 1, -1, -1):
        turn = turns[place]
        if _kept(turn) is not None:
            return place + 1
        own = speaks(turn) if turn.role in ROLES else None
        if own is not None and side is not None and own != side:
            return place + 1
        side = own if side is None else side
    return 0


# From the framework


def _response_turn(message: Mapping[str, Json]) -> TurnInput:
    blocks = [_said(part) for part in objects_in(message.get("parts"))]
    parts = [part for part in blocks if part]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    kinds = [part["type"] for part in parts if part["type"] != "reasoning"]
    if len(texts) == 1 and kinds[0] == "text":
        parts = [part for part in parts if part["type"] != "text"]
    usage = message.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return TurnInput(
        "assistant",
        plain_text("".join(texts)) if texts else None,
        parts=plain_parts(parts),
        model=plain_id(message.get("model_name")),
        finish_reason=plain_id(message.get("finish_reason")),
        tokens_in=stored_count(usage.get("input_tokens")),
        tokens_out=stored_count(usage.get("output_tokens")),
        created_at=_time(message.get("timestamp")),
    )


def _said(part: Mapping[str, Json]) -> JsonObject | None:
    """A part of a response as a part of a turn."""
    kind, content = part.get("part_kind"), part.get("content")
    if kind == "tool-call":
        args = part.get("args")
        text = (
            args if isinstance(args, str) else stored_json({} if args is None else args)
        )
        name = plain_text(str(part.get("tool_name")))
        call = {"name": name, "arguments": plain_text(text)}
        call_id = plain_id(part.get("tool_call_id")) or ""
        return {"id": call_id, "type": "function", "function": call}
    if kind == "thinking":
        thought = plain_text(content) if isinstance(content, str) else ""
        return {"type": "reasoning", "text": thought} if thought else None
    if kind == "speech":
        content = part.get("transcript")
    if kind in ("text", "speech") and isinstance(content, str):
        return {"type": "text", "text": plain_text(content)}
    return _media(content) if kind == "file" and isinstance(content, dict) else None


def _request_turn(part: Mapping[str, Json]) -> TurnInput:
    kind, at = part.get("part_kind"), _time(part.get("timestamp"))
    if kind == "speech":
        return replace(_told("user", part.get("transcript")), created_at=at)
    if kind in ("system-prompt", "user-prompt"):
        role = "system" if kind == "system-prompt" else "user"
        return replace(_told(role, part.get("content")), created_at=at)
    name = part.get("tool_name")
    if kind == "retry-feedback" or (kind == "retry-prompt" and name is None):
        content = part.get("content")
        text = content if isinstance(content, str) else stored_json(content)
        return TurnInput("user", plain_text(text), created_at=at)
    if kind in ("tool-return", "retry-prompt"):
        call_id = plain_id(part.get("tool_call_id"))
        told = _told("tool", part.get("content"))
        return replace(told, name=plain_id(name), tool_call_id=call_id, created_at=at)
    return TurnInput(OTHER_ROLE, created_at=at)


def _told(role: str, content: Json) -> TurnInput:
    """Text, or a list of texts and media, or any JSON, as its text."""
    if isinstance(content, str):
        return TurnInput(role, plain_text(content))
    given = content if isinstance(content, list) else [content]
    parts = [_media(item) if isinstance(item, dict) else None for item in given]
    if role == "tool" and not any(parts):
        return TurnInput(role, stored_json(content))
    for place, item in enumerate(given):
        if isinstance(item, dict) and item.get("kind") == "text-content":
            item = item.get("content")
        if isinstance(item, str):
            parts[place] = {"type": "text", "text": plain_text(item)}
        elif parts[place] is None and role == "tool":
            parts[place] = {"type": "text", "text": stored_json(item)}
    found = [part for part in parts if part]
    texts = [part["text"] for part in found if part["type"] == "text"]
    more = plain_parts(found) if len(texts) < len(found) else None
    text = "".join(texts)
    return TurnInput(role, text if text or not more else None, parts=more)


def _media(item: Mapping[str, Json]) -> JsonObject | None:
    kind, media_type = item.get("kind"), str(item.get("media_type"))
    if kind in _URLS:
        url = str(item.get("url"))
        if kind == "image-url":
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": _URLS[kind], "file": {"url": url, "media_type": media_type}}
    if kind == "uploaded-file":
        return {"type": "file", "file": {"file_id": str(item.get("file_id"))}}
    if kind != "binary":
        return None
    data = str(item.get("data"))
    start = media_type.partition("/")[0]
    source = {"type": "base64", "media_type": media_type}
    if len(data) <= _MOST_INLINE:
        source["data"] = data.translate(_URL_SAFE)
    return {"type": start if start in ("image", "audio") else "file", "source": source}


# To the framework


def _response(turns: Sequence[Turn]) -> JsonObject | None:
    parts = [
        part
        for turn in turns
        for block in blocks_of(turn)
        for part in _response_part(turn, block)
    ]
    if not parts:
        return None
    usage = {
        "input_tokens": sum(turn.tokens_in or 0 for turn in turns),
        "output_tokens": sum(turn.tokens_out or 0 for turn in turns),
    }
    last = turns[-1].finish_reason
    ended = "tool_call" if last == "tool_calls" else last
    return {
        "kind": "response",
        "parts": parts,
        "usage": usage,
        "model_name": next((turn.model for turn in turns if turn.model), None),
        "timestamp": _iso(turns[-1].created_at),
        "finish_reason": ended if ended in _FINISHED else None,
    }


def _response_part(turn: Turn, block: Block) -> list[JsonObject]:
    if isinstance(block, Call):
        given = block.arguments
        args = given if isinstance(given, str | dict) else dumps(given).decode()
        call_id = block.id or f"turn-{turn.seq}"
        call = {"tool_name": block.name, "args": args, "tool_call_id": call_id}
        return [{"part_kind": "tool-call", **call}]
    if isinstance(block, Result):
        return []
    kinds: dict[str, Literal["text", "thinking"]]
    kinds = {"text": "text", "refusal": "text", "thought": "thinking"}
    kind, text = kinds.get(block.kind), block.text
    if kind == "thinking" and isinstance(block.part, dict):
        text = block.text or str(block.part.get("text") or "")
    return [{"part_kind": kind, "content": text}] if kind and text else []


def _request_parts(
    turn: Turn, message: Message, names: Mapping[str, str]
) -> list[JsonObject]:
    at, blocks = _iso(turn.created_at), [block for block, _ in message.blocks]
    if message.role == "tool":
        return [
            {
                "part_kind": "tool-return",
                "tool_name": turn.name or names.get(block.call_id or "") or "unknown",
                "content": "" if block.content is None else block.content,
                "tool_call_id": block.call_id or f"turn-{turn.seq}",
                "timestamp": at,
            }
            for block in blocks
            if isinstance(block, Result)
        ]
    if message.role == "system":
        text = message.texts()
        part = {"part_kind": "system-prompt", "content": text, "timestamp": at}
        return [part] if text else []
    said = [piece for block in blocks if (piece := _piece(block))]
    if not said:
        return []
    texts = [piece for piece in said if isinstance(piece, str)]
    content: Json = "".join(texts) if len(texts) == len(said) else said
    return [{"part_kind": "user-prompt", "content": content, "timestamp": at}]


def _piece(block: Block) -> Json:
    """What a user said or showed, as content of a prompt; None for anything else."""
    if not isinstance(block, Said):
        return None
    if block.kind in ("text", "refusal"):
        return block.text
    given = block.part
    media = media_of(given) if isinstance(given, dict) else ""
    if not isinstance(media, Media):
        return None
    if media.data:
        data = media.data.replace("+", "-").replace("/", "_")
        return {"kind": "binary", "data": data, "media_type": media.media_type}
    if media.url and block.kind == "image":
        return {"kind": "image-url", "url": media.url}
    if media.url:
        known = {"media_type": media.media_type} if media.media_type else {}
        return {"kind": "document-url", "url": media.url, **known}
    return media.text or None


def _time(value: Json) -> datetime | None:
    """A time that can be stored."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if at is None or at.tzinfo is None or at < EPOCH or at.year > 9998:
        return None
    return at


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
