"""What the nouns ask of retention: bring a session back, take one away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from convstore.archive.archiver import archive
from convstore.archive.context import Context
from convstore.archive.indexer import Indexer
from convstore.archive.ownership import guard
from convstore.archive.read_through import ReadThrough
from convstore.archive.restorer import Restorer
from convstore.db import search_removal, sessions
from convstore.db.engine import Connection, Runner, Work
from convstore.db.unit import Head, Key, Unit
from convstore.erasure.eraser import Eraser
from convstore.retention.purger import purge
from convstore.vocabulary.errors import (
    ConfigError,
    CorruptionError,
    LegalHoldError,
    RowCorruptError,
    SessionErasedError,
    SessionNotFoundError,
)
from convstore.vocabulary.records import Session, SessionDocument

T = TypeVar("T")


class SessionLifecycle:
    """Restores, archives and deletes one session at a time."""

    def __init__(self, context: Context, restorer: Restorer, eraser: Eraser) -> None:
        self._context = context
        self._restorer = restorer
        self._through = ReadThrough(context, restorer)
        self._eraser = eraser
        self._indexer = Indexer(context)

    async def revive(self, runner: Runner, key: Key) -> None:
        """Bring an archived session back, through the caller's runner."""
        await self._restorer.restore(runner, *key)

    async def read_archived(
        self, runner: Runner, key: Key, work: Work[T]
    ) -> tuple[T, ...]:
        """Read an archived session where it lies; see `ReadThrough.read`."""
        return await self._through.read(runner, key, work)

    async def close(self) -> None:
        """Let go of what was read of the archive; who waits is served. Idempotent."""
        await self._through.close()
        await self._restorer.close()

    async def read_many(
        self, runner: Runner, tenant: str, session_ids: Sequence[str]
    ) -> dict[str, SessionDocument]:
        """As `read`, of those that can be had, with one visit to the files."""
        return await self._restorer.read_many(runner, tenant, session_ids)

    async def delete(self, runner: Runner, key: Key, *, archive: bool) -> None:
        """Delete a session; see `Sessions.delete`."""
        if runner.in_transaction:
            raise ConfigError("a session is not deleted inside a transaction")
        if not archive:
            await self._refuse_erased(key)
            await self._eraser.delete_without_archive(key)
            return
        while not await self._delete_once(key):
            continue  # somebody wrote to it, or purged it, meanwhile: look again

    async def _delete_once(self, key: Key) -> bool:
        session = await self._context.read(lambda c: sessions.find(c, key))
        if session is None:
            raise SessionNotFoundError(key[1])
        if session.state == "erased":
            raise SessionErasedError(key[1])
        if session.state == "deleted":
            return True
        if session.hold_count:
            raise LegalHoldError((key[1],))
        if session.state == "archived":
            return await self._mark_deleted(key)
        return await self._archive_and_purge(key, session)

    async def _refuse_erased(self, key: Key) -> None:
        session = await self._context.read(lambda c: sessions.find(c, key))
        if session is not None and session.state == "erased":
            raise SessionErasedError(key[1])

    async def _archive_and_purge(self, key: Key, session: Session) -> bool:
        """Whether it is gone; False when it was written to meanwhile: look again."""
        done = await archive(self._context, key[0], [(key[1], session.version)])
        if key in done.unreadable:
            raise RowCorruptError(key[1], f"a row ({done.unreadable[key]})")
        purged = await purge(
            self._context,
            done.entries,
            done.fingerprints,
            final_state="deleted",
            waits=True,
        )
        if purged.mismatched:
            raise CorruptionError("the session's rows differ from what was archived")
        return bool(purged.purged)

    async def _mark_deleted(self, key: Key) -> bool:
        """An archived session only changes its state: its rows are gone already."""
        await guard(self._context)
        contents = await self._indexer.contents([key])

        def work(connection: Connection) -> bool:
            unit = Unit(connection)
            head = unit.find(key)
            if head is None or head.row["state"] != "archived":
                return False
            _refuse_held(head)
            search_removal.forget(connection, [key], contents)
            head.row["state"] = "deleted"
            head.cold = True
            head.touch(self._context.now(), activity=False)
            unit.flush()
            return True

        done = await self._context.write(work)
        await self._context.on_changed([key])
        return done


def _refuse_held(head: Head) -> None:
    if head.row["hold_count"]:
        raise LegalHoldError((head.row["session_id"],))
