"""`pydantic-ai`: message histories of Pydantic AI, one list each.

A request is several turns (system, user, each result), a response one. A later run may
repeat what came before it: messages are told apart by run, time and kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from convstore.imports.extras import derived_id
from convstore.imports.fields import (
    count_or_none,
    text_or_none,
    time_or_none,
)
from convstore.imports.gemini_contents import standard
from convstore.imports.lists import Listed, conversations_of, tell_around
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import data_part, has_bytes, image_part, pointer_part
from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk, digest_of
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "pydantic-ai"
_KINDS = ("request", "response")
_URLS = ("image-url", "audio-url", "video-url", "document-url")


def is_message(value: Json) -> bool:
    """Whether a value is a request or a response."""
    return isinstance(value, dict) and value.get("kind") in _KINDS and "parts" in value


def read(material: Material) -> Iterator[Found]:
    """All conversations, those of several lists with one id as one."""
    yield from conversations_of(material, is_message, _of_list)


def _of_list(listed: Listed) -> ImportedSession:
    talk = Talk(NAME, _session_id(listed))
    tell_around(talk, listed)
    times: defaultdict[str, int] = defaultdict(int)
    instructions: str | None = None
    parent: str | None = None
    for place, message in enumerate(listed.values):
        if not is_message(message) or not isinstance(message["parts"], list):
            raise InvalidInputError(f"[{place}]", "is no request or response")
        name = _name(message)
        times[name] += 1
        message_id = name if times[name] == 1 else f"{name}/{times[name]}"
        told = text_or_none(message.get("instructions"))
        steps = _steps(talk, message)
        if told is not None and told != instructions:
            # What goes before every request is one turn where it begins or changes.
            steps.insert(0, Said("", "system", told, at=_at(message)))
            instructions = told
        if steps:
            talk.source(steps, message)
            talk.say_all(message_id, parent, steps)
            parent = talk.last
    return talk.session()


def _session_id(listed: Listed) -> str:
    for message in listed.values:
        if isinstance(message, dict) and text_or_none(message.get("conversation_id")):
            return str(message["conversation_id"])
    if listed.around:
        return listed.session_id(NAME)
    first = listed.values[0] if listed.values else None
    return derived_id(NAME, first)


def _name(message: JsonObject) -> str:
    """A name for a message that has none: what it has that no other has."""
    parts = [part for part in message["parts"] if isinstance(part, dict)]
    known = {
        "kind": message["kind"],
        "run_id": message.get("run_id"),
        "timestamp": message.get("timestamp")
        or next((part.get("timestamp") for part in parts), None),
    }
    if known["timestamp"] is None:
        known["parts"] = parts
    return digest_of(known)


def _at(message: JsonObject) -> datetime | None:
    return time_or_none(message.get("timestamp"))


def _steps(talk: Talk, message: JsonObject) -> list[Said]:
    answers = message["kind"] == "response"
    steps = Steps(talk, "assistant" if answers else "user")
    steps.at = time_or_none(message.get("timestamp"))
    steps.model = text_or_none(message.get("model_name"))
    for part in message["parts"]:
        if not isinstance(part, dict):
            raise InvalidInputError("parts", "must hold objects")
        if answers:
            _add_answer(steps, part)
        else:
            _add_request(steps, part)
    made = steps.finished()
    if answers and made:
        last, usage = made[-1], message.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        last.tokens_in = count_or_none(
            usage.get("input_tokens", usage.get("request_tokens"))
        )
        last.tokens_out = count_or_none(
            usage.get("output_tokens", usage.get("response_tokens"))
        )
        last.finish_reason = text_or_none(message.get("finish_reason"))
        for name in ("provider_name", "provider_response_id", "run_id"):
            if message.get(name):
                last.metadata[name] = message[name]
    return made


def _add_request(steps: Steps, part: JsonObject) -> None:
    kind, content = part.get("part_kind"), part.get("content")
    at = time_or_none(part.get("timestamp")) or steps.at
    if kind == "system-prompt":
        said = steps.begin(role="system")
        steps.fill(said, content)
    elif kind == "user-prompt":
        said = steps.begin(role="user")
        items = content if isinstance(content, list) else [content]
        for item in items:
            _add_content(steps, said, item)
    elif kind == "tool-return" or (kind == "retry-prompt" and part.get("tool_name")):
        outcome = part.get("outcome")
        said = steps.result(
            part.get("tool_call_id"),
            content,
            name=part.get("tool_name"),
            error=kind == "retry-prompt" or outcome in ("failed", "denied", "retried"),
        )
    elif kind == "retry-prompt":
        said = steps.begin(role="user")
        steps.fill(said, content)
        said.metadata["hidden"] = True
    else:
        steps.talk.drop(f"part:{kind}")
        return
    said.at = at


def _add_content(steps: Steps, said: Said, item: Json) -> None:
    if isinstance(item, str):
        steps.fill(said, [item])
        return
    if not isinstance(item, dict):
        return
    kind, media_type = item.get("kind"), text_or_none(item.get("media_type"))
    if kind == "binary" and isinstance(item.get("data"), str):
        part = data_part(media_type or "image/png", standard(item["data"]))
        steps.talk.attach(said, part, with_bytes=True)
    elif kind in _URLS:
        url = str(item.get("url"))
        if kind == "image-url":
            steps.talk.attach(said, image_part(url), with_bytes=has_bytes(url))
            return
        part = pointer_part(str(kind), url, media_type=media_type, source=item)
        steps.talk.attach(said, part, with_bytes=False)
    else:
        steps.fill(said, [item])


def _add_answer(steps: Steps, part: JsonObject) -> None:
    kind, content = part.get("part_kind"), part.get("content")
    if kind == "text" and isinstance(content, str):
        steps.text(content)
    elif kind == "thinking":
        text = content if isinstance(content, str) else ""
        steps.thought(text, signature=part.get("signature"))
    elif kind in ("tool-call", "builtin-tool-call", "native-tool-call"):
        steps.call(part.get("tool_call_id"), part.get("tool_name"), part.get("args"))
    elif kind in ("builtin-tool-return", "native-tool-return"):
        steps.result(part.get("tool_call_id"), content, name=part.get("tool_name"))
    elif kind == "file" and isinstance(content, dict):
        _add_content(steps, steps.open, {"kind": "binary", **content})
    else:
        steps.talk.drop(f"part:{kind}")
