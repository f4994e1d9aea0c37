"""Turns as the messages of OpenAI's chat completions; pure, no import of its client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from convstore.messages.media import PICTURE_TYPES, Media, media_of
from convstore.messages.message import (
    LeftOut,
    Message,
    Said,
    grouped,
    messages_of,
)
from convstore.messages.parts import CHAT_CALLS, TEXT_PARTS, Call, Result
from convstore.messages.repair import CallIds, repaired
from convstore.messages.results import result_text
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.record import Value, field
from convstore.vocabulary.records import Json, JsonObject, Turn

EXTRA = "message"
"""Where the metadata has what a message said that a turn has no place for."""
FIELDS = frozenset({"refusal", "function_call", "audio"})
"""Fields of it that are told in their own places again."""
_LONGEST_ID = 40
_NAME = re.compile(r"[^\s<|\\/>]{1,64}")
_NOT_IN_TOOL_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_TOOL_NAME = 64
_DETAILS = ("auto", "low", "high")
_SOUNDS = ("wav", "mp3")


class OpenAIMessages(Value, frozen=True):
    """The `messages` argument of one request, and what did not go into it.

    Attributes:
        left_out: What chat completions do not take, with the reason and the turn.
        moved: Turns of results that came late and stand behind their call.
    """

    messages: list[JsonObject] = field(default_factory=list)
    left_out: tuple[LeftOut, ...] = ()
    moved: tuple[int, ...] = ()


def to_messages(turns: Iterable[Turn]) -> list[JsonObject]:
    """Turns as chat messages in the shape of OpenAI's API, as they were stored.

    Neighbouring turns of an assistant are one message. `resolved_question` stands in
    for the content where present. Parts of type `function` or `custom` become
    `tool_calls`; other parts become content parts, behind a text part with the content
    unless they hold text themselves. A call without text keeps `"content": None`. The
    parts are shared with the turns, not copied.

    What was stored may be nothing that the API takes, such as a call without a result:
    `to_openai_messages` gives what it takes.
    """
    return [_as_stored(group) for group in grouped(turns)]


def to_openai_messages(turns: Iterable[Turn]) -> OpenAIMessages:
    """Turns of a branch, oldest first, as chat completions take them.

    As `to_messages`, and every call stands with its results right behind it or not at
    all; parts of other APIs are told in this one's shape; ids and names of tools hold
    only what it allows. Left out, and told in `left_out`: calls that nobody answered
    and results that no call asked for, thoughts, media that it does not see, messages
    in which nothing is said.
    """
    left_out: list[LeftOut] = []
    moved: list[int] = []
    ids = CallIds(re.compile(r"[\x00-\x1f]"), _LONGEST_ID)
    spoken = repaired(messages_of(turns, left_out), ids, left_out, moved)
    told: list[JsonObject] = []
    for message in spoken:
        known = len(left_out)
        shapes = _SHAPES[message.role](message, left_out)
        if not shapes and len(left_out) == known:
            left_out.append(LeftOut("blank", message.seq))
        told += shapes
    return OpenAIMessages(told, tuple(left_out), tuple(moved))


def tool_name(name: str) -> str:
    """The name of a tool in the characters that the APIs allow."""
    return _NOT_IN_TOOL_NAMES.sub("_", name)[:_LONGEST_TOOL_NAME] or "tool"


def _system(message: Message, left_out: list[LeftOut]) -> list[JsonObject]:
    text = message.texts()
    _only_text(message, left_out)
    role = "developer" if message.given == "developer" else "system"
    return [_spoken(message, role, text, left_out)] if text.strip() else []


def _user(message: Message, left_out: list[LeftOut]) -> list[JsonObject]:
    parts: list[Json] = []
    for block, seq in message.blocks:
        part = _part(block) if isinstance(block, Said) else "unsupported-part"
        if isinstance(part, str):
            left_out.append(LeftOut(part, seq))
        elif part:
            parts.append(part)
    if not parts:
        return []
    only = parts[0] if len(parts) == 1 else {}
    content = only["text"] if only.get("type") == "text" else parts
    return [_spoken(message, "user", content, left_out)]


def _assistant(message: Message, left_out: list[LeftOut]) -> list[JsonObject]:
    calls = [_call(block) for block, _ in message.blocks if isinstance(block, Call)]
    said = [block for block, _ in message.blocks if isinstance(block, Said)]
    _only_text(message, left_out)
    text: Json = message.texts()
    if not text.strip() and not calls:
        return []
    if not calls and {b.kind for b in said if b.text} == {"refusal"}:
        text = [{"type": "refusal", "refusal": text}]
    told = _spoken(message, "assistant", text or None, left_out)
    return [{**told, "tool_calls": calls} if calls else told]


def _tool(message: Message, left_out: list[LeftOut]) -> list[JsonObject]:
    return [
        {
            "role": "tool",
            "tool_call_id": block.call_id,
            "content": result_text(block, seq, left_out),
        }
        for block, seq in message.blocks
        if isinstance(block, Result)
    ]


_SHAPES: dict[str, Any] = {
    "system": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}


def _spoken(
    message: Message, role: str, content: Json, left_out: list[LeftOut]
) -> JsonObject:
    told: JsonObject = {"role": role, "content": content}
    if message.name is not None:
        if _NAME.fullmatch(message.name):
            told["name"] = message.name
        else:
            left_out.append(LeftOut("name", message.seq))
    return told


def _only_text(message: Message, left_out: list[LeftOut]) -> None:
    for block, seq in message.blocks:
        if isinstance(block, Said):
            if block.kind in ("text", "refusal"):
                continue
            thought = block.kind == "thought"
            left_out.append(LeftOut("thought" if thought else "unsupported-part", seq))
        elif message.role != "assistant":
            left_out.append(LeftOut("unsupported-part", seq))


def _part(block: Said) -> JsonObject | str:
    """A content part of a user, nothing for blanks, or why it is left out."""
    if block.kind in ("text", "refusal"):
        return {"type": "text", "text": block.text} if block.text.strip() else {}
    if block.kind == "audio":
        return _sound(block.part)
    if block.kind not in ("image", "file"):
        return "unsupported-part"
    media = media_of(block.part)
    if isinstance(media, str):
        return media
    if block.kind == "image" or media.media_type in PICTURE_TYPES:
        return _picture(block.part, media)
    return _file(media)


def _picture(part: JsonObject, media: Media) -> JsonObject | str:
    url = media.url
    if media.data:
        if media.media_type not in PICTURE_TYPES:
            return "image-type"
        url = f"data:{media.media_type};base64,{media.data}"
    elif not url.startswith(("https://", "http://")):
        return "media-not-stored"
    image: JsonObject = {"url": url}
    inner = part.get("image_url")
    detail = (inner if isinstance(inner, dict) else part).get("detail")
    if detail in _DETAILS:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _file(media: Media) -> JsonObject | str:
    if media.text:
        blank = not media.text.strip()
        return "blank" if blank else {"type": "text", "text": media.text}
    if media.file_id:
        return {"type": "file", "file": {"file_id": media.file_id}}
    if media.data and media.media_type == "application/pdf":
        data = f"data:application/pdf;base64,{media.data}"
        name = media.name or "file.pdf"
        return {"type": "file", "file": {"filename": name, "file_data": data}}
    return "file-type" if media.data else "media-not-stored"


def _sound(part: JsonObject) -> JsonObject | str:
    inner = part.get("input_audio")
    inner = inner if isinstance(inner, dict) else part
    data, kind = inner.get("data"), inner.get("format")
    if not isinstance(data, str) or not data or kind not in _SOUNDS:
        return "audio-type"
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


def _call(call: Call) -> JsonObject:
    name, given = tool_name(call.name), call.arguments
    if call.free and isinstance(given, str):
        custom = {"name": name, "input": given}
        return {"id": call.id, "type": "custom", "custom": custom}
    if not isinstance(given, str):
        whole = given if isinstance(given, dict) else {"arguments": given}
        given = dumps(whole).decode()
    function = {"name": name, "arguments": given if given.strip() else "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _as_stored(turns: Sequence[Turn]) -> JsonObject:
    if len(turns) == 1:
        return _turn(turns[0])
    said = [_turn(turn) for turn in turns]
    message: JsonObject = {
        "role": said[0]["role"],
        "content": _joined([one["content"] for one in said]),
    }
    calls = [call for one in said for call in one.get("tool_calls", ())]
    if calls:
        message["tool_calls"] = calls
    names = {turn.name for turn in turns}
    if len(names) == 1 and None not in names:
        message["name"] = turns[0].name
    return message


def _joined(contents: Sequence[Json]) -> Json:
    """What several turns of one message say: text as paragraphs, else all parts."""
    said = [content for content in contents if content]
    if not any(isinstance(content, list) for content in said):
        return "\n\n".join(said) if said else contents[0]
    parts: list[Json] = []
    for content in said:
        whole = isinstance(content, list)
        parts += content if whole else [{"type": "text", "text": content}]
    return parts


def _turn(turn: Turn) -> JsonObject:
    calls = [part for part in turn.parts or () if _type(part) in CHAT_CALLS]
    message: JsonObject = {"role": turn.role, "content": _content(turn)}
    if calls:
        message["tool_calls"] = calls
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    if turn.name is not None:
        message["name"] = turn.name
    own = turn.metadata.get(EXTRA)
    if isinstance(own, dict) and not FIELDS.isdisjoint(own):
        _as_given(message, own, turn)
    return message


def _as_given(message: JsonObject, own: JsonObject, turn: Turn) -> None:
    """Put back into fields of their own what the message had there, and the turn has
    as parts."""
    content, calls = message["content"], message.get("tool_calls", [])
    refusal = {"type": "refusal", "refusal": own.get("refusal")}
    call = {"type": "function", "function": own.get("function_call")}
    if isinstance(content, list) and content[-1:] == [refusal]:
        parts = [part for part in turn.parts or () if part in content[:-1]]
        message["content"] = parts or turn.content
        message["refusal"] = own["refusal"]
    if calls[-1:] == [call]:
        message["function_call"] = own["function_call"]
        if len(calls) == 1:
            del message["tool_calls"]
        else:
            message["tool_calls"] = calls[:-1]
    if message["role"] == "assistant" and isinstance(own.get("audio"), dict):
        message["audio"] = own["audio"]


def _content(turn: Turn) -> Json:
    parts = [part for part in turn.parts or () if _type(part) not in CHAT_CALLS]
    text = turn.content
    if turn.resolved_question is not None:
        text = turn.resolved_question
        parts = [part for part in parts if _type(part) not in TEXT_PARTS]
    if not parts:
        return text
    if text is None or any(_type(part) in TEXT_PARTS for part in parts):
        return parts
    return [{"type": "text", "text": text}, *parts]


def _type(part: Json) -> Any:
    return part.get("type") if isinstance(part, dict) else None
