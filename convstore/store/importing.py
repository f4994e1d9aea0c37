"""Around an import: what a source is, a rehearsal of it, and taking it back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from convstore.erasure.replay import refuse_erased
from convstore.repositories.imported import (
    BATCH,
    BATCH_SIZE,
    Labels,
    size_of,
    write_imported,
)
from convstore.repositories.imported_items import take_back
from convstore.repositories.items import Items
from convstore.repositories.scope import Scope
from convstore.repositories.sessions import Sessions
from convstore.vocabulary.errors import LegalHoldError, NotFoundError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.record import Value
from convstore.vocabulary.reports import UndoReport

if TYPE_CHECKING:
    from convstore.archive.context import Context
    from convstore.db.imported_sessions import Stored
    from convstore.imports.importer import ImportOptions
    from convstore.imports.model import ImportedSession, ImportReport
    from convstore.vocabulary.progress import OnProgress

Asked: TypeAlias = tuple[str, str | PathLike[str], str | PathLike[str] | None]
"""The format, the source and the mapping of an import."""

Marks: TypeAlias = tuple[str | None, tuple[str, ...], str]
"""Whose the sessions of an import are, their tags, and what the import is called."""

_PAGE = 500


def recognise(
    format_: str,
    source: str | PathLike[str],
    mapping: str | PathLike[str] | None = None,
) -> tuple[str, str]:
    """The name of the format that reads a source, and by what it was told.

    To be asked before a database is opened, or made, for it.

    Raises:
        InvalidInputError, ConfigError: As `Store.import_`, for the same reasons.
    """
    from convstore.imports.detection import choose_format

    choice = choose_format(format_, source, mapping)
    return choice.format.name, choice.why


def suggested_mapping(source: str | PathLike[str]) -> str:
    """A first mapping file for a source, by what it looks like, as TOML.

    Raises:
        InvalidInputError: Nothing in it reads like messages, or it cannot be read.
    """
    from convstore.imports.mapping.suggest import suggest

    return suggest(source)


class Taking(Value, frozen=True):
    """Where the sessions of an import go.

    Attributes:
        labels: What they are to be known by.
        rehearsing: Begins transactions that are rolled back, to find out only what
            would come of it; None for an import in earnest.
        home: Where what lies outside sessions is kept, if that is another database.
    """

    context: Context
    scope: Scope
    labels: Marks
    rehearsing: Callable[[], AbstractAsyncContextManager[Any]] | None
    home: Scope | None = None

    def writer(self) -> Callable[[ImportedSession], Awaitable[Stored]]:
        """What stores a session, or finds out what would be."""
        user_id, tags, batch = self.labels
        labels = Labels(check_optional_id("user_id", user_id), tags, batch)
        begin = self.rehearsing
        if begin is None:
            return partial(write_imported, self.scope, labels=labels, home=self.home)
        one_at_a_time = asyncio.Lock()

        async def rehearse(session: ImportedSession) -> Stored:
            async with one_at_a_time:
                try:
                    async with begin() as tx:
                        stored = await write_imported(tx._scope, session, labels)
                        raise _Rehearsed(stored)
                except _Rehearsed as told:
                    return told.stored

        return rehearse


async def take_in(
    taking: Taking,
    asked: Asked,
    options: ImportOptions,
    on_progress: OnProgress | None,
    write: Callable[[ImportedSession], Awaitable[Stored]] | None = None,
) -> ImportReport:
    """Carry out an import: see `Store.import_`, whose errors these are.

    `write` stores a session in place of `taking`, which has the archive all the same.
    """
    from convstore.imports.detection import choose_format
    from convstore.imports.importer import run_import

    write, context = write or taking.writer(), taking.context
    await refuse_erased(context)
    choice = await context.files(lambda: choose_format(*asked))
    options = options.with_files_of(taking.scope.limits.max_attachment_bytes)
    report = await run_import(choice.format, asked[1], write, options, on_progress)
    report.why = choice.why
    return report


class _Rehearsed(Exception):  # noqa: N818  # no error: it takes back what was tried
    """Ends a transaction that was only to show what it would do."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored


async def undo(sessions: Sessions, items: Items, batch: str) -> UndoReport:
    """See `Store.undo_import`."""
    named = {BATCH: check_id("batch", batch)}
    report = UndoReport()
    owners: set[str | None] = set()  # of the sessions that stay
    cursor: str | None = None
    while True:
        page = await sessions.list(metadata=named, limit=_PAGE, cursor=cursor)
        for session in page.items:
            if session.metadata.get(BATCH_SIZE) != size_of(session):
                report.changed += 1
                owners.add(session.user_id)
                continue
            try:
                await sessions.delete(session.id)
                report.deleted += 1
            except LegalHoldError:
                report.held += 1
                owners.add(session.user_id)
            except NotFoundError:
                continue  # somebody else was quicker
        cursor = page.next_cursor
        if cursor is None:
            break

    def stays(owner: str | None) -> bool:
        """What is nobody's is of all of them."""
        return owner in owners if owner is not None else bool(owners)

    await take_back(items, batch, report, stays)
    return report
