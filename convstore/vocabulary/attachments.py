"""Attachments: bytes that parts of turns name by their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.record import Record, repr_without

ATTACHMENT = "attachment:sha256:"
"""How the name of an attachment begins: the rest is 64 hexadecimal digits."""


class Attachment(Record, frozen=True):
    """Bytes that parts of turns name by their hash; kept once in a tenant.

    `hash` is their SHA-256 in hexadecimal, `media_type` empty where nobody said one.
    """

    hash: str
    media_type: str
    data: bytes

    def __repr__(self) -> str:
        return repr_without(self, "data")

    @property
    def ref(self) -> str:
        """What a part says in place of the bytes."""
        return f"{ATTACHMENT}{self.hash}"


class NotKeptError(InvalidInputError):
    """A turn names attachments that are not kept in its database; `refs` are those."""

    def __init__(self, refs: Iterable[str]) -> None:
        self.refs = tuple(refs)
        super().__init__("parts", "names an attachment that is not kept: put it first")


def rightly_named(attachments: Iterable[Attachment]) -> tuple[Attachment, ...]:
    """The attachments, each of which is what it is named after.

    Raises:
        ValueError: One is not.
    """
    kept = tuple(attachments)
    if any(hashlib.sha256(one.data).hexdigest() != one.hash for one in kept):
        raise ValueError("an attachment is not what it is named after")
    return kept
