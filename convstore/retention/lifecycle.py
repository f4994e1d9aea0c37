"""What the nouns ask of retention: bring a session back, take one away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeVar

from convstore.archive.archiver import archive
from convstore.archive.context import Context
from convstore.archive.indexer import Indexer
from convstore.archive.ownership import guard
from convstore.archive.read_through import ReadThrough
from convstore.archive.restorer import Restorer
from convstore.concurrency.coalescing import Coalescer
from convstore.db import search_removal, sessions
from convstore.db.archive_entries import StoredEntry
from convstore.db.engine import Connection, Runner, Work
from convstore.db.holds import check_not_held
from convstore.db.unit import Key, Unit
from convstore.erasure.eraser import Eraser
from convstore.retention.purger import purge
from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    CorruptionError,
    LegalHoldError,
    RowCorruptError,
    SessionErasedError,
    SessionNotFoundError,
    VersionConflictError,
)
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Session, SessionDocument

T = TypeVar("T")
_Deletion: TypeAlias = tuple[Key, int | None]


class _Held(Value, frozen=True):
    """A session that another transaction holds; with an entry it is archived by now."""

    entry: StoredEntry | None
    fingerprints: Mapping[Key, bytes]


_Told: TypeAlias = ConvstoreError | _Held | None
"""Why a session is not deleted; None where it is."""

AT_ONCE = 128
"""Sessions that are deleted together: as many as one purge takes."""


class SessionLifecycle:
    """Restores, archives and deletes one session at a time."""

    def __init__(self, context: Context, restorer: Restorer, eraser: Eraser) -> None:
        self._context = context
        self._restorer = restorer
        self._through = ReadThrough(context, restorer)
        self._eraser = eraser
        self._indexer = Indexer(context)
        self._deleting = Coalescer(self._delete_all, at_once=AT_ONCE)

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
        await self._deleting.close()
        await self._through.close()
        await self._restorer.close()

    async def read_many(
        self, runner: Runner, tenant: str, session_ids: Sequence[str]
    ) -> dict[str, SessionDocument]:
        """As `read`, of those that can be had, with one visit to the files."""
        return await self._restorer.read_many(runner, tenant, session_ids)

    async def delete(
        self,
        runner: Runner,
        key: Key,
        *,
        archive: bool,
        expected_version: int | None = None,
    ) -> None:
        """Delete a session; see `Sessions.delete`."""
        if runner.in_transaction:
            raise ConfigError("a session is not deleted inside a transaction")
        if archive:
            while not await self._is_deleted(key, expected_version):
                continue  # somebody wrote to it while it was waited for
            return
        await self._refuse_erased(key)
        await self._eraser.delete_without_archive(key, expected_version)

    async def _is_deleted(self, key: Key, expected_version: int | None) -> bool:
        deletion = key, expected_version
        told = await self._deleting.of(deletion)
        if isinstance(told, _Held):
            # Alone: nobody else waits for whoever holds it.
            if told.entry is None:
                found = await self._delete_some([deletion], waits=True)
            else:
                gone = await self._purge([told.entry], told.fingerprints, waits=True)
                found = {deletion: gone[key]} if gone else {}
            if deletion not in found:
                return False
            told = found[deletion]
        if isinstance(told, ConvstoreError):
            raise told
        return True

    async def _delete_all(
        self, deletions: Sequence[_Deletion]
    ) -> dict[_Deletion, _Told]:
        """Delete sessions that callers asked for at the same time: those of a tenant
        go to one segment. Of each, why it was not."""
        left = list(deletions)
        done: dict[_Deletion, _Told] = {}
        while left:
            # Again those that somebody wrote to, or purged, meanwhile.
            done |= await self._delete_some(left)
            left = [each for each in left if each not in done]
        return done

    async def _delete_some(
        self, deletions: Sequence[_Deletion], *, waits: bool = False
    ) -> dict[_Deletion, _Told]:
        keys = sorted({key for key, _ in deletions})
        found = await self._context.read(lambda c: sessions.find_many(c, keys))
        done: dict[_Deletion, _Told] = {}
        going: dict[str, dict[Key, int]] = {}
        for key, expected in deletions:
            session = found.get(key)
            refused = _refusal(session, key, expected)
            if refused is not None or session is None or session.state == "deleted":
                done[key, expected] = refused
            elif session.state == "archived":
                try:
                    if await self._mark_deleted(key):
                        done[key, expected] = None
                except LegalHoldError as error:  # of this one, placed meanwhile
                    done[key, expected] = error
            else:
                going.setdefault(key[0], {})[key] = session.version
        for tenant, versions in going.items():
            gone = await self._archive_and_purge(tenant, versions, waits)
            done |= {each: gone[each[0]] for each in deletions if each[0] in gone}
        return done

    async def _refuse_erased(self, key: Key) -> None:
        session = await self._context.read(lambda c: sessions.find(c, key))
        if session is not None and session.state == "erased":
            raise SessionErasedError(key[1])

    async def _archive_and_purge(
        self, tenant: str, versions: Mapping[Key, int], waits: bool
    ) -> dict[Key, _Told]:
        """What became of the sessions; not of those that were written to meanwhile."""
        wanted = [(key[1], version) for key, version in versions.items()]
        done = await archive(self._context, tenant, wanted, passes=not waits)
        told: dict[Key, _Told] = {
            key: RowCorruptError(key[1], f"a row ({code})")
            for key, code in done.unreadable.items()
        }
        told |= {key: _Held(None, {}) for key in done.held}
        return told | await self._purge(done.entries, done.fingerprints, waits=waits)

    async def _purge(
        self,
        entries: Sequence[StoredEntry],
        fingerprints: Mapping[Key, bytes],
        *,
        waits: bool = False,
    ) -> dict[Key, _Told]:
        purged = await purge(
            self._context, entries, fingerprints, final_state="deleted", waits=waits
        )
        differs = "the session's rows differ from what was archived"
        told: dict[Key, _Told] = dict.fromkeys(purged.purged)
        told |= {key: CorruptionError(differs) for key in purged.mismatched}
        held = set(purged.held)
        return told | {e.key: _Held(e, fingerprints) for e in entries if e.key in held}

    async def _mark_deleted(self, key: Key) -> bool:
        """An archived session only changes its state: its rows are gone already."""
        await guard(self._context)
        contents = await self._indexer.contents([key])

        def work(connection: Connection) -> bool:
            unit = Unit(connection)
            head = unit.find(key)
            if head is None or head.row["state"] != "archived":
                return False
            check_not_held(head)
            search_removal.forget(connection, [key], contents)
            head.row["state"] = "deleted"
            head.cold = True
            head.touch(self._context.now(), activity=False)
            unit.flush()
            return True

        done = await self._context.write(work)
        await self._context.on_changed([key])
        return done


def _refusal(
    session: Session | None, key: Key, expected_version: int | None
) -> ConvstoreError | None:
    """Why a session is not deleted; None where it is, or may be."""
    if session is None:
        return SessionNotFoundError(key[1])
    if session.state == "erased":
        return SessionErasedError(key[1])
    if session.state == "deleted":
        return None
    if session.hold_count:
        return LegalHoldError((key[1],))
    if expected_version not in (None, session.version):
        assert expected_version is not None
        return VersionConflictError("session", expected_version, session.version)
    return None
