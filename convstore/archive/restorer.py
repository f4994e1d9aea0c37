"""Brings archived sessions back as rows, and reads them without bringing them back.

The file is read and verified outside any transaction; the rows are inserted under a
guard on the stub, so of any number of callers one restores. Callers who wait together
are looked up, read and committed together, as many as there is room for. A frame that
is missing or damaged is an error: never an empty session in its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from convstore.archive.context import Context
from convstore.archive.copies import (
    Copy,
    Found,
    Unreadable,
    as_much_at_once,
    find_copies,
)
from convstore.concurrency.coalescing import Coalescer
from convstore.concurrency.room import Room
from convstore.db import segments, sessions
from convstore.db.codec.documents import DocumentRows, document_rows
from convstore.db.engine import Runner
from convstore.db.lifecycle import RestoreSession
from convstore.db.sizes import BYTES_AT_ONCE
from convstore.db.unit import Key
from convstore.vocabulary.errors import (
    ConvstoreError,
    SegmentCorruptError,
    SessionNotFoundError,
)
from convstore.vocabulary.records import Session, SessionDocument

log = logging.getLogger(__name__)
C = TypeVar("C")

AT_ONCE = 32
"""Copies of one visit to the disk: the next are read while these are committed. Fifty
callers at once get a third more restores than with twice as many, where nothing is left
to be read meanwhile."""

# An erasure may move a session to a rewritten segment between the stub and the file.
_ATTEMPTS = 5


class Restorer:
    """Restores sessions of any tenant through the caller's runner."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._coalescer = Coalescer(self._find, at_once=AT_ONCE)
        # Copies that wait for their commits; the next are read when there is room.
        self._room = Room(BYTES_AT_ONCE)

    async def read(
        self, runner: Runner, tenant: str, session_id: str
    ) -> SessionDocument:
        """The archived document of a session, verified; changes nothing.

        Raises:
            SessionNotFoundError: There is no archived session with this id.
            SegmentCorruptError: Its file is damaged or missing.
            ArchiveAwayError: The archive folder is not there.
        """
        found = await self.made(runner, (tenant, session_id), _itself)
        if found is None:
            raise SessionNotFoundError(session_id, "in the archive")
        return found.content

    async def made(
        self, runner: Runner, key: Key, made_of: Callable[[SessionDocument], C]
    ) -> Copy[C] | None:
        """The copy of a session as what `made_of` makes of it, in the thread that read
        it; None when it is not archived. Errors as `read`."""

        async def find() -> Found[C]:
            return (await find_copies(self._context, runner.read, [key], made_of))[key]

        return await self._once_unmoved(runner, find)

    async def read_many(
        self, runner: Runner, tenant: str, session_ids: Sequence[str]
    ) -> dict[str, SessionDocument]:
        """As `read`, of many with one visit to the disk; by id.

        Those that could not be had are left out: `read` says why. So are those that
        would be too much to hold beside the others.
        """
        keys = [(tenant, session_id) for session_id in session_ids]
        found = await find_copies(
            self._context, runner.read, keys, _itself, room=as_much_at_once
        )
        return {
            session_id: copy.content
            for (_, session_id), copy in found.items()
            if isinstance(copy, Copy)
        }

    async def restore(
        self, runner: Runner, tenant: str, session_id: str, *, deleted_too: bool = False
    ) -> Session:
        """The session as live rows. Idempotent; a live session is given as it is.

        With `deleted_too`, a deleted session that was archived comes back as well.
        """
        step, key = self._context.on_step, (tenant, session_id)
        while True:
            found = await self.copy(runner, key)
            if found is None:
                return await self._as_it_is(runner, key, deleted_too)
            step("restore.read_entry")
            with self._room.holding(found, found.size_bytes):
                session = await runner.write(
                    RestoreSession(
                        key,
                        found.content,
                        found.segment_id,
                        self._context.now(),
                        deleted_too,
                        found.size_bytes,
                    )
                )
            step("restore.after_commit")
            if session.state == "active":
                return session

    async def copy(self, runner: Runner, key: Key) -> Copy[DocumentRows] | None:
        """The copy of a session as rows; None when it is not archived."""
        if not runner.in_transaction:
            return await self._once_unmoved(runner, lambda: self._coalescer.of(key))

        # On the connection of the transaction, which sees its own writes.
        return await self.made(runner, key, document_rows)

    async def close(self) -> None:
        """See those through who wait for a copy. Idempotent."""
        await self._coalescer.close()

    async def _find(self, keys: Sequence[Key]) -> dict[Key, Found[DocumentRows]]:
        context = self._context
        room = self._room.free
        return await find_copies(context, context.read, keys, document_rows, room=room)

    async def _once_unmoved(
        self, runner: Runner, find: Callable[[], Awaitable[Found[C]]]
    ) -> Copy[C] | None:
        """What `find` gives, once no erasure is moving it."""
        for attempt in range(_ATTEMPTS):
            found = await find()
            if not isinstance(found, Unreadable):
                return found
            if not found.moving or attempt == _ATTEMPTS - 1:
                raise await self._quarantined(runner, found)
            await asyncio.sleep(0.01 * attempt)
        raise AssertionError("unreachable")

    async def _as_it_is(self, runner: Runner, key: Key, deleted_too: bool) -> Session:
        """The live session, or the error of what became of it."""
        session = await runner.read(lambda c: sessions.find(c, key))
        if session is None or (session.state == "deleted" and deleted_too):
            raise SessionNotFoundError(key[1])
        return await runner.read(lambda c: sessions.get_usable(c, key, None))

    async def _quarantined(self, runner: Runner, found: Unreadable) -> ConvstoreError:
        """Let verification and `doctor` see it; the file stays for a person to look."""
        segment, error = found.segment, found.error
        if segment is None or not isinstance(error, SegmentCorruptError):
            return error
        log.error(
            "segment %s cannot be read",
            segment.segment_id,
            extra={"event": "segment_corrupt", "segment_id": segment.segment_id},
        )
        if runner.in_transaction:
            return error  # its caller's transaction may hold the only write lock
        problem = error.problem
        await self._context.write(
            lambda c: segments.quarantine(c, segment.segment_id, problem)
        )
        return error


def _itself(document: SessionDocument) -> SessionDocument:
    return document
