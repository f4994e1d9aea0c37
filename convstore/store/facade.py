"""The facade: puts the parts together and hands out the nouns."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from convstore.archive.data_sets import check_formats
from convstore.archive.documents import SOURCES, stream_documents
from convstore.blobs.base import StepHook, silent
from convstore.commits.group_commit import CommitStats
from convstore.db import foreign_keys, item_upkeep
from convstore.db.engine import Finding, open_backend
from convstore.erasure.replay import replay_erasures
from convstore.gateway.prefix_cache.cache import Expiry, PrefixCache, prefix_bounds
from convstore.gateway.prefix_cache.stores import PrefixKind
from convstore.repositories.archive import Archive
from convstore.repositories.checkpoints import Checkpoints
from convstore.repositories.conversation import Conversation
from convstore.repositories.erasures import Erasures
from convstore.repositories.graph_states import GraphStates
from convstore.repositories.holds import Holds
from convstore.repositories.interactions import Interactions
from convstore.repositories.items import Items
from convstore.repositories.ledger import Ledger
from convstore.repositories.scope import Scope
from convstore.repositories.search_index import SearchIndex
from convstore.repositories.session_filter import session_filter
from convstore.repositories.sessions import Sessions
from convstore.repositories.turns import Turns
from convstore.retention.job import BATCH, RunOptions
from convstore.store.assembly import Parts, assemble
from convstore.store.joined import join
from convstore.store.places import backend_options, with_archive
from convstore.store.previewing import Previewing
from convstore.store.runners import Autocommit
from convstore.store.statistics import count
from convstore.vocabulary.clock import Clock
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.progress import OnProgress
from convstore.vocabulary.records import DocumentSource, Json, Session, SessionDocument
from convstore.vocabulary.reports import (
    ErasureReceipt,
    RetentionReport,
    StoreStats,
    TierStats,
    UndoReport,
)
from convstore.vocabulary.settings import StoreConfig
from convstore.vocabulary.watch import Watch

if TYPE_CHECKING:
    from convstore.db.joined import HostConnection, HostEngine
    from convstore.export.fields import ExportFields
    from convstore.export.report import ExportReport
    from convstore.imports.model import ImportReport
    from convstore.tasks.scheduler import Scheduler


class Nouns:
    """What a store, a tenant's store and a transaction have in common."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.sessions = Sessions(scope)
        self.turns = Turns(scope)
        self.interactions = Interactions(scope)
        self.graph_states = GraphStates(scope)
        self.items = Items(scope)
        self.checkpoints = Checkpoints(scope)
        self.holds = Holds(scope)
        self.ledger = Ledger(scope)

    @property
    def tenant(self) -> str:
        """Whose rows these are."""
        return self._scope.tenant

    def conversation(
        self, session_id: str, *, user_id: str | None = None
    ) -> Conversation:
        """A handle bound to one session of one user; asks nothing of the database.

        Its first write creates the session. A session of another user is not found.
        """
        return Conversation(self._scope, check_id("session_id", session_id), user_id)


class Transaction(Nouns):
    """The nouns inside one transaction: everything is committed at its end, or nothing.

    A call that refuses (not found, conflict, invalid) leaves the transaction usable; a
    failure of the database ends it.
    """


class Store(Previewing, Nouns):
    """An open store of one tenant; safe for any number of tasks of one event loop."""

    def __init__(self, parts: Parts, scope: Scope) -> None:
        super().__init__(scope)
        self._parts = parts
        self.archive = Archive(scope, parts.archive)
        self.erasures = Erasures(scope)
        self.search_index = SearchIndex(scope)

    @classmethod
    async def open(
        cls,
        config: StoreConfig,
        clock: Clock,
        on_step: StepHook = silent,
        *,
        engine: HostEngine | None = None,
    ) -> Store:
        """Open the store that `config` describes; `open_store` is the usual way."""
        check_formats(config.retention.exports)
        backend = await open_backend(backend_options(config, engine))
        try:
            config = await with_archive(config, backend)
            return cls(*await assemble(backend, config, clock, on_step))
        except BaseException:
            # A setting that cannot be meant must not leave threads and files open.
            await backend.close()
            raise

    @property
    def config(self) -> StoreConfig:
        """The settings in force."""
        return self._parts.config

    @property
    def loop(self) -> AbstractEventLoop:
        """The event loop that it was opened in and belongs to; tasks of another one,
        and threads, use `convstore.blocking.over(store)`."""
        return self._parts.loop

    def for_tenant(self, tenant_id: str) -> Store:
        """The same face on another tenant's rows; shares connections with this store.

        Closing either closes both.
        """
        scope = replace(self._scope, tenant=check_id("tenant_id", tenant_id))
        return Store(self._parts, scope)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Several writes, one commit: `async with store.transaction() as tx`.

        Durable when the block has ended without an error; with one, nothing happened.
        On SQLite it holds the one write lock from its start: keep it short.
        """
        runner = self._scope.runner
        assert isinstance(runner, Autocommit)
        async with runner.transaction() as held:
            yield Transaction(replace(self._scope, runner=held))

    def joined(self, connection: HostConnection) -> Transaction:
        """The nouns inside the application's own transaction of SQLAlchemy.

        Commit, rollback and savepoints stay the application's: what is written here is
        durable when *its* commit returns, and gone with its rollback. A call that fails
        is undone by itself, and the transaction goes on; where the connection was lost,
        the application's commit fails. If there is no transaction yet, the first call
        begins it. On SQLite the first write takes the one write lock, until the end.

        Args:
            connection: An `AsyncConnection` or `AsyncSession` to the store's database,
                by aiosqlite, asyncpg or psycopg; the `Connection` or `Session` inside
                `run_sync` too. With `convstore.blocking` a `Connection` or `Session`
                by sqlite3 or psycopg.

        Raises:
            ConfigError: By this call or by a verb: the connection cannot be joined, or
                its transaction is over; the message says what to do.
        """
        runner = self._scope.runner
        assert isinstance(runner, Autocommit)
        held = join(connection, self._parts.backend, runner)
        return Transaction(replace(self._scope, runner=held))

    async def run_retention(
        self,
        *,
        older_than_s: float | None = None,
        tenant_id: str | None = None,
        batch: int = BATCH,
        max_batches: int | None = None,
        time_budget_s: float | None = None,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> RetentionReport:
        """Archive, verify and purge what is stale, in every tenant.

        Nothing is purged that was not read back from its segment and compared, that
        changed since, or that is under hold. Several callers do no harm: one runs, the
        others are told so in the report. Cut short anywhere, the next run goes on.

        Args:
            older_than_s: Idle seconds in place of the policy's. An operator's own
                word: the checks for a clock that jumped are left out.
            tenant_id: Only this tenant's sessions.
            batch: Sessions of one segment.
            max_batches: End after so many segments.
            time_budget_s: Begin no segment after so many seconds.
            dry_run: Decide and count; change nothing.
            on_progress: Called after each segment.
        """
        options = RunOptions(
            older_than_s, tenant_id, batch, max_batches, time_budget_s, dry_run
        )
        return await self._parts.archive.job.run(options, on_progress)

    async def restore(self, session_id: str) -> Session:
        """Bring an archived session back, deleted ones that were archived included.

        Idempotent: a live session is given as it is. Of any number of callers at once
        one restores, and all get the same session.

        Raises:
            SessionNotFoundError: Nothing is archived under this id.
            SegmentCorruptError: Its file is damaged or missing; nothing was changed.
            ArchiveAwayError: The archive folder is not there.
        """
        check_id("session_id", session_id)
        restorer, runner = self._parts.archive.restorer, self._scope.runner
        with self.watch.work("restore"):
            return await restorer.restore(
                runner, self.tenant, session_id, deleted_too=True
            )

    async def erase(
        self, *, user_id: str | None = None, session_id: str | None = None
    ) -> ErasureReceipt:
        """Destroy a user's data, or one session's, in rows, archive and shards.

        The ids are refused for ever; the receipt says what was destroyed, and is kept.

        Raises:
            LegalHoldError: A session is under hold; nothing was destroyed.
            SessionNotFoundError: There is no session with this id.
            ConfigError: Not exactly one of the two was given.
        """
        if (user_id is None) == (session_id is None):
            raise ConfigError("name a user or a session to erase, one of them")
        check_optional_id("user_id", user_id)
        check_optional_id("session_id", session_id)
        erase = self._parts.eraser.erase
        with self.watch.work("erase"):
            return await erase(self.tenant, user_id=user_id, session_id=session_id)

    async def replay_erasures(self) -> list[ErasureReceipt]:
        """Repeat every erasure of the ledger and of the archive folder.

        For a database restored from a backup older than an erasure. Idempotent. What
        an erased user began after the erasure is left alone.
        """
        return await replay_erasures(self._parts.archive.context, self._parts.eraser)

    async def documents(
        self,
        *,
        include_archived: bool = True,
        source: DocumentSource = "both",
        user_id: str | None = None,
        language: str | None = None,
        updated_since: datetime | None = None,
        changed_since: datetime | None = None,
        tag: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        session_ids: Sequence[str] | None = None,
    ) -> AsyncIterator[SessionDocument]:
        """Whole sessions of the tenant in the order of their ids, in flat memory.

        The one source of exports, backups and checks. Changes nothing: an archived
        session is read where it lies.

        Args:
            include_archived: False is the same as the source `live`.
            source: `live` sessions of the database, those of the `archive`, or `both`.
            user_id: Only this user's.
            language: Only those in this language.
            updated_since: Only those active at this time or later, as in
                `sessions.list`. What was imported is as old as what was said in it.
            changed_since: Only those changed at this time or later in whatever way,
                imported, judged, archived or restored: what a copy of before lacks.
            tag: Only those with this tag.
            metadata: Keys and values that their metadata must hold.
            session_ids: Only these.
        """
        wanted = session_filter(
            self._scope.limits,
            user_id=user_id,
            language=language,
            state=SOURCES[source if include_archived else "live"],
            updated_since=updated_since,
            changed_since=changed_since,
            tag=tag,
            metadata=metadata,
        )
        async for document in stream_documents(
            self._scope.runner,
            self._parts.archive.restorer,
            self.tenant,
            wanted,
            session_ids=session_ids,
        ):
            yield document

    async def render(
        self,
        session_id: str,
        form: str = "markdown",
        *,
        branches: bool = False,
        attachments: bool = False,
    ) -> str:
        """One conversation for a person: `markdown`, `html`, `json` or `text`.

        Live or archived, and left as it is. What was said is text whatever it holds:
        the page loads nothing and runs nothing.

        Args:
            branches: All turns, each with what it follows; else the active branch.
            attachments: In HTML, show the pictures whose bytes are in the turns.

        Raises:
            InvalidInputError: No such form.
            SessionNotFoundError, SessionDeletedError, SessionErasedError: There is
                nothing to show.
        """
        from convstore.messages.rendering import check_form, rendered
        from convstore.store.documents import document_of

        check_form(form)
        document = await document_of(
            session_id,
            self.sessions,
            self.archive,
            lambda: self.documents(session_ids=[session_id]),
        )
        return rendered(document, form, branches=branches, attachments=attachments)

    async def import_(
        self,
        format_: str,
        source: str | PathLike[str],
        *,
        strict: bool = False,
        mapping: str | PathLike[str] | None = None,
        report_to: str | PathLike[str] | None = None,
        replace_invalid: bool = False,
        user_id: str | None = None,
        tags: Sequence[str] = (),
        batch: str | None = None,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ImportReport:
        """Take in the conversations of a file, a folder, a zip or a SQLite database:
        JSON Lines, JSON, gzip or zstd of them, or the tables of another tool.

        One record is stored whole or not at all. Idempotent: what is there already is
        counted and left alone; a conversation that has grown since is continued; what
        was erased stays away, also if only the archive folder still knows of it.
        Bounded in memory. A bad record is counted and set aside, and stops nothing.

        Args:
            format_: A name of `convstore.imports.registry.FORMATS`, `map` with a
                `mapping`, or `auto` to tell it by what the source looks like.
            source: A path, or `-` for standard input.
            strict: Stop at the first bad record, with its error.
            mapping: TOML file that says where the fields of the records are.
            report_to: Folder for `report.json` and `rejected.jsonl`. The latter holds
                what people said: keep it as safe as the database.
            replace_invalid: Replace NUL and halves of surrogate pairs, which no
                database holds, by U+FFFD, and count the records; else one refuses a
                whole conversation.
            user_id: Whose the sessions are that it makes, whatever the source says.
            tags: For every session that it makes.
            batch: What the import is called, in the metadata (`import_batch`) of every
                session that it makes: `undo_import` takes it.
            dry_run: Report what would come of it, and write nothing.
            on_progress: Called after each batch of records.

        Raises:
            InvalidInputError: No such format, or the source cannot be read.
            UnavailableError: The database is away; what was imported stays, and the
                next run goes on.
        """
        from convstore.imports.importer import ImportOptions
        from convstore.store.importing import Taking, take_in

        reading, labels = self._scope.reading, (user_id, (*tags,), batch or "")
        options = ImportOptions.of(
            strict, report_to, reading, replace_invalid, labels[2]
        )
        again = self.transaction if dry_run else None
        taking = Taking(self._parts.archive.context, self._scope, labels, again)
        with self.watch.work("import") as facts:
            asked = format_, source, mapping
            report = await take_in(taking, asked, options, on_progress)
            facts |= report.totals()
            return report

    async def undo_import(self, batch: str) -> UndoReport:
        """Delete the sessions that an import made, as `sessions.delete` does.

        Those in which more was said or judged since are left alone and counted. What
        the import added to sessions of before stays.

        Args:
            batch: As it was given to `import_`.
        """
        from convstore.store.importing import undo

        return await undo(self.sessions, batch)

    async def export(
        self,
        formats: str | Sequence[str],
        *,
        to: str | PathLike[str],
        on_progress: OnProgress | None = None,
        **options: Unpack[ExportFields],
    ) -> ExportReport:
        """Write data sets from the sessions of the tenant, live and archived.

        Changes nothing in the store. The folder appears whole or not at all; the same
        content and options give the same bytes. Cut short, the same call goes on.

        Args:
            formats: One name of `convstore.export.formats.FORMATS`, or several: each
                then gets a folder of its name in `to`.
            to: A folder that does not exist, or is empty.
            on_progress: Called from another thread.
            options: Fields of `convstore.types.ExportOptions`; `filters`, `caps` and
                `judging` also as a dict of theirs.

        Raises:
            InvalidInputError: A format or option cannot be meant, or `to` cannot be
                written to.
            AlreadyExistsError: `to` holds something.
            ExportRefusedError: More rows are faulty than `max_drop_rate` allows.
            StorageFullError: No space left; nothing was published.
        """
        from convstore.store.exports import options_of, run

        names = [formats] if isinstance(formats, str) else list(formats)
        # Refused before a session is read.
        chosen = options_of(options, self.config.feedback)
        documents = self.documents(source=chosen.filters.source)
        with self.watch.work("export") as facts:
            report = await run(documents, names, Path(to), chosen, on_progress)
            facts |= {"sessions": report.documents, "rows": report.rows}
            return report

    def prefix_cache(
        self,
        kind: PrefixKind = "database",
        *,
        max_entries: int = 256,
        ttl_s: float = 1_800.0,
        expiry: Expiry = "sliding",
        secret: bytes = b"",
    ) -> PrefixCache:
        """A cache of which upstream session knows a conversation, of this tenant.

        Close one of kind `redis` when done; the others go with the store.

        Args:
            kind: Where the entries are: in this process (`memory`), on the server of
                `cache.url` (`redis`), or in the `database`, where they survive a
                restart. All handles of one shared kind share the entries: give them
                the same bounds.
            max_entries: Most entries of the tenant; 0 disables the cache.
            ttl_s: Seconds that an entry lives.
            expiry: `sliding` counts them from the last use, `absolute` from the store.
            secret: A server key for the hashes; the same in every worker.

        Raises:
            ConfigError: One of them cannot be meant.
        """
        bounds = prefix_bounds(max_entries, ttl_s, expiry)
        parts, tenant = self._parts, self.tenant
        return PrefixCache(
            parts.prefixes.of(kind, bounds, tenant),
            max_entries=max_entries,
            ttl_s=ttl_s,
            expiry=expiry,
            tenant_id=tenant,
            secret=secret,
            clock=self._scope.clock,
        )

    @asynccontextmanager
    async def scheduler(self) -> AsyncIterator[Scheduler]:
        """The recurring jobs of a worker, for as long as the block lasts.

        Retention every `retention.interval_s`, verification of the archive by and by,
        upkeep of the database. On leaving, a batch that is under way is finished. Any
        number of workers may run it. Inside a FastAPI lifespan:
        `async with store.scheduler(): yield`.
        """
        from convstore.tasks.scheduler import Scheduler

        scheduler = Scheduler(self)
        await scheduler.start()
        try:
            yield scheduler
        finally:
            await scheduler.stop()

    async def stats(self) -> StoreStats:
        """Counts of the tenant and sizes of the whole; walks the tenant's sessions."""
        return await count(
            self._parts.archive.context, self.commit_stats(), self.tenant
        )

    async def examine(self) -> list[Finding]:
        """What the database needs to keep the guarantees, and whether it has it."""
        backend = self._parts.backend
        return [*await backend.examine(), await foreign_keys.examine(backend)]

    async def probe_archive(self) -> None:
        """Write, read back, list and delete a file in the archive folder.

        Raises:
            ConfigError: The folder, or its file system, cannot serve as an archive.
            UnavailableError: It is away or full.
        """
        await self._parts.archive.inspector.probe()

    async def maintain(self, on_progress: OnProgress | None = None) -> dict[str, int]:
        """The database's upkeep that is due: checkpoint, vacuum, statistics.

        On SQLite a call gives back up to a gigabyte to the disk: `pages_freed`, and
        `pages_left` for the next; `wal_frames_left` are pages of the write-ahead log
        that a reader keeps in it. On PostgreSQL autovacuum does that: nothing is told.
        On both, items that have expired are removed, in every tenant: `items_expired`
        where there were any.

        Args:
            on_progress: Told of each step of some megabytes.
        """
        expired = await self._remove_expired()
        done = await self._parts.backend.maintain(on_progress)
        return done | ({"items_expired": expired} if expired else {})

    async def _remove_expired(self) -> int:
        context, total = self._parts.archive.context, 0
        now = self._scope.now()
        while True:
            gone = await context.write(lambda c: item_upkeep.remove_expired(c, now))
            await context.on_changed(gone.sessions)
            total += gone.count
            if not gone.count:
                return total

    @property
    def watch(self) -> Watch:
        """Where metrics and traces hook in; shared by all tenants' faces."""
        return self._parts.commits.watch

    def commit_stats(self) -> CommitStats:
        """What group commit has done in this process, and what waits for it now."""
        return self._parts.commits.snapshot()

    def cache_stats(self) -> TierStats | None:
        """What the hot tier did in this process; None without one."""
        hot = self._scope.hot
        return None if hot is None else hot.report()

    async def close(self) -> None:
        """Finish the writes that are queued and let go of everything. Idempotent."""
        async with AsyncExitStack() as last_to_first:
            last_to_first.push_async_callback(self._parts.backend.close)
            if self._scope.hot is not None:
                last_to_first.push_async_callback(self._scope.hot.close)
            last_to_first.push_async_callback(self._parts.prefixes.close)
            last_to_first.push_async_callback(self._scope.lifecycle.close)
            last_to_first.push_async_callback(self._parts.commits.close)
