"""Images in the parts of a turn: which they are, and how rows carry them. Pure.

A message holds its images as Base64 beside its text until a format tells it; the format
that can puts a placeholder for each into the content, and the bytes into a column of
their own. Images that are only linked to are not stored, and so not exported.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence

from convstore.export.example import Dropped, Example, Message
from convstore.messages.parts import kind_of
from convstore.vocabulary.records import Json, JsonObject, Turn

IMAGES = "images"
_STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"BM",
    b"II*\0",
    b"MM\0*",
)
"""How PNG, JPEG, GIF, WebP, BMP and TIFF begin."""


def is_image(part: JsonObject) -> bool:
    """Whether a part of a turn is an image, stored or linked to."""
    return kind_of(part) == "image"


def has_images(turns: Iterable[Turn]) -> bool:
    """Whether any turn holds an image."""
    return any(
        isinstance(part, dict) and is_image(part)
        for turn in turns
        for part in turn.parts or ()
    )


def image_of(part: JsonObject) -> str | Dropped:
    """The image of a part as Base64.

    Known are data URLs, as OpenAI tells them, and the `source` of Anthropic.
    """
    data = _base64(part)
    if data is None:
        return Dropped("image-not-stored", fault=False)
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return Dropped("image-malformed")
    return data if raw.startswith(_STARTS) else Dropped("image-malformed")


def pictured(row: Example) -> bool:
    """Whether a message of the row holds an image."""
    for side in (row.prompt, row.answer, row.rejected):
        for message in side:  # a third of the time of any()
            if IMAGES in message:
                return True
    return False


def with_placeholders(
    *sides: Sequence[Message],
) -> tuple[list[list[Message]], list[str]]:
    """The messages with parts in place of text where there are images, and these.

    The images come first in the content, as trainers put them too, and in the order of
    the messages in the list.
    """
    images: list[str] = []
    told = []
    for side in sides:
        messages = []
        for message in side:
            if IMAGES in message:
                images += message[IMAGES]
                message = _parted(message)
            messages.append(message)
        told.append(messages)
    return told, images


def _parted(message: Message) -> Message:
    parts: list[Json] = [{"type": "image"} for _ in message[IMAGES]]
    if message["content"]:
        parts.append({"type": "text", "text": message["content"]})
    plain = {key: value for key, value in message.items() if key != IMAGES}
    return {**plain, "content": parts}


def _base64(part: JsonObject) -> str | None:
    source: Json = part.get("source")
    if isinstance(source, dict):
        data = source.get("data") if source.get("type") == "base64" else None
        return data if isinstance(data, str) else None
    url: Json = part.get("image_url") or part.get("url")
    if isinstance(url, dict):
        url = url.get("url")
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    head, _, data = url.partition(",")
    return data if head.endswith(";base64") else None
