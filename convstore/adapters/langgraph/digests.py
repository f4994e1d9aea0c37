"""What tells a message from any other, asked at every step of a run."""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol


def digest_of(serde: SerializerProtocol, message: BaseMessage) -> bytes:
    """A hash of the message as the serialiser writes it."""
    type_, data = serde.dumps_typed(message)
    return hashlib.sha256(type_.encode() + b"\0" + bytes(data)).digest()


class Digests:
    """Digests of the messages that a graph holds just now.

    A run puts the same objects at each step, and to serialise them costs more than to
    write the step. So the digest is kept for as long as the object lives, with its
    fields as they were: what a node changed in place is serialised again. Messages with
    dicts or lists in them always are, for these change without their field changing.
    """

    def __init__(self) -> None:
        # By the object's number in memory, which another gets when it is gone: so the
        # entry goes with it.
        self._known: dict[int, tuple[Any, dict[str, Any], bytes]] = {}

    def of(self, serde: SerializerProtocol, message: BaseMessage) -> bytes:
        """The digest of a message."""
        place, fields = id(message), message.__dict__
        known = self._known.get(place)
        if known is not None and known[0]() is message and known[1] == fields:
            return known[2]
        digest = digest_of(serde, message)
        if not message.__pydantic_extra__ and all(map(_is_plain, fields.values())):
            gone = weakref.ref(message, lambda _: self._known.pop(place, None))
            self._known[place] = gone, {**fields, **_copies(fields)}, digest
        return digest


def _is_plain(value: object) -> bool:
    """Whether a field changes only by being set anew: text, or nothing at all."""
    return type(value) is str or not value


def _copies(fields: dict[str, Any]) -> dict[str, Any]:
    # An empty dict or list may be filled where it is.
    return {name: type(v)() for name, v in fields.items() if type(v) in (dict, list)}
