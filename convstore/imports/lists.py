"""Files that hold a conversation as a list of its messages. Pure.

One list a file, one list a line, or an object with the list and an id: which of them,
each record tells. Messages that stand one to a line are one conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from convstore.imports.extras import derived_id
from convstore.imports.fields import (
    TIME_KEYS,
    first_time,
    id_or_none,
    language_or_none,
    tags_of,
    time_or_none,
    title_or_none,
)
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.rowsets import MOST_ROWS
from convstore.imports.talk import Talk, Vote
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

_KEYS = ("messages", "items", "history", "message_history")
_ID_KEYS = ("id", "session_id", "conversation_id", "thread_id", "chatId")
_USER_KEYS = ("user_id", "userId", "user")
_OTHER_KEYS = ("createdAt", "title", "tags", "language", "lang", "model", "feedback")
_READ = frozenset((*_ID_KEYS, *_USER_KEYS, *TIME_KEYS, *_OTHER_KEYS))
_MOST_BYTES = 256 * 1024 * 1024
"""Of one conversation whose messages are records of their own."""


@dataclass(slots=True)
class Listed:
    """The messages of one conversation.

    Attributes:
        values: As they stand in the file.
        name: What the file is called, without its ending.
        around: The object that holds the list; empty where there is none.
        alone: Whether the file holds this one list and nothing else.
    """

    values: list[Json]
    name: str
    around: JsonObject = field(default_factory=dict)
    alone: bool = False

    def session_id(self, format_name: str) -> str:
        """The id that the source gives; the file's name where it is a conversation by
        itself; else one from the first message, which stays when others follow."""
        named = id_or_none(self.around, *_ID_KEYS)
        if named is not None:
            return named
        first = self.values[0] if self.values else None
        if self.alone and not _dated(first):
            return f"{format_name}:{self.name}"
        return derived_id(format_name, first)


def tell_around(talk: Talk, listed: Listed) -> None:
    """Take what the object around the list says of the conversation: whose it is, its
    title, tags, language and time, the model of its answers, a judgement of it. What
    else it says, and what of these cannot be read, is kept in the metadata."""
    around = listed.around
    talk.user_id = id_or_none(around, *_USER_KEYS)
    talk.title, talk.tags = around.get("title"), around.get("tags")
    talk.language = language_or_none(around.get("language") or around.get("lang"))
    talk.created_at = first_time(around) or time_or_none(around.get("createdAt"))
    talk.model = id_or_none(around, "model")
    label = id_or_none(around, "feedback")
    if label is not None:
        talk.vote(Vote("feedback", None, label))
    read: list[Json] = [talk.user_id, talk.language, talk.model, label]
    read += [id_or_none(around, *_ID_KEYS), title_or_none(talk.title)]
    read.append(list(tags_of(talk.tags)))
    talk.metadata |= {
        key: value
        for key, value in around.items()
        if key not in _READ
        or (value not in read and time_or_none(value) != talk.created_at)
    }


def _dated(message: Json) -> bool:
    """Whether a message is like no other: it has an id or a time."""
    if not isinstance(message, dict):
        return False
    keys = ("id", "timestamp", "created_at", "createdAt", "run_id")
    return any(message.get(key) for key in keys)


def id_of(message: Json, number: int) -> str:
    """The id of a message, or its place in a list that only grows at its end."""
    named = id_or_none(message, "id", "uuid") if isinstance(message, dict) else None
    return named or f"message-{number}"


def conversations_of(
    material: Material,
    is_message: Callable[[Json], bool],
    make: Callable[[Listed], ImportedSession],
    key: Callable[[Json], str | None] = lambda _: None,
) -> Iterator[Found]:
    """The conversations of all files; messages that stand by themselves are one
    conversation as long as they have one key."""
    for name in material.names:
        stem = _stem(name)
        loose: list[Json] = []
        size = lists = 0
        before: str | None = None
        for record in material.records(name):
            if isinstance(record, Rejected):
                yield material.told(record, name)
                continue
            value = record.value
            if not is_message(value):
                lists += 1
                yield _made(
                    material, name, record.number, record.data, value, stem, make
                )
                continue
            if loose and key(value) != before:
                yield _loose(material, name, loose, stem, make)
                loose, size, lists = [], 0, lists + 1
            before = key(value)
            size += len(record.data)
            if len(loose) >= MOST_ROWS or size > _MOST_BYTES:
                told = "record: the conversation has too many messages"
                yield material.rejected(name, record.number, told, record.data)
                continue
            loose.append(value)
        if loose:
            yield _loose(material, name, loose, stem, make, alone=lists == 0)


def _loose(
    material: Material,
    name: str,
    values: list[Json],
    stem: str,
    make: Callable[[Listed], ImportedSession],
    *,
    alone: bool = False,
) -> Found:
    listed = Listed(values, stem, alone=alone)
    return _attempt(material, name, 1, b"", lambda: make(listed))


def _made(
    material: Material,
    name: str,
    number: int,
    data: bytes,
    value: Json,
    stem: str,
    make: Callable[[Listed], ImportedSession],
) -> Found:
    def attempt() -> ImportedSession:
        if isinstance(value, list):
            return make(Listed(value, stem))
        if isinstance(value, dict):
            for key in _KEYS:
                if isinstance(value.get(key), list):
                    around = {k: v for k, v in value.items() if k != key}
                    return make(Listed(value[key], stem, around))
        raise InvalidInputError("record", "holds no list of messages")

    return _attempt(material, name, number, data, attempt)


def _attempt(
    material: Material,
    name: str,
    number: int,
    data: bytes,
    make: Callable[[], ImportedSession],
) -> Found:
    try:
        return make()
    except (InvalidInputError, CorruptionError) as error:
        return material.rejected(name, number, str(error), data)


def _stem(name: str) -> str:
    for ending in (".gz", ".zst", ".jsonl", ".ndjson", ".json"):
        name = name.removesuffix(ending)
    return name
