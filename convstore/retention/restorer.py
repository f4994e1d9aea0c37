"""Brings archived sessions back as rows, and reads them without bringing them back.

The file is read and verified outside any transaction; the rows are inserted under a
guard on the stub, so of any number of callers one restores. A frame that is missing or
damaged is an error: never an empty session in its place.
"""

from __future__ import annotations

import asyncio
import logging

from convstore.archive.reader import read_document
from convstore.db import segments, sessions
from convstore.db.archive_entries import StoredEntry
from convstore.db.engine import Runner
from convstore.db.lifecycle import RestoreSession
from convstore.db.segments import StoredSegment
from convstore.errors import (
    CorruptionError,
    SegmentCorruptError,
    SegmentNotFoundError,
    SessionNotFoundError,
)
from convstore.records import Session, SessionDocument
from convstore.retention.context import Context

log = logging.getLogger(__name__)

# An erasure may move a session to a rewritten segment between the stub and the file.
_ATTEMPTS = 5


class Restorer:
    """Restores sessions of any tenant through the caller's runner."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def read(
        self, runner: Runner, tenant: str, session_id: str
    ) -> SessionDocument:
        """The archived document of a session, verified; changes nothing.

        Raises:
            SessionNotFoundError: There is no archived session with this id.
            SegmentCorruptError: Its file is damaged or missing.
        """
        found = await self._load(runner, tenant, session_id)
        if found is None:
            raise SessionNotFoundError(session_id, "in the archive")
        return found[0]

    async def restore(
        self, runner: Runner, tenant: str, session_id: str, *, deleted_too: bool = False
    ) -> Session:
        """The session as live rows. Idempotent; a live session is given as it is.

        With `deleted_too`, a deleted session that was archived comes back as well.
        """
        step = self._context.on_step
        while True:
            found = await self._load(runner, tenant, session_id)
            if found is None:
                return await self._as_it_is(runner, tenant, session_id, deleted_too)
            document, segment_id = found
            step("restore.read_entry")
            session = await runner.write(
                RestoreSession(
                    (tenant, session_id),
                    document,
                    segment_id,
                    self._context.now(),
                    deleted_too,
                )
            )
            step("restore.after_commit")
            if session.state == "active":
                return session

    async def _as_it_is(
        self, runner: Runner, tenant: str, session_id: str, deleted_too: bool
    ) -> Session:
        """The live session, or the error of what became of it."""
        key = (tenant, session_id)
        session = await runner.read(lambda c: sessions.find(c, key))
        if session is None or (session.state == "deleted" and deleted_too):
            raise SessionNotFoundError(session_id)
        return await runner.read(lambda c: sessions.get_usable(c, key, None))

    async def _load(
        self, runner: Runner, tenant: str, session_id: str
    ) -> tuple[SessionDocument, str] | None:
        """The document and its segment's id; None when the session is not archived."""
        for attempt in range(_ATTEMPTS):
            place = await runner.read(lambda c: segments.place(c, (tenant, session_id)))
            if place is None or place.session.segment_id is None:
                return None
            entry, segment = place.entry, place.segment
            if entry is None or segment is None:
                if attempt == _ATTEMPTS - 1:
                    raise SegmentCorruptError(
                        place.session.segment_id, "is not in the ledger", (session_id,)
                    )
                await asyncio.sleep(0.01 * attempt)
                continue
            try:
                return await self._read(entry, segment), segment.segment_id
            except SegmentNotFoundError as missing:
                if attempt == _ATTEMPTS - 1:
                    raise await self._quarantined(
                        runner,
                        segment,
                        SegmentCorruptError(
                            segment.segment_id, "the file is missing", (session_id,)
                        ),
                    ) from missing
                await asyncio.sleep(0.01 * attempt)
            except SegmentCorruptError as error:
                raise await self._quarantined(runner, segment, error) from None
        raise AssertionError("unreachable")

    async def _read(
        self, entry: StoredEntry, segment: StoredSegment
    ) -> SessionDocument:
        def work() -> SessionDocument:
            return read_document(
                self._context.blobs,
                segment.key,
                offset=entry.offset,
                length=entry.length,
                sha256=entry.sha256,
                session_id=entry.session_id,
            )

        try:
            document = await self._context.files(work)
        except CorruptionError as error:
            if isinstance(error, SegmentCorruptError):
                raise
            raise SegmentCorruptError(
                segment.segment_id, "cannot be read", (entry.session_id,)
            ) from error
        if document.session.tenant_id != entry.tenant_id:
            raise SegmentCorruptError(
                segment.segment_id,
                "holds another tenant's session",
                (entry.session_id,),
            )
        return document

    async def _quarantined(
        self, runner: Runner, segment: StoredSegment, error: SegmentCorruptError
    ) -> SegmentCorruptError:
        """Let verification and `doctor` see it; the file stays for a person to look."""
        log.error(
            "segment %s cannot be read",
            segment.segment_id,
            extra={"event": "segment_corrupt", "segment_id": segment.segment_id},
        )
        if runner.in_transaction:
            return error  # its caller's transaction may hold the only write lock
        await self._context.write(
            lambda c: segments.quarantine(c, segment.segment_id, error.problem)
        )
        return error
