"""Messages of LangChain as steps: one reader for every store and trace with them.

As `message_to_dict` writes them (`{type, data}`), as its serializer does
(`{lc, id, kwargs}`), and bare.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from convstore.imports.chat import role_of
from convstore.imports.fields import text_or_none
from convstore.imports.openai_items import add_content
from convstore.imports.pieces import (
    call_part,
    data_part,
    pointer_part,
    text_part,
    thought_part,
)
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk
from convstore.messages.parts import ROLES
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

_CLASSES = {
    "HumanMessage": "human",
    "AIMessage": "ai",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "function",
    "ChatMessage": "chat",
    "RemoveMessage": "remove",
}
_READ = frozenset(
    "content additional_kwargs response_metadata type name id tool_calls "
    "invalid_tool_calls tool_call_id usage_metadata role status artifact example "
    "tool_call_chunks chunk_position".split()
)
_MOST_KEPT = 8_000


def plain(value: Json) -> tuple[str, JsonObject] | None:
    """The kind of a message and its fields; None for what is none."""
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
    kind = kind.removesuffix("Chunk")
    kind = _CLASSES.get(kind, kind)
    known = kind in _CLASSES.values() or kind in ROLES
    return (
        (kind, fields) if known and ("content" in fields or kind == "remove") else None
    )


def is_message(value: Json) -> bool:
    """Whether a value is a message of LangChain's, in any of the ways."""
    return plain(value) is not None


def said_of(talk: Talk, value: Json, message_id: str, at: datetime | None) -> Said:
    """The step of a message.

    Raises:
        InvalidInputError: It is none.
    """
    found = plain(value)
    if found is None:
        raise InvalidInputError("message", "is no message of LangChain")
    kind, fields = found
    given = fields.get("role") if kind == "chat" else kind
    role, _ = role_of("message.type", given)
    response = _object(fields.get("response_metadata"))
    more = _object(fields.get("additional_kwargs"))
    said = Said(message_id, role, at=at)
    said.name = text_or_none(fields.get("name"))
    said.tool_call_id = text_or_none(fields.get("tool_call_id"))
    if role == "assistant":
        said.model = text_or_none(response.get("model_name") or response.get("model"))
        said.finish_reason = text_or_none(
            response.get("finish_reason") or response.get("stop_reason")
        )
    usage = _object(fields.get("usage_metadata"))
    said.tokens_in = _count(usage.get("input_tokens"))
    said.tokens_out = _count(usage.get("output_tokens"))
    _content(talk, said, fields, more)
    _calls(said, fields, more)
    merge_text(said)
    said.metadata = _kept(fields, more, response)
    talk.source([said], value)
    return said


def _content(
    talk: Talk, said: Said, fields: JsonObject, more: Mapping[str, Json]
) -> None:
    thought = text_or_none(more.get("reasoning_content"))
    if thought:
        said.parts.append(thought_part(thought))
    content = fields.get("content")
    if isinstance(content, str):
        said.content = content
        if content and any(True for _ in said.parts):
            said.parts.append(text_part(content))
        return
    if not isinstance(content, list):
        raise InvalidInputError("content", "must be text or a list")
    for block in content:
        _block(talk, said, block)


def _block(talk: Talk, said: Said, block: Json) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(block, dict) or kind not in (
        "thinking", "reasoning", "tool_use", "tool_call", "image", "file", "audio",
        "function_call",
    ):  # fmt: skip
        add_content(talk, said, block)
    elif kind in ("thinking", "reasoning"):
        told = block.get("thinking") or block.get("reasoning") or block.get("text")
        text = told if isinstance(told, str) else ""
        said.parts.append(thought_part(text, signature=block.get("signature")))
    elif kind in ("image", "file", "audio"):
        _media(talk, said, kind, block)
    # Calls stand in `tool_calls` again.


def _media(talk: Talk, said: Said, kind: str, block: JsonObject) -> None:
    source = _object(block.get("source"))
    data = block.get("data") or block.get("base64") or source.get("data")
    media_type = block.get("mime_type") or source.get("media_type")
    if isinstance(data, str) and isinstance(media_type, str):
        talk.attach(said, data_part(media_type, data), with_bytes=True)
        return
    pointer = text_or_none(block.get("url") or block.get("id") or source.get("url"))
    talk.attach(said, pointer_part(kind, pointer, source=block), with_bytes=False)


def _calls(said: Said, fields: JsonObject, more: Mapping[str, Json]) -> None:
    calls = [
        *_listed(fields.get("tool_calls")),
        *_listed(fields.get("invalid_tool_calls")),
    ]
    for call in calls:
        said.parts.append(
            call_part(
                text_or_none(call.get("id")),
                str(call.get("name") or ""),
                call.get("args"),
            )
        )
    if calls:
        return
    # Older rows have them as OpenAI's API had.
    old = [*_listed(more.get("tool_calls"))]
    if isinstance(more.get("function_call"), dict):
        old.append({"function": more["function_call"]})
    for call in old:
        function = _object(call.get("function"))
        name = str(function.get("name") or "")
        said.parts.append(
            call_part(text_or_none(call.get("id")), name, function.get("arguments"))
        )


def _kept(fields: JsonObject, more: JsonObject, response: JsonObject) -> JsonObject:
    kept: JsonObject = {key: v for key, v in fields.items() if key not in _READ and v}
    left = {
        k: v
        for k, v in more.items()
        if k not in ("reasoning_content", "tool_calls", "function_call")
    }
    if left:
        kept["additional_kwargs"] = left
    if response:
        kept["response_metadata"] = response
    if fields.get("status") == "error":
        kept["error"] = True
    artifact = fields.get("artifact")
    if artifact is not None and len(json.dumps(artifact)) <= _MOST_KEPT:
        kept["artifact"] = artifact
    return kept


def _listed(value: Json) -> list[JsonObject]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict)]


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _count(value: Json) -> int | None:
    return value if type(value) is int and value >= 0 else None
