"""What goes into a store and comes out of it: documents, pages, imports, exports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from convstore.archive.documents import SOURCES, stream_documents
from convstore.db.codec.inputs import encode_time
from convstore.repositories.cursors import check_limit
from convstore.repositories.session_filter import session_filter
from convstore.store.repositories import TenantRepositories
from convstore.vocabulary.data_sets import WrittenDataSet
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.progress import OnProgress
from convstore.vocabulary.records import DocumentSource, Json, SessionDocument
from convstore.vocabulary.reports import UndoReport

if TYPE_CHECKING:
    from convstore.export.fields import ExportFields
    from convstore.export.report import ExportReport
    from convstore.imports.importer import ImportOptions
    from convstore.imports.model import ImportReport
    from convstore.store.importing import Asked, Marks


class Transfer(TenantRepositories):
    """The verbs that carry conversations into a store and out of it."""

    async def documents(
        self,
        *,
        include_archived: bool = True,
        source: DocumentSource = "both",
        user_id: str | None = None,
        language: str | None = None,
        updated_since: datetime | None = None,
        active_since: datetime | None = None,
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
            updated_since: Only those changed at this time or later in whatever way,
                imported, judged, named, archived or restored: what a copy of before
                lacks. `Session.updated_at` says when.
            active_since: Only those active at this time or later, as `sessions.list`
                goes by. What was imported is as old as what was said in it.
            changed_since: The same as `updated_since`; its name in 0.2.0.
            tag: Only those with this tag.
            metadata: Keys and values that their metadata must hold.
            session_ids: Only these.
        """
        # By the names that they have here.
        for name, at in (
            ("updated_since", updated_since),
            ("active_since", active_since),
        ):
            if at is not None:
                encode_time(name, at)
        wanted = session_filter(
            self._scope.limits,
            user_id=user_id,
            language=language,
            state=SOURCES[source if include_archived else "live"],
            updated_since=active_since,
            changed_since=changed_since if updated_since is None else updated_since,
            tag=tag,
            metadata=metadata,
        )
        async for document in stream_documents(
            self._scope.runner,
            self._parts.archive.restorer,
            self.tenant,
            wanted,
            session_ids=session_ids,
            pages=self._scope.read_broadly,
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

        Or for another tool: `chatgpt` is a `conversations.json` as Open WebUI and
        LibreChat import it, with all branches. Live or archived, and left as it is.
        What was said is text whatever it holds: a page loads nothing and runs nothing.

        Args:
            branches: All turns, each with what it follows; else the active branch.
            attachments: In HTML and Markdown, embed what the turns have the bytes of:
                pictures as such, other files as links that save them.

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

    async def personal_data(
        self, user_id: str, *, on_progress: OnProgress | None = None
    ) -> AsyncIterator[bytes]:
        """Everything that is kept of one person, as the pieces of one JSON object.

        Their sessions, live and archived, whole; their items; what they cost. Sessions
        in the bin are counted: restore them first, to have them too. Flat in memory;
        changes nothing. Pieces without the last one are no whole object.

        Args:
            user_id: Whose; nobody's data is an object with nothing in it.
            on_progress: Told once, at the end: `done` sessions, and of `counts` the
                `items` and the `deleted` sessions.
        """
        from convstore.store.personal import personal_data

        documents = self.documents(user_id=check_id("user_id", user_id))
        async for piece in personal_data(self, user_id, documents, on_progress):
            yield piece

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

        reading, labels = self._scope.reading, (user_id, (*tags,), batch or "")
        options = ImportOptions.of(
            strict, report_to, reading, replace_invalid, labels[2]
        )
        with self.watch.work("import") as facts:
            asked = format_, source, mapping
            report = await self._take_in(
                asked, labels, options, on_progress, dry_run=dry_run
            )
            facts |= report.totals()
            return report

    async def _take_in(
        self,
        asked: Asked,
        labels: Marks,
        options: ImportOptions,
        on_progress: OnProgress | None,
        *,
        dry_run: bool,
    ) -> ImportReport:
        from convstore.store.importing import Taking, take_in

        again = self.transaction if dry_run else None
        taking = Taking(self._parts.archive.context, self._scope, labels, again)
        return await take_in(taking, asked, options, on_progress)

    async def data_sets(
        self, folder: str | PathLike[str], *, limit: int = 100
    ) -> list[WrittenDataSet]:
        """The data sets that exports wrote below a folder, the newest first.

        Told by their manifests: no row is read. What an export is writing, or left
        when it was cut short, is in it with the state `partial`.

        Args:
            folder: One that holds the folders of exports; none yet is an empty list.
            limit: At most so many, 1 to 1,000.

        Raises:
            InvalidInputError: The folder cannot be read.
        """
        from asyncio import to_thread

        from convstore.store.data_sets import written_in

        check_limit(self._scope.limits, limit)
        return await to_thread(written_in, Path(folder), limit)

    async def undo_import(self, batch: str) -> UndoReport:
        """Delete the sessions that an import made, as `sessions.delete` does.

        Those in which more was said or judged since are left alone and counted. What
        the import added to sessions of before stays.

        What it brought along outside sessions, such as the state of a user of Google
        ADK, becomes what it was before. It stays, and is named, where it was changed
        since, or where a session of that owner stays.

        Args:
            batch: As it was given to `import_`.
        """
        from convstore.store.importing import undo

        return await undo(self.sessions, self.items, batch)

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
        from convstore.store.exports import options_of, run, run_of_splits, source_for

        names = [formats] if isinstance(formats, str) else list(formats)
        # Refused before a session is read.
        chosen = options_of(options, self.config.feedback)
        backend, report = self._parts.backend, None
        source = source_for(self.config, backend, self._parts.archive.context.blobs)
        with self.watch.work("export") as facts:
            # One more connection to a file is nothing; to a server it is one of few.
            apart = chosen.workers or backend.file is not None
            if apart and source is not None:
                report = await run_of_splits(
                    backend, source, self.tenant, names, Path(to), chosen, on_progress
                )
            if report is None:
                documents = self.documents(source=chosen.filters.source)
                report = await run(documents, names, Path(to), chosen, on_progress)
            facts |= {"sessions": report.documents, "rows": report.rows}
            return report
