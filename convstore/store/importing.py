"""Around an import: what a source is, a rehearsal of it, and taking it back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING

from convstore.repositories.imported import (
    BATCH,
    BATCH_SIZE,
    Labels,
    size_of,
    write_imported,
)
from convstore.repositories.scope import Scope
from convstore.vocabulary.errors import LegalHoldError, NotFoundError
from convstore.vocabulary.ids import check_id

if TYPE_CHECKING:
    from convstore.db.imported_sessions import Stored
    from convstore.imports.model import ImportedSession
    from convstore.store.facade import Store

_PAGE = 500


@dataclass(slots=True)
class UndoReport:
    """What became of the sessions that an import had made.

    Attributes:
        deleted: Those that are gone.
        changed: Those that went on since, and are left alone.
        held: Those under legal hold.
    """

    deleted: int = 0
    changed: int = 0
    held: int = 0


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


def writer(
    store: Store, scope: Scope, labels: Labels, *, dry_run: bool
) -> Callable[[ImportedSession], Awaitable[Stored]]:
    """What stores the sessions of an import, or only finds out what would be."""
    if not dry_run:
        return partial(write_imported, scope, labels=labels)
    one_at_a_time = asyncio.Lock()

    async def rehearse(session: ImportedSession) -> Stored:
        async with one_at_a_time:
            try:
                async with store.transaction() as tx:
                    stored = await write_imported(tx._scope, session, labels)
                    raise _Rehearsed(stored)
            except _Rehearsed as told:
                return told.stored

    return rehearse


class _Rehearsed(Exception):  # noqa: N818  # no error: it takes back what was tried
    """Ends a transaction that was only to show what it would do."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored


async def undo(store: Store, batch: str) -> UndoReport:
    """See `Store.undo_import`."""
    named = {BATCH: check_id("batch", batch)}
    report = UndoReport()
    cursor: str | None = None
    while True:
        page = await store.sessions.list(metadata=named, limit=_PAGE, cursor=cursor)
        for session in page.items:
            if session.metadata.get(BATCH_SIZE) != size_of(session):
                report.changed += 1
                continue
            try:
                await store.sessions.delete(session.id)
                report.deleted += 1
            except LegalHoldError:
                report.held += 1
            except NotFoundError:
                continue  # somebody else was quicker
        cursor = page.next_cursor
        if cursor is None:
            return report
