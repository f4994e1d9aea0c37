"""What tells a message from any other, asked at every step of a run."""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol

from convstore.vocabulary.codec import dumps


def digest_of(serde: SerializerProtocol, message: BaseMessage) -> bytes:
    """A hash of the message as the serialiser writes it."""
    type_, data = serde.dumps_typed(message)
    return hashlib.sha256(type_.encode() + b"\0" + bytes(data)).digest()


class Digests:
    """Digests of the messages that a graph holds just now.

    A run puts the same objects at each step, and to serialise them costs more than to
    write the step. So the digest is kept for as long as the object lives, with its
    fields as they were: what a node changed in place is serialised again. Of dicts and
    lists, which change without their field changing, a hash is kept; messages with
    other objects in them are always serialised.
    """

    def __init__(self) -> None:
        # By the object's number in memory, which another gets when it is gone: so the
        # entry goes with it.
        self._known: dict[int, tuple[Any, dict[str, Any], bytes]] = {}

    def of(self, serde: SerializerProtocol, message: BaseMessage) -> bytes:
        """The digest of a message."""
        known = self._known.get(id(message))
        fields: dict[str, Any] | None = None
        if known is not None and known[0]() is message:
            fields = _as_they_are(message)
            if known[1] == fields:
                return known[2]
        digest = digest_of(serde, message)
        self.know(message, digest, fields)
        return digest

    def know(
        self,
        message: BaseMessage,
        digest: bytes,
        fields: dict[str, Any] | None = None,
    ) -> None:
        """Keep the digest of a message, which was made of what has just that one."""
        fields = _as_they_are(message) if fields is None else fields
        if fields is None:
            return
        place = id(message)
        gone = weakref.ref(message, lambda _: self._known.pop(place, None))
        self._known[place] = gone, fields, digest


def _as_they_are(message: BaseMessage) -> dict[str, Any] | None:
    """The fields of a message, in a form that stays when the message is changed; None
    where there is no telling."""
    if message.__pydantic_extra__:
        return None
    fields = message.__dict__.copy()
    for name, value in fields.items():
        if type(value) is str or value is None:
            continue
        if not value:
            # An empty dict or list may be filled where it is.
            fields[name] = type(value)
            continue
        try:
            told = dumps(value)
        except TypeError:
            return None
        fields[name] = hashlib.sha256(told).digest()
    return fields
