"""The text of a message's content, whatever shape a client gave it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from convstore.vocabulary.codec import canonical
from convstore.vocabulary.records import Json

_TEXT_KEYS = ("text", "input_text", "output_text")


def flatten(content: Json) -> str:
    """Content as text: parts joined by newlines.

    A part that holds no text (an image, a file) stands as the hash of its JSON: two
    conversations that differ only in a picture must not look alike.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "\n".join(_part(part) for part in content)
    return _part(content)


def _part(part: Json) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        for key in _TEXT_KEYS:
            if isinstance(part.get(key), str):
                return str(part[key])
    return "sha256:" + hashlib.sha256(canonical(part)).hexdigest()
