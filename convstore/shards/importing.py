"""Imports into a store over several databases: each session goes where it belongs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from convstore.shards.reach import Reach
from convstore.store.importing import Asked, Marks, Taking, take_in
from convstore.vocabulary.sharding import HOME

if TYPE_CHECKING:
    from convstore.db.imported_sessions import Stored
    from convstore.imports.importer import ImportOptions
    from convstore.imports.model import ImportedSession, ImportReport
    from convstore.vocabulary.progress import OnProgress

Writer = Callable[["ImportedSession"], Awaitable["Stored"]]


async def take_in_everywhere(
    reach: Reach,
    labels: Marks,
    asked: Asked,
    options: ImportOptions,
    on_progress: OnProgress | None,
    *,
    dry_run: bool,
) -> ImportReport:
    """See `Store.import_`.

    Raises:
        ShardUnavailableError: A shard is away; what was imported stays.
    """
    from convstore.erasure.replay import refuse_erased

    home = await reach.at(HOME, _itself)
    writers: dict[int, Writer] = {}
    for number in range(len(reach.shards)):
        face = await reach.at(number, _itself)
        await refuse_erased(face._parts.archive.context)
        writers[number] = _taking(face, labels, home, dry_run=dry_run).writer()

    async def write(session: ImportedSession) -> Stored:
        number = reach.number(session.session_id)
        with reach.shards[number].named:
            return await writers[number](session)

    taking = _taking(home, labels, home, dry_run=dry_run)
    return await take_in(taking, asked, options, on_progress, write)


async def _itself(face: Any) -> Any:
    return face


def _taking(face: Any, labels: Marks, home: Any, *, dry_run: bool) -> Taking:
    again = face.transaction if dry_run else None
    context = face._parts.archive.context
    return Taking(context, face._scope, labels, again, home._scope)
