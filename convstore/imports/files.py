"""Takes in what a conversation points to and what lies beside it.

A part that is only a pointer becomes one that names its bytes by their hash; the bytes
themselves are read again, one file at a time, when the conversation is stored.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from convstore.imports.members import Beside
from convstore.imports.model import ImportedSession, SourceFile
from convstore.imports.pieces import file_part, image_part
from convstore.messages.media import PICTURE_TYPES
from convstore.messages.parts import kind_of
from convstore.vocabulary.attachments import ATTACHMENT
from convstore.vocabulary.records import Json, JsonObject, TurnInput

MOST_BYTES = 256 * 1024 * 1024
"""Of the files of one conversation: a whole session is read at once."""

_ATTACHED = ("image", "audio", "file")
_IDS = ("id", "file_id", "file_uuid")
_TYPE = re.compile(r"[\w.+-]{1,80}/[\w.+-]{1,80}", re.ASCII)
_UNKNOWN = "application/octet-stream"
_BOXES = "image/heif"
"""Films and recordings begin like this picture."""


def with_files(
    session: ImportedSession, beside: Beside, most_bytes: int
) -> ImportedSession:
    """The session with the files that lie beside it in place of pointers to them.

    A file of more than `most_bytes` stays a pointer, and is counted in `left_out`.
    """
    if not (session.without_bytes and beside):
        return session
    taking = _Taking(beside, most_bytes)
    turns = tuple(map(taking.turn, session.turns))
    if not (taking.count or taking.left_out):
        return session
    return replace(
        session,
        turns=turns,
        files=tuple(taking.files.values()),
        without_bytes=max(0, session.without_bytes - taking.count),
        left_out=(*session.left_out, *taking.left_out),
    )


@dataclass(slots=True)
class _Taking:
    """The files of one conversation while they are found."""

    beside: Beside
    most_bytes: int
    files: dict[str, SourceFile] = field(default_factory=dict)
    known: dict[str, SourceFile] = field(default_factory=dict)
    full: bool = False
    left_out: list[str] = field(default_factory=list)
    count: int = 0
    size_bytes: int = 0

    def turn(self, turn: TurnInput) -> TurnInput:
        parts = [self._part(part) for part in turn.parts or ()]
        return turn if parts == (turn.parts or []) else replace(turn, parts=parts)

    def _part(self, part: Json) -> Json:
        if not isinstance(part, dict) or kind_of(part) not in _ATTACHED:
            return part
        for pointer in _pointers(part):
            name = self.beside.find(pointer)
            kept = None if name is None else self._kept(name, part)
            if kept is not None:
                self.count += 1
                return _with_bytes(part, kept)
        return part

    def _kept(self, name: str, part: JsonObject) -> SourceFile | None:
        """The file of this name, unless it cannot be taken in."""
        beside, most = self.beside, self.most_bytes
        if name in self.known:
            return self.known[name]
        seen = None if self.full else beside.seen(name, most)
        if seen is not None and seen.hash in self.files:
            return self.files[seen.hash]
        self.full |= seen is not None and self.size_bytes + seen.size_bytes > MOST_BYTES
        if seen is None or self.full:
            kind = "file_of_too_many" if self.full else "file_unread"
            self.left_out.append(kind)
            return None
        self.size_bytes += seen.size_bytes
        file = self.files[seen.hash] = SourceFile(
            seen.hash,
            _media_type(seen.kind, part, name),
            seen.size_bytes,
            lambda: beside.read(name, most) or b"",
        )
        self.known[name] = file
        return file


def _pointers(part: JsonObject) -> Iterator[str]:
    """What may say where the bytes are, the surest first. What holds text or bytes by
    itself points to nothing."""
    if "text" in part or "file" in part:
        return
    source, url = part.get("source"), part.get("image_url")
    given = [part.get("pointer"), part.get("id")]
    given += [source.get(key) for key in _IDS] if isinstance(source, dict) else []
    given += [url.get("url")] if isinstance(url, dict) else []
    for pointer in given:
        if isinstance(pointer, str) and not pointer.startswith("data:"):
            yield pointer


def _with_bytes(part: JsonObject, file: SourceFile) -> JsonObject:
    """The part that names a file, with what the pointer said beside it."""
    ref = f"{ATTACHMENT}{file.hash};type={file.media_type}"
    name = part.get("name")
    if file.media_type in PICTURE_TYPES:
        made = image_part(ref)
    else:
        made = file_part(ref, name if isinstance(name, str) else None)
    return {**made, "pointed": {k: v for k, v in part.items() if k != "type"}}


def _media_type(seen: str | None, part: JsonObject, name: str) -> str:
    """What the bytes are: what they say themselves, what the source says, or what the
    file is called."""
    if seen is not None and seen != _BOXES:
        return seen
    source = part.get("source")
    inner = source if isinstance(source, dict) else {}
    told = (part.get("media_type"), inner.get("mime_type"), inner.get("mimetype"))
    called = (mimetypes.guess_type(str(n))[0] for n in (part.get("name") or "", name))
    for kind in (*told, *called, seen):
        if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
            continue
        # What begins otherwise is no such picture, whatever it is called.
        if kind not in PICTURE_TYPES:
            return kind
    return _UNKNOWN
