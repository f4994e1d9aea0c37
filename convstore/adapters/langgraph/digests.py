"""What tells a message from any other, asked at every step of a run."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol

from convstore.vocabulary.codec import dumps

_Told: TypeAlias = tuple[tuple[str, bytes], ...]

_EMPTY: Final[dict[type, Any]] = {dict: {}, list: []}


class _There(weakref.ref[BaseMessage]):
    __slots__ = ("place",)

    place: int


def digest_of(serde: SerializerProtocol, message: BaseMessage) -> bytes:
    """A hash of the message as the serialiser writes it."""
    type_, data = serde.dumps_typed(message)
    return hashlib.sha256(type_.encode() + b"\0" + bytes(data)).digest()


class Digests:
    """Digests of the messages that a graph holds just now.

    A run puts the same objects at each step, and to serialise them costs more than to
    write the step. So the digest is kept for as long as the object lives, with its
    fields as they were: what a node changed in place is serialised again. Of dicts and
    lists that hold something, which change without their field changing, the JSON is
    kept; messages with other objects in them are always serialised.
    """

    def __init__(self) -> None:
        # By the object's number in memory, which another gets when it is gone: so the
        # entry goes with it.
        known: dict[int, tuple[_There, dict[str, Any], _Told, bytes]] = {}
        self._known = known
        # Of messages of each class that are nothing but text: all fields but that.
        self._of_text: dict[type[BaseMessage], tuple[dict[str, Any], _Told]] = {}
        # One for all messages, which a run makes by the hundred.
        self._gone = lambda there: known.pop(there.place, None)

    def of(self, serde: SerializerProtocol, message: BaseMessage) -> bytes:
        """The digest of a message."""
        known = self._known.get(id(message))
        if known is not None:
            there, fields, told, digest = known
            # All fields with one comparison: it is made for every message at each step.
            if (
                there() is message
                and fields == message.__dict__
                and not message.__pydantic_extra__
                and (not told or _told_of(message, [name for name, _ in told]) == told)
            ):
                return digest
        digest = digest_of(serde, message)
        self.know(message, digest)
        return digest

    def know(self, message: BaseMessage, digest: bytes) -> None:
        """Keep the digest of a message, which was made of what has just that one."""
        place, known = id(message), self._known
        if message.__pydantic_extra__:
            known.pop(place, None)
            return
        fields, within = message.__dict__.copy(), []
        for name, value in message.__dict__.items():
            if value is None or type(value) is str:
                continue
            if not value and type(value) in _EMPTY:
                # Another empty one: this one may be filled where it is.
                fields[name] = _EMPTY[type(value)]
            else:
                within.append(name)
        told = _told_of(message, within) if within else ()
        if told is None:
            known.pop(place, None)
            return
        there = _There(message, self._gone)
        there.place = place
        known[place] = there, fields, told, digest

    def know_text(self, message: BaseMessage, digest: bytes) -> None:
        """As `know`, in half the time, of a message that `maker_of` has just made."""
        kind = type(message)
        if (like := self._of_text.get(kind)) is None:
            self.know(message, digest)
            if (known := self._known.get(id(message))) is not None:
                # Nothing that anybody said.
                given = {**known[1], "content": "", "id": None}
                self._of_text[kind] = given, known[2]
            return
        fields, said = like[0].copy(), message.__dict__
        fields["content"], fields["id"] = said["content"], said["id"]
        there = _There(message, self._gone)
        there.place = place = id(message)
        self._known[place] = there, fields, like[1], digest


def _told_of(message: BaseMessage, names: Iterable[str]) -> _Told | None:
    """Fields as JSON, which stays when they are changed where they are; None where
    there is no telling."""
    try:
        return tuple((name, dumps(message.__dict__[name])) for name in names)
    except TypeError:
        return None
