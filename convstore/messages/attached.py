"""Attachments as parts name them: by the hash of their bytes. Pure.

A part says `attachment:sha256:HASH` where a client has a URL or Base64. What such a
name becomes again is behind it: nothing for a data URL of the type that the bytes were
put with, `;type=image/png` for one of that type, `;base64` for the Base64 alone. Text
is never a name, whatever it says: the values of `text`, and what is no value of a key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from convstore.vocabulary.attachments import ATTACHMENT, Attachment
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import (
    Json,
    SessionDocument,
    Turn,
)

_NAME = re.compile(
    rf"{ATTACHMENT}([0-9a-f]{{64}})(?:;(base64)|;type=([\w.+-]+/[\w.+-]+))?", re.ASCII
)
_IN_JSON = re.compile(rf'(?<!"text"):"{ATTACHMENT}([0-9a-f]{{64}})[";]', re.ASCII)
_DATA_URL = re.compile(r"data:([\w.+-]{1,80}/[\w.+-]{1,80});base64,", re.ASCII)
_BASE64_KEYS = frozenset({"data", "base64", "b64_json", "file_data"})
_TEXT = "text"


def hashes_in(parts: str | None) -> set[str]:
    """The hashes that parts name, which come as the JSON text that is stored."""
    if parts is None or ATTACHMENT not in parts:
        return set()
    return set(_IN_JSON.findall(parts))


def hash_of(ref: object) -> str | None:
    """The hash that a name has; None where it is no name."""
    found = _NAME.fullmatch(ref) if isinstance(ref, str) else None
    return None if found is None else found[1]


def named_by(value: Json) -> set[str]:
    """The hashes that are named anywhere in a value."""
    found: set[str] = set()

    def note(_: str, text: str) -> str:
        if (name := hash_of(text)) is not None:
            found.add(name)
        return text

    _replaced(value, note)
    return found


def with_bytes(value: Json, kept: Mapping[str, Attachment]) -> Json:
    """The value with bytes in place of their names; unknown names stay."""

    def told(_: str, text: str) -> str:
        name = _NAME.fullmatch(text)
        one = None if name is None else kept.get(name[1])
        if name is None or one is None:
            return text
        data = base64.b64encode(one.data).decode()
        kind = name[3] or one.media_type or "application/octet-stream"
        return data if name[2] else f"data:{kind};base64,{data}"

    return _replaced(value, told)


def taken_apart(value: Json, most: int) -> tuple[Json, list[Attachment]]:
    """The value with names in place of bytes of more than `most` characters, and these.

    Only what comes back exactly is taken: data URLs and Base64 as everybody writes it.
    """
    kept: dict[str, Attachment] = {}

    def told(key: str, text: str) -> str:
        if len(text) <= most:
            return text
        url = _DATA_URL.match(text)
        if url is None and key not in _BASE64_KEYS:
            return text
        encoded = text[url.end() :] if url else text
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return text
        if base64.b64encode(data).decode() != encoded:
            return text
        kind = url[1] if url else ""
        one = attachment_of(data, kind)
        kept.setdefault(one.hash, one)
        return one.ref + (f";type={kind}" if url else ";base64")

    return _replaced(value, told), list(kept.values())


def chars_in(value: Json) -> int:
    """Characters of all text in a value."""
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            count += len(item)
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
    return count


def attachment_of(data: bytes, media_type: str) -> Attachment:
    """The record of some bytes."""
    return Attachment(hashlib.sha256(data).hexdigest(), media_type, data)


def inlined(document: SessionDocument) -> SessionDocument:
    """The document with the bytes of its attachments in its turns, and no attachments:
    for whoever shows or trains on what was said."""
    if not document.attachments:
        return document
    kept = {one.hash: one for one in document.attachments}
    turns = tuple(whole_turn(turn, kept) for turn in document.turns)
    return replace(document, turns=turns, attachments=())


def whole_turn(turn: Turn, kept: Mapping[str, Attachment]) -> Turn:
    """The turn with bytes in place of names in its parts."""
    if not turn.parts or not hashes_in(dumps(turn.parts).decode()):
        return turn
    return replace(turn, parts=with_bytes(turn.parts, kept))


def names_of(turns: Iterable[Turn]) -> set[str]:
    """The hashes that the parts of turns name."""
    return {name for turn in turns if turn.parts for name in named_by(turn.parts)}


def _replaced(value: Json, told: Callable[[str, str], str], key: str = _TEXT) -> Json:
    """The value with other text where `told` gives some, of key and text; the very
    same value where it gives none."""
    if isinstance(value, str):
        return value if key == _TEXT else told(key, value)
    if isinstance(value, list):
        made: Json = [_replaced(item, told) for item in value]
    elif isinstance(value, dict):
        made = {name: _replaced(item, told, name) for name, item in value.items()}
    else:
        return value
    return value if made == value else made
