"""Destroys what must not be kept: erasure of a person, deletion without an archive, and
archives that have expired.

Rows go first, in transactions that end every read and write of the session; then the
copies in the archive, see `sweeper`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import islice

from convstore.archive.archiver import destroy_marked
from convstore.archive.context import DEAD_AFTER_S, Context
from convstore.archive.indexer import Indexer
from convstore.archive.ownership import claim, guard
from convstore.db import (
    actors,
    erasures,
    lifecycle,
    schema,
    search_removal,
    segments,
)
from convstore.db.engine import Connection
from convstore.db.erasures import StoredErasure
from convstore.db.holds import refuse_held
from convstore.db.search_contents import Content
from convstore.db.unit import Key, Unit
from convstore.erasure.counting import ACTS_UNTIL, Count
from convstore.erasure.naming import note_actors, unnoted
from convstore.erasure.renaming import (
    cancel_writing,
    clean_copies,
    find_renaming,
    rename_rows,
)
from convstore.erasure.sweeper import Sweeper, Swept, concerned
from convstore.erasure.tombstones import write_tombstone
from convstore.erasure.users import Subject, destroy_items, forget_costs
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.errors import (
    ArchiveAwayError,
    ArchiveTakenError,
    ConfigError,
    DatabaseBusyError,
    LegalHoldError,
    SessionNotFoundError,
    UnavailableError,
)
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.reports import ErasureReceipt

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Sessions of one transaction."""

# Each waits a second for readers to finish.
_LOG_TRIES = 3


class Eraser:
    """Erases, and sweeps the archive of what is not wanted any more."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._indexer = Indexer(context)
        self._sweeper = Sweeper(context)
        self.sweep = self._sweeper.sweep

    async def erase(
        self,
        tenant: str,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        erasure_id: str | None = None,
        also: Callable[[Connection, StoredErasure], None] | None = None,
    ) -> ErasureReceipt:
        """Destroy a user's data, or a session's, everywhere; the receipt is kept.

        Args:
            tenant: Whose.
            user_id: The user.
            session_id: Or the session.
            erasure_id: Of an erasure that other databases carry out too.
            also: Written in the commit that begins it.

        Raises:
            LegalHoldError: Sessions of the user are under hold, or others in which they
                have done something; nothing was destroyed.
            SessionNotFoundError: There is no such session. A user without sessions
                gives a receipt about none.
        """
        context, now = self._context, self._context.now()
        subject, subject_id = (
            ("session", session_id) if session_id else ("user", user_id)
        )
        salt = secrets.token_hex(16)

        def work(connection: Connection) -> StoredErasure:
            keys = _keys(connection, tenant, user_id, session_id)
            refuse_held(Unit(connection), keys)
            # Forked from one of them before it was locked: that is theirs too.
            while (now_there := _keys(connection, tenant, user_id, session_id)) != keys:
                keys = now_there
                refuse_held(Unit(connection), keys)
            if user_id and (held := actors.held(connection, tenant, user_id)):
                raise LegalHoldError(tuple(held))
            begun = StoredErasure(
                tenant_id=tenant,
                erasure_id=erasure_id or new_id(),
                subject=subject,
                subject_hash=erasures.subject_hash(subject_id or "", salt),
                salt=salt,
                session_ids=tuple(session for _, session in keys),
                state="begun",
                receipt={ACTS_UNTIL: until},
                requested_at=now,
                done_at=None,
            )
            erasures.begin(connection, begun)
            if also is not None:
                also(connection, begun)
            return begun

        until = now
        if user_id:
            await self._note_actors(tenant)
            # What is dated ahead was done before, too.
            last = await context.read(lambda c: actors.last_act(c, tenant, user_id))
            until = max(now, last)
        context.on_step("erase.begin")
        return await self.carry_out(await context.write(work), user_id=user_id)

    async def carry_out(
        self, erasure: StoredErasure, *, told: bool = False, user_id: str | None = None
    ) -> ErasureReceipt:
        """Do what a begun erasure says. Idempotent: also after a crash, or again.

        With `told`, it is one that the archive folder tells of, whosever that is.
        `user_id` is whose, where that is known, and need not be looked for.

        Rows go in any case. Where the folder is not proven to be this database's, the
        receipt is open: `waits_for` says why, `segments_waiting` where copies are, and
        the next recovery that finds the folder goes on.

        Raises:
            LegalHoldError: A hold was placed after it was begun; it stays begun.
            SegmentCorruptError: A segment with a copy is damaged so that it cannot be
                told where other sessions lie in it; it stays begun.
            ConfigError: The archive folder is another database's; it stays begun.
            DatabaseBusyError: A reader keeps the write-ahead log, with what was erased
                in it, from being cleared, or other erasures keep a segment from being
                rewritten; it stays begun.
        """
        context, count = self._context, Count.so_far(erasure)
        keys = [(erasure.tenant_id, session_id) for session_id in erasure.session_ids]
        for some in _chunks(keys):
            await self._blank(some, "erased", count=count)
        whose = Subject(context, erasure, user_id)
        await destroy_items(whose, count)
        renaming = await find_renaming(whose)
        changed = renaming is not None and await rename_rows(context, renaming, count)
        if count.renamed and not changed:
            await cancel_writing(context)  # who renamed them may have died before it
        try:
            swept, unread = await self._clean_archive(whose, keys, count, told=told)
        except (ArchiveAwayError, ArchiveTakenError) as error:
            return await self._leave_open(whose, keys, count, error.code)
        # The last of all: until its sessions are gone, somebody may charge them.
        await forget_costs(whose, count)
        index = await self._indexer.tidy(count.rows.get("search_entries", 0))
        await self._clear_log()
        receipt = replace(
            count.receipt(erasure, context.backend.dialect.residue),
            index=index,
            segments_rewritten=tuple(swept.rewritten),
            shards_rewritten=swept.shards,
            segments_damaged=tuple(swept.damaged),
            segments_missing=tuple(swept.missing),
            segments_unread=tuple(unread),
        )
        return await self._finish(receipt)

    async def _finish(self, receipt: ErasureReceipt) -> ErasureReceipt:
        """Keep the receipt: nothing is left."""
        context, done_at = self._context, self._context.now()
        done = replace(receipt, done_at=from_micros(done_at))

        def work(connection: Connection) -> None:
            # A user without sessions has come by no other look at the revision.
            schema.hold(connection)
            erasures.finish(
                connection, done.tenant_id, done.erasure_id, asdict(done), done_at
            )

        await context.write(work)
        context.on_step("erase.after_commit")
        return done

    async def _clean_archive(
        self, whose: Subject, keys: Sequence[Key], count: Count, *, told: bool
    ) -> tuple[Swept, list[str]]:
        """Note the erasure in the archive folder, destroy every copy there, and take
        the user out of those of others; also which could not be looked through."""
        context, erasure = self._context, whose.erasure
        await (guard if told else claim)(context)
        # After the rows: a session that a hold has saved must not have one.
        await context.files(lambda: write_tombstone(context.blobs, erasure))
        context.on_step("erase.tombstone_file")
        # What dead workers left behind may hold copies that no ledger knows of.
        await destroy_marked(context)
        await context.files(lambda: context.blobs.sweep(DEAD_AFTER_S))
        unread, renaming = list[str](), None
        if erasure.subject == "user":
            unread = await note_actors(context, erasure.tenant_id)
            renaming = await find_renaming(whose)
        if renaming is None:
            swept = await self._sweeper.sweep(keys)
        else:
            sweeper = self._sweeper
            swept = await clean_copies(context, sweeper, keys, renaming, count)
        _raise_failure(swept)
        return swept, unread

    async def _note_actors(self, tenant: str) -> None:
        """Before a hold is looked for in what a user did: where they did something."""
        try:
            await note_actors(self._context, tenant)
        except (ArchiveTakenError, ConfigError, UnavailableError):
            return  # rows go all the same; then it looks again, and tells of it

    async def _leave_open(
        self,
        whose: Subject,
        keys: Sequence[Key],
        count: Count,
        waits_for: str,
    ) -> ErasureReceipt:
        """The rows are gone, and the archive cannot be had: say what is left to do."""
        context, erasure = self._context, whose.erasure
        renaming = await find_renaming(whose)
        left = await context.read(lambda c: concerned(c, frozenset(keys), renaming))
        unread = list[str]()
        if erasure.subject == "user":
            unread = await unnoted(context, erasure.tenant_id)
        await forget_costs(whose, count)
        index = await self._indexer.tidy(count.rows.get("search_entries", 0))
        await self._clear_log()
        receipt = replace(
            count.receipt(erasure, context.backend.dialect.residue),
            index=index,
            waits_for=waits_for,
            segments_waiting=tuple(sorted(left)),
            segments_unread=tuple(unread),
        )
        log.warning(
            "erasure %s waits: %s",
            erasure.erasure_id,
            waits_for,
            extra={"event": "erasure_waits", "erasure_id": erasure.erasure_id},
        )
        await context.write(
            lambda c: erasures.note(
                c,
                erasure.tenant_id,
                erasure.erasure_id,
                asdict(receipt) | count.kept(),
            )
        )
        return receipt

    async def _clear_log(self) -> None:
        """Erased text must not lie on in a write-ahead log."""
        for _ in range(_LOG_TRIES):
            done = await self._context.backend.maintain()
            if not done.get("wal_frames_left"):
                return
        raise DatabaseBusyError(
            "a long read keeps the write-ahead log from being cleared: the rows are "
            "gone, and the next recovery finishes the erasure"
        )

    async def delete_without_archive(
        self, key: Key, expected_version: int | None = None
    ) -> None:
        """Destroy a session and every copy of it; its id is refused from then on.

        Raises:
            VersionConflictError: It is at another version than expected.
            SessionNotFoundError, LegalHoldError: As the names say.
            ArchiveAwayError, ArchiveTakenError: A copy in the archive could not be
                destroyed; nothing was.
        """
        await guard(self._context)
        await self._blank(
            [key], "deleted", must_exist=True, expected_version=expected_version
        )
        _raise_failure(await self.sweep([key]))

    async def expire_archives(self, due: Mapping[Key, int]) -> tuple[int, int]:
        """Forget archived sessions whose archive is due; the next `sweep` destroys the
        copies, of all that were forgotten until then with one rewrite of each segment.

        Those under legal hold are left, and those that are not at the version given any
        more: what came back meanwhile, and was perhaps archived anew, is not due. So
        are those that another transaction holds.

        Returns:
            How many were forgotten, and how many were held by others.
        """
        done, held, now = 0, 0, self._context.now()
        for some in _chunks(list(due)):
            await guard(self._context)
            contents = await self._indexer.contents(some)
            gone, passed = await self._context.write(
                partial(_expire, some, due, now, contents)
            )
            await self._context.on_changed(some)
            done, held = done + gone, held + passed
        return done, held

    async def _blank(
        self,
        keys: Sequence[Key],
        state: str,
        *,
        must_exist: bool = False,
        expected_version: int | None = None,
        count: Count | None = None,
    ) -> None:
        context, now = self._context, self._context.now()
        contents = await self._indexer.contents(keys)

        def work(connection: Connection) -> Count | None:
            schema.hold(connection)
            unit = Unit(connection)
            refuse_held(unit, keys)
            there = lifecycle.there(unit, keys, must_exist, expected_version)
            going = [head for _, head in there if head.row["state"] != "erased"]
            # Of those that are erased, too: an older release that began it may have
            # left what it does not know.
            gone = [key for key, _ in there]
            # Before their rows go, of which the words are made again.
            found = search_removal.forget(connection, gone, contents)
            rows = lifecycle.destroy(connection, gone) | {"search_entries": found}
            # A copy: the transaction may be run again.
            more = None if count is None else count.with_(rows, going)
            for head in going:
                lifecycle.blank(head, state, now)
            unit.flush()
            if more is not None:
                more.keep(connection)
            if state == "erased" and going:
                segments.cancel_writing(connection)
            context.on_step("erase.before_commit")
            return more

        more = await context.write(work)
        if count is not None and more is not None:
            count.take(more)
        context.on_step("erase.rows")
        await context.on_changed(keys)


def _raise_failure(swept: Swept) -> None:
    if swept.failed:
        raise swept.failed[0]


def _keys(
    connection: Connection, tenant: str, user_id: str | None, session_id: str | None
) -> list[Key]:
    if session_id is not None:
        if Unit(connection).find((tenant, session_id)) is None:
            raise SessionNotFoundError(session_id)
        return [(tenant, session_id)]
    return lifecycle.ids_of_user(connection, tenant, user_id or "")


def _expire(
    keys: Sequence[Key],
    due: Mapping[Key, int],
    now: int,
    contents: Mapping[Key, Content],
    connection: Connection,
) -> tuple[int, int]:
    schema.hold(connection)
    unit = Unit(connection)
    held = unit.load_free(keys)
    going = []
    for key in keys:
        if key in held:
            continue
        head = unit.find(key)
        if (
            head is not None
            and head.row["state"] in ("archived", "deleted")
            and head.row["segment_id"] is not None
            and head.row["version"] == due[key]
            and not head.row["hold_count"]
        ):
            going.append((key, head))
    gone = [key for key, _ in going]
    search_removal.forget(connection, gone, contents)
    lifecycle.destroy(connection, gone)
    for _, head in going:
        lifecycle.blank(head, "deleted", now)
    unit.flush()
    return len(going), len(held)


def _chunks(keys: Sequence[Key]) -> list[list[Key]]:
    feed = iter(keys)
    return list(iter(lambda: list(islice(feed, AT_ONCE)), []))
