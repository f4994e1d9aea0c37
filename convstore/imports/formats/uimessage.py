"""`uimessage`: chats of Vercel's AI SDK, as `UIMessage` lists, objects or rows.

One message of the assistant is the whole answer with all its steps: `step-start` and
the results of tools cut it. Messages of version 4, with `toolInvocations`, are read
too; rows with a `chatId` that stand next to each other are one chat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from convstore.imports.chat import role_of
from convstore.imports.fields import id_or_none, text_or_none, time_or_none
from convstore.imports.lists import Listed, conversations_of, id_of, tell_around
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import file_part, has_bytes, image_part, pointer_part
from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk, Vote
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "uimessage"
_DONE = ("output-available", "output-error", "output-denied", "result")


def is_message(value: Json) -> bool:
    """Whether a value is a message by itself."""
    return (
        isinstance(value, dict)
        and "role" in value
        and ("parts" in value or "content" in value)
    )


def read(material: Material) -> Iterator[Found]:
    """All chats."""
    yield from conversations_of(material, is_message, parse_list, _chat_of)


def _chat_of(row: Json) -> str | None:
    return text_or_none(row.get("chatId")) if isinstance(row, dict) else None


def parse_list(listed: Listed) -> ImportedSession:
    """The session of a list of messages."""
    rows = [_object(value) for value in listed.values]
    chat = next((t for row in rows if (t := text_or_none(row.get("chatId")))), None)
    talk = Talk(NAME, chat or listed.session_id(NAME))
    tell_around(talk, listed)
    parent: str | None = None
    for number, value in enumerate(listed.values, 1):
        if not isinstance(value, dict):
            raise InvalidInputError(f"messages[{number - 1}]", "must be an object")
        made = _steps(talk, value, f"messages[{number - 1}]")
        if made:
            talk.source(made, value)
            message_id = id_of(value, number)
            talk.say_all(message_id, parent, made)
            parent = talk.last
            label = id_or_none(value, "feedback")
            if label is not None:
                talk.vote(Vote(f"feedback:{message_id}", message_id, label))
    return talk.session()


def _steps(talk: Talk, message: JsonObject, field: str) -> list[Said]:
    role, _ = role_of(f"{field}.role", message.get("role"))
    meta = _object(message.get("metadata"))
    steps = Steps(talk, role)
    created = message.get("createdAt") or message.get("created_at")
    steps.at = time_or_none(created or meta.get("createdAt"))
    parts = message.get("parts")
    if isinstance(parts, str):
        parts = _decoded(parts)
    if isinstance(parts, list) and parts:
        for part in parts:
            _add(steps, _object(part))
    else:
        _add_old(steps, message)
    for item in _listed(message.get("experimental_attachments")):
        _file(steps, item)
    made = steps.finished()
    if made:
        _finish(made, message, meta)
    return made


def _finish(made: list[Said], message: JsonObject, meta: JsonObject) -> None:
    last = made[-1]
    for said in made:
        if said.role == "assistant":
            said.model = id_or_none(message, "model")
    if meta:
        last.metadata["metadata"] = meta
    if message.get("annotations"):
        last.metadata["annotations"] = message["annotations"]


def _decoded(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _add(steps: Steps, part: JsonObject) -> None:
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        steps.text(part["text"])
    elif kind == "reasoning":
        text = part.get("text") or part.get("reasoning")
        told = part.get("providerMetadata")
        steps.thought(text if isinstance(text, str) else "", provider_metadata=told)
    elif kind == "step-start":
        if steps.done and steps.done[-1].parts and steps.done[-1].role != "tool":
            steps.begin()
    elif kind == "file":
        _file(steps, part)
    elif kind == "tool-invocation":
        _tool(steps, _object(part.get("toolInvocation")))
    elif isinstance(kind, str) and (kind == "dynamic-tool" or kind[:5] == "tool-"):
        _tool(steps, {"toolName": kind.removeprefix("tool-"), **part})
    elif isinstance(kind, str) and kind.startswith(("source", "data-")):
        steps.open.metadata.setdefault("parts", []).append(part)
    else:
        steps.talk.drop(f"part:{kind}" if isinstance(kind, str) else "part")


def _tool(steps: Steps, part: JsonObject) -> None:
    """A call, and its result where it came."""
    asked = part.get("input", part.get("args", part.get("rawInput")))
    call_id, name = part.get("toolCallId"), part.get("toolName")
    more = {k: part[k] for k in ("approval", "providerExecuted") if part.get(k)}
    steps.call(call_id, name, {} if asked is None else asked, more)
    if part.get("state") in _DONE:
        failed = part.get("state") != "output-available" and "errorText" in part
        output = (
            part.get("errorText") if failed else part.get("output", part.get("result"))
        )
        steps.result(call_id, output, name=name, error=failed)


def _add_old(steps: Steps, message: JsonObject) -> None:
    """The content of version 4: what was thought, then calls, then text."""
    if text_or_none(message.get("reasoning")):
        steps.thought(message["reasoning"])
    for call in _listed(message.get("toolInvocations")):
        _tool(steps, call)
    content = message.get("content")
    if isinstance(content, str) and content:
        steps.text(content)
    elif isinstance(content, list):
        for part in content:
            _add(steps, _object(part))


def _file(steps: Steps, part: JsonObject) -> None:
    media_type = str(
        part.get("mediaType") or part.get("mimeType") or part.get("contentType")
    )
    url = text_or_none(part.get("url") or part.get("data"))
    name = text_or_none(part.get("filename") or part.get("name"))
    if has_bytes(url):
        picture = media_type.startswith("image/")
        told = image_part(str(url)) if picture else file_part(str(url), name)
        steps.attach(told, with_bytes=True)
        return
    steps.attach(pointer_part(media_type, url, name=name, media_type=media_type))


def _listed(value: Json) -> list[JsonObject]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict)]


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
