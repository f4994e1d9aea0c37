"""Messages of LangChain as turns, and turns as messages, in their JSON form. Pure.

The one reader of them: for both adapters that have them, and for imports. A message is
a turn. The other way neighbouring turns of an assistant that others wrote are one
message, for models take calls that were made at once from one message alone; and each
result of a tool is one. What is written is the form of `message_to_dict`: `{"type": …,
"data": {…}}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from convstore.messages.media import Media, media_of
from convstore.messages.message import Message, Said, grouped, messages_of
from convstore.messages.neutral import plain_id, plain_parts, plain_text
from convstore.messages.parts import (
    ROLES,
    Call,
    Result,
    call_of,
    first_text,
    kind_of,
    objects_in,
    text_of,
    thought_of,
)
from convstore.messages.responses import OTHER_ROLE
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject, Turn, TurnInput

# By the name of the class: `HumanMessage`, `AIMessage`, …
_KINDS = {
    f"{'AI' if kind == 'ai' else kind.title()}Message": kind
    for kind in "human ai system tool function chat remove".split()
}
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
# Blocks of content that say again what stands in `tool_calls`.
_CALLS = ("tool_use", "tool_call", "function_call", "tool_call_chunk")
_MEDIA = {"image": "image", "audio": "audio", "video": "file", "file": "file"}
_AS_GIVEN = ("image_url", "input_audio")
_BESIDE_CALLS = frozenset({"text", "thought", "call"})
MOST_INLINE: Final = 1 << 20
"""Characters of data in a part that stands beside a payload with the same data: twice
more would not fit a turn."""


class Told(NamedTuple):
    """A message that neutral turns are, and how many of them have been read by then."""

    message: JsonObject
    turns: int


@dataclass(slots=True)
class Heard:
    """What a message says, in nobody's shape yet.

    Attributes:
        role: One of ours, or the message's own word.
        content: As given: text, blocks, or what no message should have.
        blocks: Text, thoughts, media and what is unknown, each with what it was read
            from, in their order; then the calls.
        is_error: Whether it is the result of a tool that failed.
    """

    role: str
    content: Json
    blocks: list[Said | Call] = field(default_factory=list)
    model: str | None = None
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    is_error: bool = False


# From the framework


def plain(value: Json) -> tuple[str, JsonObject] | None:
    """The kind of a message and its fields; None for what is none.

    As `message_to_dict` writes it (`{type, data}`), as LangChain's serializer does
    (`{lc, id, kwargs}`), or bare.
    """
    if not isinstance(value, dict):
        return None
    kind, fields = value.get("type"), value.get("data")
    if isinstance(value.get("kwargs"), dict):
        named = value.get("id")
        last = named[-1] if isinstance(named, list) and named else None
        kind, fields = last, value["kwargs"]
    elif not isinstance(fields, dict):
        fields = value
    if not isinstance(kind, str):
        kind = fields.get("type")
    if not isinstance(kind, str):
        return None
    kind = _kind(kind)
    if kind not in _KINDS.values() and kind not in ROLES:
        return None
    return (kind, fields) if "content" in fields or kind == "remove" else None


def heard(kind: str, data: Mapping[str, Json]) -> Heard:
    """What a message says, whatever it holds.

    Args:
        kind: Its type, or its class, whole or as a chunk.
        data: Its fields.
    """
    kind = _kind(kind)
    role, content = data.get("role"), data.get("content")
    given = role if kind == "chat" and isinstance(role, str) else kind
    said = Heard(ROLES.get(given.lower(), given), content)
    more = _object(data.get("additional_kwargs"))
    thought = more.get("reasoning_content")
    if isinstance(thought, str) and thought:
        said.blocks.append(Said("thought", thought))
    items = content if isinstance(content, list) else [content]
    said.blocks += [_block(item) for item in items if item and not _is_call(item)]
    said.blocks += _calls(data, more, items)
    if said.role == "assistant":
        meta = _object(data.get("response_metadata"))
        usage = _object(data.get("usage_metadata"))
        said.model = first_text(meta, "model_name", "model") or None
        said.finish_reason = first_text(meta, "finish_reason", "stop_reason") or None
        said.tokens_in = _count(usage.get("input_tokens"))
        said.tokens_out = _count(usage.get("output_tokens"))
    said.is_error = said.role == "tool" and data.get("status") == "error"
    return said


def turn_of(kind: str, data: Mapping[str, Json]) -> TurnInput:
    """The neutral side of a message: never refused, whatever the message holds."""
    said = heard(kind, data)
    parts: list[Json] = [part for block in said.blocks for part in _parts(block)]
    texts = [text_of(part) or "" for part in parts if kind_of(part) == "text"]
    kinds = [kind_of(part) for part in parts]
    first = len(texts) == 1 and kinds.index("text") == kinds.count("thought")
    if first or set(kinds) <= _BESIDE_CALLS:
        parts = [part for part in parts if kind_of(part) != "text"]
    is_tool = said.role == "tool"
    content = "".join(texts) if texts or is_tool or said.content == "" else None
    if said.is_error:
        told = [content, *parts] if first and parts else [*parts] or content
        parts = [{"type": "tool_result", "content": told, "is_error": True}]
    return TurnInput(
        plain_id(said.role) or OTHER_ROLE,
        content,
        parts=plain_parts(parts),
        name=plain_id(data.get("name")),
        tool_call_id=plain_id(data.get("tool_call_id")) if is_tool else None,
        model=plain_id(said.model),
        finish_reason=plain_id(said.finish_reason),
        tokens_in=said.tokens_in or None,
        tokens_out=said.tokens_out or None,
    )


def without_bytes(turn: TurnInput) -> list[Json] | None:
    """The parts of a turn without data of more than `MOST_INLINE`, for one whose
    payload has it."""
    return [_without_bytes(part) for part in turn.parts or ()] or None


def _kind(given: str) -> str:
    word = given.removesuffix("Chunk")
    return _KINDS.get(word, word)


def _block(item: Json) -> Said:
    """A block of content."""
    if isinstance(item, str):
        return Said("text", item, item)
    if not isinstance(item, dict):
        return Said("unknown", "", item)
    kind, said = kind_of(item), item.get("text")
    if (kind == "text" or _type(item) == "text-plain") and isinstance(said, str):
        return Said("text", said, item)
    if kind == "thought":
        return Said(kind, thought_of(item) or "", item)
    return Said("file" if _type(item) == "video" else kind, "", item)


def _type(part: Json) -> str:
    given = part.get("type") if isinstance(part, dict) else None
    return given if isinstance(given, str) else ""


def _is_call(item: Json) -> bool:
    return _type(item) in _CALLS


def _calls(
    data: Mapping[str, Json], more: JsonObject, items: Sequence[Json]
) -> Iterator[Call]:
    """The calls, where they stand: in fields of their own; as OpenAI's API had them, in
    older messages; else among the content."""
    fields = data.get("tool_calls"), data.get("invalid_tool_calls")
    calls = [call for given in fields for call in objects_in(given)]
    calls = calls or objects_in(more.get("tool_calls"))
    if not calls and isinstance(more.get("function_call"), dict):
        calls = [{"function": more["function_call"]}]
    return map(call_of, calls or filter(_is_call, items))


def _parts(block: Said | Call) -> Iterator[JsonObject]:
    """A block as a part of a turn, in a shape that every client is told from."""
    if isinstance(block, Call):
        given = block.arguments
        text = given if isinstance(given, str) else _json_text(given)
        function = {"name": plain_text(block.name), "arguments": plain_text(text)}
        call_id = plain_id(block.id) or ""
        yield {"id": call_id, "type": "function", "function": function}
    elif block.kind in ("text", "thought"):
        kind = "text" if block.kind == "text" else "reasoning"
        part = {"type": kind, "text": plain_text(block.text)}
        sign = block.part.get("signature") if isinstance(block.part, dict) else None
        if isinstance(sign, str) and kind == "reasoning":
            part["signature"] = plain_text(sign)
        if len(part) > 2 or block.text:
            yield part
    elif isinstance(block.part, dict):
        yield _media(block.part) if _type(block.part) in _MEDIA else block.part


def _media(block: JsonObject) -> JsonObject:
    kind, source = _type(block), _object(block.get("source"))
    url = block.get("url") or source.get("url")
    data = block.get("base64") or block.get("data") or source.get("data")
    given = block.get("mime_type") or source.get("media_type")
    media_type = given if isinstance(given, str) else f"{kind}/*"
    if isinstance(url, str) and url:
        if kind == "image":
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": _MEDIA[kind], "file": {"url": url, "media_type": media_type}}
    if not isinstance(data, str):
        return {**block, "type": _MEDIA[kind]}
    told = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": _MEDIA[kind], "source": told}


def _without_bytes(part: Json) -> Json:
    if kind_of(part) not in ("image", "audio", "file", "unknown", "result"):
        return part
    if len(dumps(part)) <= MOST_INLINE:
        return part
    source = _object(part.get("source"))
    told = {key: source[key] for key in ("type", "media_type") if key in source}
    return {"type": part.get("type"), **({"source": told} if told else {})}


# To the framework


def messages_of_turns(turns: Sequence[Turn]) -> list[Told]:
    """The messages that turns of others are which follow one another; those that say
    nothing are left out. Each has an id that stays: `turn-` and the number of its last
    turn."""
    told: list[Told] = []
    read = 0
    for group in grouped(turns):
        read += len(group)
        seq = group[-1].seq
        found = _messages(group, own=False)
        for number, message in enumerate(found):
            last = number + 1 == len(found)
            message["data"]["id"] = f"turn-{seq}" if last else f"turn-{seq}.{number}"
            told.append(Told(message, read if last else read - len(group)))
    return told


def message_of(turn: Turn) -> JsonObject | None:
    """The one message that a turn of ours is, but for its id; None where it is none, or
    several. What was given in blocks comes back in blocks."""
    told = _messages([turn], own=True)
    return told[0] if len(told) == 1 else None


def _messages(group: Sequence[Turn], *, own: bool) -> list[JsonObject]:
    spoken = any(turn.content is not None for turn in group)
    return [
        told
        for message in messages_of(group, [])
        for told in _told(message, group[-1], own=own, spoken=spoken)
    ]


def _told(
    message: Message, last: Turn, *, own: bool, spoken: bool
) -> Iterator[JsonObject]:
    if message.role == "tool":
        for block, seq in message.blocks:
            if isinstance(block, Result):
                yield _result(block, message.name, seq, own=own)
        return
    said = [block for block, _ in message.blocks if isinstance(block, Said)]
    pieces = [piece for block in said if (piece := _piece(block, own=own))]
    only_text = all(_type(piece) == "text" for piece in pieces)
    data: JsonObject = {"content": message.texts() if only_text else pieces}
    if message.name is not None:
        data["name"] = message.name
    more: JsonObject = {}
    if message.role == "assistant":
        more = _called(message, own=own)
        if not own and (thoughts := [t for b in said if (t := _thought(b))]):
            # Beside the content: there models refuse thoughts that are not their own.
            more["additional_kwargs"] = {"reasoning_content": "\n\n".join(thoughts)}
    if not (pieces or more or spoken):
        return
    known = {"model_name": last.model, "finish_reason": last.finish_reason}
    known = {name: value for name, value in known.items() if value is not None}
    if known and message.role == "assistant":
        more["response_metadata"] = known
    yield {"type": _TYPES[message.role], "data": {**data, **more}}


def _called(message: Message, *, own: bool) -> JsonObject:
    calls: list[Json] = []
    invalid: list[Json] = []
    unnamed: dict[int, int] = {}
    for call, seq in message.blocks:
        if not isinstance(call, Call):
            continue
        call_id = call.id
        if call_id is None and not own:
            unnamed[seq] = number = unnamed.get(seq, -1) + 1
            call_id = f"turn-{seq}.{number}" if number else f"turn-{seq}"
        told: JsonObject = {"name": call.name, "id": call_id}
        args = call.object()
        if args is None:
            given = call.arguments
            text = given if isinstance(given, str) else _json_text(given)
            wrong = {"args": text, "error": None, "type": "invalid_tool_call"}
            invalid.append({**told, **wrong})
        else:
            calls.append({**told, "args": args, "type": "tool_call"})
    both = {"tool_calls": calls, "invalid_tool_calls": invalid}
    return {name: some for name, some in both.items() if some}


def _thought(block: Said) -> str:
    if block.kind != "thought":
        return ""
    told = thought_of(block.part) if isinstance(block.part, dict) else None
    return told or ""


def _piece(block: Said, *, own: bool) -> JsonObject | None:
    """What is said or shown, as a block of content."""
    if block.kind in ("text", "refusal"):
        return {"type": "text", "text": block.text}
    if block.kind == "thought":
        text = _thought(block) if own else ""
        return {"type": "reasoning", "reasoning": text} if text else None
    part = block.part
    if not isinstance(part, dict):
        return None
    if _type(part) in _AS_GIVEN:
        return part
    media = media_of(part) if block.kind in ("image", "file", "audio") else ""
    told = _shown(block.kind, media) if isinstance(media, Media) else None
    return part if told is None and own else told


def _shown(kind: str, media: Media) -> JsonObject | None:
    if media.text:
        return {"type": "text", "text": media.text}
    known = {"mime_type": media.media_type} if media.media_type else {}
    if media.data:
        return {"type": kind, "base64": media.data, **known}
    if media.file_id:
        return {"type": kind, "file_id": media.file_id, **known}
    return {"type": kind, "url": media.url, **known} if media.url else None


def _result(block: Result, name: str | None, seq: int, *, own: bool) -> JsonObject:
    given, call_id = _given(block.content, own=own), block.call_id or f"turn-{seq}"
    data: JsonObject = {"content": given, "tool_call_id": call_id}
    if name is not None:
        data["name"] = name
    if block.is_error:
        data["status"] = "error"
    return {"type": "tool", "data": data}


def _given(content: Json, *, own: bool) -> Json:
    """What a tool gave back: text, or blocks; any other JSON as text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        said = [Said(kind_of(part), text_of(part) or "", part) for part in content]
        if all(block.kind in ("text", "refusal") for block in said):
            return "".join(block.text for block in said)
        pieces = [_piece(block, own=own) for block in said]
        if all(pieces):
            return pieces
    return "" if content is None else _json_text(content)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None


def _json_text(value: Json) -> str:
    """JSON text of a value, with any number that there is in it; of nothing `{}`, and
    nothing of what is no JSON."""
    if value is None:
        return "{}"
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except (TypeError, ValueError, RecursionError):
        return ""
