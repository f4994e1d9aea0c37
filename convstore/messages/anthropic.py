"""Turns as the messages that Anthropic's API takes; pure, and no import of its client.

What the API insists on holds for the result: system text apart, the user first, roles
that alternate, every tool use answered at the head of the very next message, ids that
are unique and of few characters, no blank text, thoughts first and never last.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from convstore.messages.media import PICTURE_TYPES, Media, media_of
from convstore.messages.message import (
    Block,
    LeftOut,
    Message,
    Said,
    append,
    messages_of,
)
from convstore.messages.openai import tool_name
from convstore.messages.parts import Call, Result, kind_of, text_of
from convstore.messages.repair import CallIds, repaired
from convstore.messages.results import is_parts, result_text
from convstore.vocabulary.records import Json, JsonObject, Turn

_LONGEST_ID = 64
_LONGEST_TITLE = 255
_THOUGHTS = ("thinking", "redacted_thinking")
_SERVER_ID = re.compile(r"srvtoolu_[a-zA-Z0-9_]+")


@dataclass(frozen=True, slots=True)
class AnthropicMessages:
    """The `system` and `messages` arguments of one request, and what is not in them.

    Attributes:
        left_out: What the API would refuse the whole request for, with the reason and
            the turn.
        moved: Turns of results that came late and stand behind their call.
    """

    system: list[JsonObject] = field(default_factory=list)
    messages: list[JsonObject] = field(default_factory=list)
    left_out: tuple[LeftOut, ...] = ()
    moved: tuple[int, ...] = ()


def to_anthropic_messages(turns: Iterable[Turn]) -> AnthropicMessages:
    """Turns of a branch, oldest first, as the arguments of `messages.create`.

    System and developer turns become blocks of `system`, in their order, wherever they
    stood. `resolved_question` stands in for the content. Calls, results, pictures and
    files of OpenAI's two APIs become blocks of this one; what Anthropic said goes back
    as it was said, its thoughts with their signatures. Arguments that are not a JSON
    object stand, as they are, under `arguments` of one.

    Left out, and told in `left_out`: what comes before the first user turn, blank
    text, calls without a result and results without a call, second results, thoughts
    that Anthropic did not sign, media of other types than it sees. Marks for its
    prompt cache are the request's and not the conversation's, and are not told.
    """
    left_out: list[LeftOut] = []
    moved: list[int] = []
    spoken = messages_of(turns, left_out)
    system = [message for message in spoken if message.role == "system"]
    spoken = [message for message in spoken if message.role != "system"]
    ids = CallIds(re.compile(r"[^a-zA-Z0-9_-]"), _LONGEST_ID)
    spoken = repaired(_apart(spoken), ids, left_out, moved)
    messages: list[JsonObject] = []
    for message in spoken:
        blocks = _blocks(message, left_out)
        if not blocks:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if not messages and message.role != "user":
            left_out.append(LeftOut("before-the-first-user-turn", message.seq))
        elif messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    _thoughts_first(messages)
    _without_blank_end(messages)
    texts = [block for message in system for block in _blocks(message, left_out)]
    return AnthropicMessages(texts, messages, tuple(left_out), tuple(moved))


def _apart(messages: Iterable[Message]) -> list[Message]:
    """Without system messages between them, an assistant's become neighbours."""
    joined: list[Message] = []
    for message in messages:
        append(joined, replace(message, blocks=[*message.blocks]))
    return joined


def _blocks(message: Message, left_out: list[LeftOut]) -> list[JsonObject]:
    """What of one message the API takes, in an order that it takes."""
    known = len(left_out)
    served = _served(message)
    told: list[JsonObject] = []
    for block, seq in _in_order(message):
        shape = _shape(block, seq, message.role, served, left_out)
        if isinstance(shape, str):
            left_out.append(LeftOut(shape, seq))
        elif shape:
            told.append(shape)
    while told and told[-1]["type"] in _THOUGHTS:
        told.pop()
        left_out.append(LeftOut("thought-without-answer", message.seq))
    if not told and len(left_out) == known:
        left_out.append(LeftOut("blank", message.seq))
    return told


def _in_order(message: Message) -> list[tuple[Block, int]]:
    """Calls last; but where thoughts come between calls, each stays where it was."""
    calls = [pair for pair in message.blocks if isinstance(pair[0], Call)]
    others = [pair for pair in message.blocks if not isinstance(pair[0], Call)]
    if calls and _is_thought(message.blocks[0][0]):
        first = message.blocks.index(calls[0])
        if any(_is_thought(block) for block, _ in message.blocks[first:]):
            return message.blocks
    return others + calls


def _shape(
    block: Block,
    seq: int,
    role: str,
    served: frozenset[str],
    left_out: list[LeftOut],
) -> JsonObject | str:
    """A block in the API's shape, nothing for blanks, or why it is left out."""
    if isinstance(block, Call):
        return _call(block) if role == "assistant" else "unsupported-part"
    if isinstance(block, Result):
        return _result(block, seq, left_out)
    if block.kind in ("text", "refusal"):
        return _text(block)
    if role == "assistant":
        if block.kind == "thought":
            return _thought(block.part)
        named = block.kind == "unknown" and isinstance(block.part, dict)
        if named and _server_id(block.part) in served:
            part: JsonObject = block.part
            return {key: part[key] for key in part if key != "cache_control"}
    elif role == "user" and block.kind in ("image", "file"):
        return _media(block.part)
    return "thought" if block.kind == "thought" else "unsupported-part"


def _text(block: Said) -> JsonObject:
    if not block.text.strip():
        return {}
    told: JsonObject = {"type": "text", "text": block.text}
    quoted = block.part.get("citations") if isinstance(block.part, dict) else None
    if isinstance(quoted, list) and quoted:
        told["citations"] = quoted
    return told


def _thought(part: JsonObject) -> JsonObject | str:
    """A thought that Anthropic signed: it refuses others, and unsigned ones."""
    kind = part.get("type")
    keys = ("data",) if kind == "redacted_thinking" else ("thinking", "signature")
    if kind not in _THOUGHTS or not all(isinstance(part.get(k), str) for k in keys):
        return "thought-unsigned"
    if not part[keys[-1]]:
        return "thought-unsigned"
    return {"type": kind, **{key: part[key] for key in keys}}


def _call(call: Call) -> JsonObject:
    given = call.object()
    return {
        "type": "tool_use",
        "id": call.id,
        "name": tool_name(call.name),
        "input": {"arguments": call.arguments} if given is None else given,
    }


def _result(result: Result, seq: int, left_out: list[LeftOut]) -> JsonObject:
    told: JsonObject = {"type": "tool_result", "tool_use_id": result.call_id}
    content: Json = []
    if is_parts(result.content):
        for part in result.content:
            kind = kind_of(part)
            said = Said(kind, text_of(part) or "", part)
            shape = _text(said) if kind in ("text", "refusal") else _media(part)
            if isinstance(shape, str):
                left_out.append(LeftOut(shape, seq))
            elif shape:
                content.append(shape)
    else:
        text = result_text(result, seq, left_out)
        content = text if text.strip() else []
    if result.is_error:
        # An error that says nothing is refused.
        return {**told, "content": content or "error", "is_error": True}
    return {**told, "content": content}


def _media(part: Json) -> JsonObject | str:
    if kind_of(part) not in ("image", "file"):
        return "unsupported-part"
    media = media_of(part)
    if isinstance(media, str):
        return media
    picture = kind_of(part) == "image" or media.media_type in PICTURE_TYPES
    if media.url:
        if not media.url.startswith("https://"):
            return "media-not-stored"
        source: JsonObject = {"type": "url", "url": media.url}
    elif picture:
        if media.media_type not in PICTURE_TYPES:
            return "image-type"
        kind, data = media.media_type, media.data
        source = {"type": "base64", "media_type": kind, "data": data}
    else:
        found = _document(media)
        if isinstance(found, str):
            return found
        source = found
    if picture:
        return {"type": "image", "source": source}
    titled = {"title": media.name[:_LONGEST_TITLE]} if media.name.strip() else {}
    return {"type": "document", "source": source, **titled}


def _document(media: Media) -> JsonObject | str:
    if media.file_id:
        return "media-not-stored"
    if media.media_type == "application/pdf":
        kind = media.media_type
        return {"type": "base64", "media_type": kind, "data": media.data}
    text = media.text
    if media.data and media.media_type.startswith("text/"):
        try:
            text = base64.b64decode(media.data).decode()
        except UnicodeDecodeError:
            return "media-malformed"
    if not text.strip():
        return "file-type"
    return {"type": "text", "media_type": "text/plain", "data": text}


def _served(message: Message) -> frozenset[str]:
    """Ids of tools that Anthropic's servers ran: call and result in one message."""
    asked, answered = set[str](), set[str]()
    for block, _ in message.blocks:
        if not isinstance(block, Said) or block.kind != "unknown":
            continue
        if isinstance(block.part, dict):
            asks = block.part.get("type") == "server_tool_use"
            (asked if asks else answered).add(_server_id(block.part))
    return frozenset(filter(_SERVER_ID.fullmatch, asked & answered))


def _server_id(part: JsonObject) -> str:
    kind = part.get("type")
    if kind == "server_tool_use":
        sound = isinstance(part.get("name"), str) and isinstance(
            part.get("input"), dict
        )
        return str(part.get("id")) if sound else ""
    called = isinstance(kind, str) and kind.endswith("_tool_result")
    return str(part.get("tool_use_id")) if called else ""


def _thoughts_first(messages: Iterable[JsonObject]) -> None:
    for message in messages:
        blocks = message["content"]
        if message["role"] == "assistant" and blocks[0]["type"] not in _THOUGHTS:
            blocks.sort(key=lambda block: block["type"] not in _THOUGHTS)


def _without_blank_end(messages: list[JsonObject]) -> None:
    """An answer that the model is to go on with may not end in a blank."""
    if messages and messages[-1]["role"] == "assistant":
        last = messages[-1]["content"][-1]
        if last["type"] == "text":
            last["text"] = last["text"].rstrip()


def _is_thought(block: Block) -> bool:
    return isinstance(block, Said) and block.kind == "thought"
