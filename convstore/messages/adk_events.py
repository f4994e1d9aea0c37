"""Turns as events of Google's ADK, in their JSON form, and the other way. Pure.

An event is a turn. Its content is one of Gemini's: parts that say, call, give results
or show something. Results of calls that were made at once stand in one event, and are a
turn each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final

from convstore.messages.media import Media, media_of
from convstore.messages.message import (
    Block,
    Message,
    Said,
    called_names,
    told_by,
)
from convstore.messages.neutral import (
    plain_id,
    plain_parts,
    plain_text,
    stored_count,
    stored_json,
)
from convstore.messages.parts import ROLES, Call, Result, objects_in
from convstore.messages.responses import OTHER_ROLE
from convstore.vocabulary.clock import EPOCH
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.records import (
    Json,
    JsonObject,
    Turn,
    TurnFields,
    TurnInput,
)

USER: Final = "user"
# Inline data beyond this stands in the payload alone: twice it would not fit a turn.
_MOST_INLINE = 1 << 20
_URL_SAFE = str.maketrans("-_", "+/")
_LAST_S = 253_000_000_000  # in the year 9987


def turns_of(event: Mapping[str, Json]) -> list[TurnInput]:
    """The neutral side of an event, at least one turn: never refused, whatever the
    event holds.

    One that says nothing, such as a change of state alone, is an empty turn of a role
    that is in no message.
    """
    content = event.get("content")
    parts = objects_in(content.get("parts") if isinstance(content, dict) else None)
    results = [part["function_response"] for part in parts if _has_result(part)]
    told = [_result(result) for result in results] or [_said(event, parts)]
    at = _time(event.get("timestamp"))
    usage = event.get("usage_metadata")
    usage = usage if isinstance(usage, dict) else {}
    for turn in told:
        turn["created_at"] = at
    told[-1].update(
        {
            "model": plain_id(event.get("model_version")),
            "finish_reason": plain_id(event.get("finish_reason")),
            "tokens_in": stored_count(usage.get("prompt_token_count")),
            "tokens_out": stored_count(usage.get("candidates_token_count")),
        }
    )
    return named([TurnInput(**turn) for turn in told], event.get("id"))


def named(turns: Sequence[TurnInput], event_id: Json) -> list[TurnInput]:
    """The turns of an event with external ids: the last one's is the event's, those of
    the others are made of it. None has one where one would have none."""
    made = [f"{event_id}#{number}" for number in range(1, len(turns))]
    names = [plain_id(name) for name in (*made, event_id)]
    if None in names:
        names = [None] * len(turns)
    return [
        replace(turn, external_id=name) for turn, name in zip(turns, names, strict=True)
    ]


def event_of(
    turn: Turn, agent_name: str, before: Sequence[Turn] = ()
) -> JsonObject | None:
    """The event that a neutral turn is; None where it says nothing.

    Args:
        agent_name: Whose event a turn of an assistant is.
        before: Turns that come before: their calls name the tools of results.
    """
    role = ROLES.get(turn.role)
    if role is None:
        return None
    names = called_names(before)
    parts = [
        part for message in told_by(turn, role) for part in _parts(turn, message, names)
    ]
    if not parts:
        return None
    # What is neither of the user nor of the agent is context to ADK.
    author = {"user": USER, "system": "system"}.get(role, agent_name)
    spoken = "model" if role == "assistant" else "user"
    event: JsonObject = {
        "id": f"{turn.session_id}#{turn.seq}",
        "invocation_id": f"turn-{turn.seq}",
        "author": author,
        "timestamp": turn.created_at.timestamp(),
        "content": {"role": spoken, "parts": parts},
    }
    return event | ({"model_version": turn.model} if turn.model else {})


# From the framework


def _said(event: Mapping[str, Json], parts: Sequence[JsonObject]) -> TurnFields:
    kept = [part for given in parts if (part := _part(given))]
    if not kept:
        return {"role": OTHER_ROLE}
    texts = [part["text"] for part in kept if part["type"] == "text"]
    kinds = [part["type"] for part in kept if part["type"] != "reasoning"]
    if set(kinds) == {"text"} or (len(texts) == 1 and kinds[0] == "text"):
        kept = [part for part in kept if part["type"] != "text"]
    return {
        "role": "user" if event.get("author") == USER else "assistant",
        "content": "".join(texts) if texts else None,
        "parts": plain_parts(kept),
    }


def _part(given: Mapping[str, Json]) -> JsonObject | None:
    """A part of Gemini's as a part of a turn."""
    call, text = given.get("function_call"), given.get("text")
    if isinstance(call, dict):
        name = plain_text(str(call.get("name") or ""))
        args = stored_json(call.get("args") or {})
        function = {"name": name, "arguments": args}
        call_id = plain_id(call.get("id")) or ""
        return {"id": call_id, "type": "function", "function": function}
    if isinstance(text, str) and text:
        kind = "reasoning" if given.get("thought") else "text"
        return {"type": kind, "text": plain_text(text)}
    code, ran = given.get("executable_code"), given.get("code_execution_result")
    if isinstance(code, dict):
        return {"type": "text", "text": plain_text(str(code.get("code") or ""))}
    if isinstance(ran, dict):
        return {"type": "text", "text": plain_text(str(ran.get("output") or ""))}
    return _media(given)


def _media(given: Mapping[str, Json]) -> JsonObject | None:
    blob, file = given.get("inline_data"), given.get("file_data")
    if isinstance(file, dict):
        url, media_type = str(file.get("file_uri")), str(file.get("mime_type"))
        if media_type.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": plain_text(url)}}
        told = {"url": plain_text(url), "media_type": plain_text(media_type)}
        return {"type": "file", "file": told}
    if not isinstance(blob, dict):
        return None
    data, media_type = str(blob.get("data") or ""), str(blob.get("mime_type"))
    source = {"type": "base64", "media_type": plain_text(media_type)}
    if len(data) <= _MOST_INLINE:
        source["data"] = data.translate(_URL_SAFE)
    kind = media_type.partition("/")[0]
    return {"type": kind if kind in ("image", "audio") else "file", "source": source}


def _has_result(part: Mapping[str, Json]) -> bool:
    return isinstance(part.get("function_response"), dict)


def _result(result: Mapping[str, Json]) -> TurnFields:
    return {
        "role": "tool",
        "content": _output(result),
        "name": plain_id(result.get("name")),
        "tool_call_id": plain_id(result.get("id")),
    }


def _output(result: Mapping[str, Json]) -> str:
    """What a tool gave; ADK wraps what is no object."""
    given = result.get("response")
    if isinstance(given, dict) and given.keys() == {"result"}:
        given = given["result"]
    return plain_text(given) if isinstance(given, str) else stored_json(given)


# To the framework


def _parts(turn: Turn, message: Message, names: Mapping[str, str]) -> list[JsonObject]:
    return [
        part
        for block, _ in message.blocks
        if (part := _of_block(turn, block, names)) is not None
    ]


def _of_block(turn: Turn, block: Block, names: Mapping[str, str]) -> JsonObject | None:
    if isinstance(block, Call):
        args = block.object()
        call = {
            "id": block.id or f"turn-{turn.seq}",
            "name": block.name,
            "args": {"input": block.arguments} if args is None else args,
        }
        return {"function_call": call}
    if isinstance(block, Result):
        result = {
            "id": block.call_id or f"turn-{turn.seq}",
            "name": turn.name or names.get(block.call_id or "") or "unknown",
            "response": _response(block.content),
        }
        return {"function_response": result}
    return _shown(block)


def _shown(block: Said) -> JsonObject | None:
    if block.kind in ("text", "refusal"):
        return {"text": block.text} if block.text else None
    given = block.part
    if block.kind == "thought":
        said = given.get("text") if isinstance(given, dict) else None
        text = block.text or (said if isinstance(said, str) else "")
        return {"text": text, "thought": True} if text else None
    media = media_of(given) if isinstance(given, dict) else ""
    if not isinstance(media, Media):
        return None
    if media.data:
        data = media.data.replace("+", "-").replace("/", "_")
        return {"inline_data": {"data": data, "mime_type": media.media_type}}
    if media.url:
        known = {"mime_type": media.media_type} if media.media_type else {}
        return {"file_data": {"file_uri": media.url, **known}}
    return {"text": media.text} if media.text else None


def _response(content: Json) -> JsonObject:
    if isinstance(content, str):
        try:
            told = decode_json(content) if content.lstrip().startswith("{") else None
        except CorruptionError:
            told = None
        return told if isinstance(told, dict) else {"result": content}
    return content if isinstance(content, dict) else {"result": content}


def _time(value: Any) -> datetime | None:
    """A time that can be stored."""
    if type(value) not in (int, float) or not isfinite(value):
        return None
    if not 0 <= value < _LAST_S:
        return None
    return EPOCH + timedelta(seconds=value)
