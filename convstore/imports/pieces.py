"""The parts of a turn as importers write them: one shape, whoever said it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from convstore.vocabulary.records import Json, JsonObject

_MEDIA = ("image", "audio", "video")


def text_part(text: str) -> JsonObject:
    """Text among other parts."""
    return {"type": "text", "text": text}


def call_part(call_id: str | None, name: str, arguments: Json) -> JsonObject:
    """A call of a tool: its arguments as JSON text, or free text as it was."""
    if isinstance(arguments, str) and not _is_object(arguments):
        return {
            "type": "custom",
            "id": call_id,
            "custom": {"name": name, "input": arguments},
        }
    if not isinstance(arguments, str):
        arguments = json.dumps({} if arguments is None else arguments)
    return {
        "type": "function",
        "id": call_id,
        "function": {"name": name, "arguments": arguments},
    }


def _is_object(text: str) -> bool:
    begun = text.lstrip()
    if not begun:
        return True  # no arguments at all, as several clients write it
    if not begun.startswith("{"):
        return False
    try:
        return isinstance(json.loads(begun), dict)
    except (ValueError, RecursionError):
        return False


def thought_part(text: str, **kept: Json) -> JsonObject:
    """What a model thought, with a signature or whatever else came with it."""
    more = {key: value for key, value in kept.items() if value is not None}
    return {"type": "reasoning", "text": text, **more}


def image_part(url: str) -> JsonObject:
    """A picture by its URL, most often with its bytes in it."""
    return {"type": "image_url", "image_url": {"url": url}}


def data_part(media_type: str, base64: str, name: str | None = None) -> JsonObject:
    """An attachment whose bytes are here, in base64."""
    url = f"data:{media_type};base64,{base64}"
    return image_part(url) if media_type.startswith("image/") else file_part(url, name)


def file_part(url: str, name: str | None = None) -> JsonObject:
    """A file by a URL that holds its bytes, or by what names them."""
    named = {} if name is None else {"filename": name}
    return {"type": "file", "file": {"file_data": url, **named}}


def pointer_part(
    kind: str,
    pointer: str | None,
    *,
    name: Json = None,
    media_type: Json = None,
    size_bytes: Json = None,
    source: Mapping[str, Json] | None = None,
) -> JsonObject:
    """An attachment whose bytes are elsewhere, with what is known of it.

    `kind` is `image`, `audio`, `video` or `file`, or a media type.
    """
    kind = next((media for media in _MEDIA if kind.startswith(media)), "file")
    known = {
        "pointer": pointer,
        "name": name,
        "media_type": media_type,
        "size_bytes": size_bytes,
        "source": None if source is None else dict(source),
    }
    told = {key: value for key, value in known.items() if value is not None}
    return {"type": "file" if kind == "video" else kind, **told}


def has_bytes(url: Json) -> bool:
    """Whether a URL holds what it names."""
    return isinstance(url, str) and url.startswith("data:")
