"""Messages of LangChain as steps, for every store and trace with them.

What a message says is read where adapters read it, too; here it becomes the pieces that
all importers write, and what else it holds is kept.
"""

from __future__ import annotations

import json
from datetime import datetime

from convstore.imports.chat import role_of
from convstore.imports.fields import text_or_none
from convstore.imports.openai_items import add_content
from convstore.imports.pieces import (
    call_part,
    data_part,
    pointer_part,
    thought_part,
)
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk
from convstore.messages.langchain_messages import heard, plain
from convstore.messages.parts import Call
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

_MEDIA = ("image", "file", "audio", "video")
_THOUGHTS = ("thinking", "reasoning")
_READ = frozenset(
    "content additional_kwargs response_metadata type name id tool_calls "
    "invalid_tool_calls tool_call_id usage_metadata role status artifact example "
    "tool_call_chunks chunk_position".split()
)
_MOST_KEPT = 8_000


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
    told = heard(kind, fields)
    if not isinstance(told.content, str | list):
        raise InvalidInputError("content", "must be text or a list")
    said = Said(message_id, role, at=at)
    said.name = text_or_none(fields.get("name"))
    said.tool_call_id = text_or_none(fields.get("tool_call_id"))
    said.model, said.finish_reason = told.model, told.finish_reason
    said.tokens_in, said.tokens_out = told.tokens_in, told.tokens_out
    said.content = "" if told.content == "" else None
    for block in told.blocks:
        if isinstance(block, Call):
            said.parts.append(call_part(block.id, block.name, block.arguments))
        elif block.part is None:
            said.parts.append(thought_part(block.text))
        else:
            _add(talk, said, block.part, block.text)
    merge_text(said)
    more = _object(fields.get("additional_kwargs"))
    response = _object(fields.get("response_metadata"))
    said.metadata = _kept(fields, more, response)
    talk.source([said], value)
    return said


def _add(talk: Talk, said: Said, block: Json, text: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(block, dict) or kind not in (*_THOUGHTS, *_MEDIA):
        add_content(talk, said, block)
    elif kind in _THOUGHTS:
        signature = block.get("signature")
        if text or signature:
            said.parts.append(thought_part(text, signature=signature))
    else:
        _media(talk, said, str(kind), block)


def _media(talk: Talk, said: Said, kind: str, block: JsonObject) -> None:
    source = _object(block.get("source"))
    data = block.get("data") or block.get("base64") or source.get("data")
    media_type = block.get("mime_type") or source.get("media_type")
    if isinstance(data, str) and isinstance(media_type, str):
        talk.attach(said, data_part(media_type, data), with_bytes=True)
        return
    pointer = text_or_none(block.get("url") or block.get("id") or source.get("url"))
    talk.attach(said, pointer_part(kind, pointer, source=block), with_bytes=False)


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


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
