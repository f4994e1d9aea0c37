"""The noun `attachments`: pictures and files that parts of turns name by hash."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from convstore.db import attachments as rows
from convstore.db.attachment_puts import PutAttachment
from convstore.db.codec.records import attachment_row
from convstore.messages.attached import (
    attachment_of,
    hash_of,
    named_by,
    names_of,
    whole_turn,
    with_bytes,
)
from convstore.repositories.scope import Scope
from convstore.vocabulary.attachments import Attachment
from convstore.vocabulary.errors import (
    AttachmentNotFoundError,
    InvalidInputError,
    LimitExceededError,
)
from convstore.vocabulary.records import Json, Turn

_MEDIA_TYPE = re.compile(r"[\w.+-]{1,80}/[\w.+-]{1,80}", re.ASCII)


class Attachments:
    """Attachments of the scope's tenant, each distinct one once.

    A part names one where a client has a URL: `{"type": "image_url", "image_url":
    {"url": REF}}`, or Base64: `{"data": REF + ";base64"}`. From the commit of such a
    turn on it belongs to the turn's session: it is in the session's document, in the
    archive and back, in forks, and goes when the last session that names it, live,
    archived or deleted, goes for good. One that no session names is kept for a day
    after it was last put, and then removed by `maintain`.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def put(self, data: bytes, *, media_type: str = "") -> str:
        """Keep bytes, and get the name for parts; durable on return, and idempotent.

        Args:
            data: At most `max_attachment_bytes`.
            media_type: Such as `image/png`. That of the first put of these bytes stays.

        Raises:
            InvalidInputError: It is no bytes, or no media type.
            LimitExceededError: There are too many bytes.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidInputError("data", "must be bytes")
        data, most = bytes(data), self._scope.limits.max_attachment_bytes
        if len(data) > most:
            raise LimitExceededError("max_attachment_bytes", most, len(data))
        if not isinstance(media_type, str) or (
            media_type and not _MEDIA_TYPE.fullmatch(media_type)
        ):
            raise InvalidInputError("media_type", "must be such as image/png")
        kept = attachment_of(data, media_type)
        row = attachment_row(self._scope.tenant, kept, self._scope.now())
        await self._scope.runner.write(PutAttachment(row))
        return kept.ref

    async def get(self, ref: str) -> Attachment:
        """The bytes behind a name, with their media type.

        Raises:
            InvalidInputError: It is no name of an attachment.
            AttachmentNotFoundError: Nothing is kept under it.
        """
        found = await self.find(ref)
        if found is None:
            raise AttachmentNotFoundError(hash_of(ref) or "")
        return found

    async def find(self, ref: str) -> Attachment | None:
        """As `get`, with None in place of `AttachmentNotFoundError`."""
        name = hash_of(ref)
        if name is None:
            raise InvalidInputError("ref", "must be a name that `put` gave")
        return (await self._kept({name})).get(name)

    async def inlined(self, value: Json) -> Json:
        """Messages, parts or any other JSON with bytes where attachments are named, for
        a model: data URLs, and Base64 for names with `;base64`. Unknown names stay.
        """
        names = named_by(value)
        return with_bytes(value, await self._kept(names)) if names else value

    async def inlined_turns(self, turns: Sequence[Turn]) -> list[Turn]:
        """Turns with the bytes of their attachments in their parts."""
        names = names_of(turns)
        if not names:
            return list(turns)
        kept = await self._kept(names)
        return [whole_turn(turn, kept) for turn in turns]

    async def _kept(self, names: Collection[str]) -> dict[str, Attachment]:
        tenant = self._scope.tenant
        found = await self._scope.runner.read(lambda c: rows.find(c, tenant, names))
        return {one.hash: one for one in found}
