"""Turns as the messages that Anthropic's API takes; pure, and no import of its client.

What the API insists on holds for the result: system text apart, the user first, roles
that alternate, and every tool use answered at the head of the very next message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from convstore.messages.windows import TEXT_PARTS
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.records import Json, JsonObject, Turn

_SYSTEM = frozenset({"system", "developer"})
_RESULTS = frozenset({"tool", "function"})
_CALLS = frozenset({"function", "function_call", "tool_call", "tool_use"})


@dataclass(frozen=True, slots=True)
class AnthropicMessages:
    """The `system` and `messages` arguments of one request."""

    system: list[JsonObject] = field(default_factory=list)
    messages: list[JsonObject] = field(default_factory=list)


def to_anthropic_messages(turns: Iterable[Turn]) -> AnthropicMessages:
    """Turns of a branch, oldest first, as the arguments of `messages.create`.

    System and developer turns become blocks of `system`, in their order, wherever they
    stood. `resolved_question` stands in for the content. Function calls of OpenAI's
    two APIs become `tool_use` blocks and their results `tool_result` blocks; parts in
    Anthropic's own shape go through verbatim, shared and not copied.

    Left out is what the API would refuse the whole request for: what comes before the
    first user turn, blank text, and calls without a result, except in the last
    message. A result whose call is not among the turns is told as text. Arguments that
    are not a JSON object stand, as they are, under `arguments` of one.
    """
    system: list[JsonObject] = []
    spoken: list[Turn] = []
    for turn in turns:
        if turn.role in _SYSTEM:
            system += _texts(turn)
        elif spoken or turn.role not in {"assistant", *_RESULTS}:
            spoken.append(turn)
    return AnthropicMessages(system, _settled(_joined(spoken)))


def _joined(turns: Sequence[Turn]) -> list[JsonObject]:
    """Messages whose roles alternate: neighbours of one role become one message."""
    messages: list[JsonObject] = []
    waiting: list[str] = []  # ids of calls without a result so far, oldest first
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = list(_blocks(turn, waiting))
        for block in blocks:
            if block["type"] == "tool_use":
                waiting.append(block["id"])
            elif block["type"] == "tool_result" and block["tool_use_id"] in waiting:
                waiting.remove(block["tool_use_id"])
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role, "content": blocks})
    return messages


def _settled(messages: list[JsonObject]) -> list[JsonObject]:
    """Each result right behind its call, and no call without one."""
    settled: list[JsonObject] = []
    asked: set[str] = set()
    for number, message in enumerate(messages):
        blocks = message["content"]
        if message["role"] == "user":
            blocks = _answered_first(blocks, asked)
            asked = set()
        else:
            following = messages[number + 1 : number + 2]
            blocks, asked = _asked(blocks, following)
        if not blocks or not (settled or message["role"] == "user"):
            asked = set()
            continue
        if settled and settled[-1]["role"] == message["role"]:
            settled[-1]["content"] += blocks
        else:
            settled.append({"role": message["role"], "content": blocks})
    return settled


def _asked(
    blocks: list[JsonObject], following: Sequence[JsonObject]
) -> tuple[list[JsonObject], set[str]]:
    """The blocks with each call that is answered, once; and the ids of those."""
    answered = {b.get("tool_use_id") for m in following for b in m["content"]}
    kept: list[JsonObject] = []
    asked: set[str] = set()
    for block in blocks:
        if block["type"] == "tool_use":
            known = block["id"] in asked
            if known or (following and block["id"] not in answered):
                continue
            asked.add(block["id"])
        kept.append(block)
    return kept, asked


def _answered_first(blocks: list[JsonObject], asked: set[str]) -> list[JsonObject]:
    results, others = [], []
    for block in blocks:
        if block["type"] != "tool_result":
            others.append(block)
        elif block["tool_use_id"] in asked:
            # A second result of one call would be refused.
            asked = asked - {block["tool_use_id"]}
            results.append(block)
        else:
            others += _as_text(block)
    return results + others


def _as_text(result: JsonObject) -> list[JsonObject]:
    content = result.get("content")
    if isinstance(content, list):
        return list(content)
    return [_text(content)] if isinstance(content, str) and content.strip() else []


def _blocks(turn: Turn, waiting: Sequence[str]) -> Iterator[JsonObject]:
    if turn.role in _RESULTS or turn.tool_call_id is not None:
        yield from _results(turn, waiting)
        return
    calls = [part for part in turn.parts or () if _type(part) in _CALLS]
    others = [part for part in turn.parts or () if _type(part) not in _CALLS]
    spoken = turn.resolved_question is None and any(
        _type(part) in TEXT_PARTS for part in others
    )
    if not spoken:
        # Thinking comes before the text that it led to.
        yield from (p for p in others if str(_type(p)).endswith("thinking"))
        yield from _texts(turn)
        others = [p for p in others if not str(_type(p)).endswith("thinking")]
    for part in others:
        if not spoken and _type(part) in TEXT_PARTS:
            continue  # the resolved question stands in for it
        yield from _block(part)
    yield from map(_call, calls)


def _results(turn: Turn, waiting: Sequence[str]) -> Iterator[JsonObject]:
    parts = list(turn.parts or ())
    whole = [p for p in parts if _type(p) in {"tool_result", "function_call_output"}]
    if whole:
        yield from (block for part in whole for block in _block(part))
        return
    content: Json = turn.content or ""
    blocks = [block for part in parts for block in _block(part)]
    if blocks:
        content = blocks
    call_id = turn.tool_call_id or (waiting[0] if waiting else "")
    yield {"type": "tool_result", "tool_use_id": call_id, "content": content}


def _texts(turn: Turn) -> list[JsonObject]:
    text = turn.content if turn.resolved_question is None else turn.resolved_question
    if text is None:
        texts = [p for p in turn.parts or () if _type(p) in TEXT_PARTS]
        return [block for part in texts for block in _block(part)]
    return [_text(text)] if text.strip() else []


def _block(part: Json) -> list[JsonObject]:
    """One part as blocks: none where it is blank, itself where it is one already."""
    kind = _type(part)
    if isinstance(part, str):
        part, kind = {"text": part}, "text"
    if kind is None:
        return [_text(dumps(part).decode())]
    if kind in TEXT_PARTS:
        if kind == "text" and part.get("type") and part["text"].strip():
            return [part]
        return [_text(part["text"])] if part["text"].strip() else []
    if kind == "image_url":
        return [_image(part["image_url"])]
    if kind == "function_call_output":
        output = part.get("output")
        content = output if isinstance(output, str) else dumps(output).decode()
        return [
            {
                "type": "tool_result",
                "tool_use_id": part.get("call_id", ""),
                "content": content,
            }
        ]
    return [part]


def _image(image: Json) -> JsonObject:
    url = image["url"] if isinstance(image, dict) else image
    head, comma, data = url.partition(";base64,")
    if url.startswith("data:") and comma:
        media = head.removeprefix("data:")
        source = {"type": "base64", "media_type": media, "data": data}
    else:
        source = {"type": "url", "url": url}
    return {"type": "image", "source": source}


def _call(part: JsonObject) -> JsonObject:
    if part["type"] == "tool_use":
        return part
    function = part.get("function", part)
    return {
        "type": "tool_use",
        "id": part.get("call_id") or part.get("id") or "",
        "name": function.get("name", ""),
        "input": _input(function.get("arguments")),
    }


def _input(arguments: Json) -> JsonObject:
    """Arguments as an object; the models that write them do not always succeed."""
    given = arguments
    if isinstance(arguments, str):
        try:
            given = decode_json(arguments) if arguments.strip() else {}
        except CorruptionError:
            given = None
    return given if isinstance(given, dict) else {"arguments": arguments}


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _type(part: Json) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else None
