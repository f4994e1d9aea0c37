"""Pictures and files in parts, in whichever client's shape they were given. Pure."""

from __future__ import annotations

import base64
import binascii

from convstore.messages.parts import first_text
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Json, JsonObject

PICTURE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""What the APIs of OpenAI and Anthropic see; HEIC, TIFF, SVG and others they refuse."""

_SAME_TYPE = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
}
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_TYPE_KEYS = ("media_type", "mime_type", "mimeType", "mediaType")
_DATA_KEYS = ("data", "base64", "file_data")
_URL_KEYS = ("url", "file_url")


class Media(Value, frozen=True):
    """A picture or file: inline as Base64 in `data`, plain in `text`, or by its `url`.

    `file_id` is one of OpenAI's files.
    """

    media_type: str = ""
    data: str = ""
    url: str = ""
    text: str = ""
    file_id: str = ""
    name: str = ""


def media_of(part: JsonObject) -> Media | str:
    """What a part of kind `image` or `file` holds, or why it cannot be told.

    The media type is what the bytes say, where they are known to say something.
    """
    inner: Json = next(
        (part[key] for key in ("source", "file", "image_url") if key in part), part
    )
    if isinstance(inner, str):
        inner = {"url": inner}
    if not isinstance(inner, dict):
        return "media-malformed"
    kind = first_text(inner, *_TYPE_KEYS) or first_text(part, *_TYPE_KEYS) or ""
    name = first_text(part, "filename", "title") or first_text(inner, "filename") or ""
    file_id = first_text(inner, "file_id") or first_text(part, "file_id")
    data = first_text(inner, *_DATA_KEYS)
    url = first_text(inner, *_URL_KEYS)
    if inner.get("type") == "text" and data is not None:
        return Media("text/plain", text=data, name=name)
    if data is not None and data.startswith("data:"):
        data, url = None, data
    if url is not None and url.startswith("data:"):
        head, comma, data = url.partition(",")
        if not (comma and head.endswith(";base64")):
            return "media-malformed"
        kind = head.removeprefix("data:").partition(";")[0] or kind
    if data is not None:
        return _inline(kind, data, name)
    if url is not None:
        return Media(kind, url=url, name=name)
    # A `file` source is of Anthropic's files, which only its own account can read.
    if file_id and "source" not in part:
        return Media(kind, file_id=file_id, name=name)
    return "media-not-stored"


def _inline(kind: str, data: str, name: str) -> Media | str:
    try:
        whole = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return "media-malformed"
    if not whole:
        return "media-malformed"
    kind = kind.lower()
    kind = type_of_bytes(whole) or _SAME_TYPE.get(kind, kind)
    return Media(kind, data=data, name=name)


def type_of_bytes(whole: bytes) -> str | None:
    """The media type that bytes begin like; None where they tell none that matters to
    a model."""
    for start, kind in _STARTS:
        if whole.startswith(start):
            return kind
    if whole[:4] == b"RIFF" and whole[8:12] == b"WEBP":
        return "image/webp"
    # ISO media: HEIC, AVIF and films, none of which is a picture to these APIs.
    return "image/heif" if whole[4:8] == b"ftyp" else None
