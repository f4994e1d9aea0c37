"""What an export reads, cut into splits: the one look at a store before all others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

from convstore.db import session_places
from convstore.db.engine import Backend, Connection, open_backend
from convstore.db.session_filters import Filter
from convstore.export.options import ExportOptions
from convstore.export.stages.reading_splits import backend_options
from convstore.export.stages.splits import (
    Source,
    Split,
    splits_of,
    splits_of_documents,
)
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import DocumentSource, SessionDocument
from convstore.vocabulary.settings import StoreConfig

WINDOW = 4_096
"""Sessions that are listed together, and of whose frames one order is made."""

_FILE = "sqlite:///"
_STATES: dict[DocumentSource, Filter] = {
    "both": Filter(),
    "live": Filter(states=("active",)),
    "archive": Filter(states=("archived",)),
}


def plan(
    documents: Iterable[SessionDocument] | None = None,
    *,
    database: StoreConfig | str = "",
    archive: str | None = None,
    tenant: str | None = None,
    snapshot: str = "",
    options: ExportOptions | None = None,
) -> list[Split]:
    """What an export reads, cut into splits of up to 64 sessions.

    Looks at sessions and at the ledger, never into a file: of a session with several
    copies the one that counts is read, of an erased one none. Each session is in one
    split. Blocks; takes some 200 bytes a session.

    Args:
        documents: Sessions that are here, in place of those of a database.
        database: URL, or settings.
        archive: Folder or bucket of the archive; None is the one of the settings.
        tenant: Whose sessions; None is the one of the settings.
        snapshot: A moment that `hold_snapshot` holds: live sessions are read as of it.
        options: Of these only `filters.source` counts here; the other filters are
            rules, and count what they leave out.

    Raises:
        ConfigError: The database is one that nobody else can open.
    """
    if documents is not None:
        return list(splits_of_documents(documents))
    config = database
    if isinstance(config, str):
        config = StoreConfig(url=config, archive_dir=archive)
    elif archive is not None:
        config = config.model_copy(update={"archive_dir": archive})
    source = _source(config)
    whose = check_id("tenant", config.tenant if tenant is None else tenant)
    kind = (options or ExportOptions()).filters.source

    async def listed() -> list[Split]:
        backend = await open_backend(backend_options(source))
        try:
            found = planned(backend, source, whose, kind, snapshot)
            return [split async for split in found]
        finally:
            await backend.close()

    return asyncio.run(listed())


async def planned(
    backend: Backend,
    source: Source,
    tenant: str,
    kind: DocumentSource,
    snapshot: str = "",
    window: int = WINDOW,
) -> AsyncIterator[Split]:
    """The splits of a tenant's sessions, in flat memory.

    Sessions are listed by id, a window at a time: one that is archived or restored
    between two windows is in one split all the same.
    """
    after, wanted = "", _STATES[kind]

    def look(connection: Connection) -> list[session_places.Placed]:
        if snapshot:
            backend.dialect.adopt_snapshot(connection, snapshot)
        return session_places.placed(connection, tenant, wanted, after, window)

    while True:
        page = await backend.read(look, snapshot=True)
        for split in splits_of(page, source, tenant, snapshot):
            yield split
        if len(page) < window:
            return
        after = page[-1].session_id


@asynccontextmanager
async def held_snapshot(backend: Backend) -> AsyncIterator[str]:
    """A moment of the database for other connections, as long as this is open.

    Empty on SQLite, where each look is a moment of its own.
    """
    if not backend.dialect.shares_snapshots:
        yield ""
        return
    async with backend.transaction() as held:
        yield await held.run(backend.dialect.share_snapshot)


@contextmanager
def hold_snapshot(database: StoreConfig | str = "") -> Iterator[str]:
    """A moment of a database, for `plan` and `rows`, as long as this is open.

    On PostgreSQL a transaction is open all the while, and VACUUM spares what it may
    see. Empty on SQLite. For code without an event loop.
    """
    config = StoreConfig(url=database) if isinstance(database, str) else database
    source = _source(config)
    with asyncio.Runner() as runner:
        backend = runner.run(open_backend(backend_options(source)))
        try:
            held = held_snapshot(backend)
            name = runner.run(held.__aenter__())
            try:
                yield name
            finally:
                runner.run(held.__aexit__(None, None, None))
        finally:
            runner.run(backend.close())


def _source(config: StoreConfig) -> Source:
    source = source_of(config)
    if source is None:
        told = "cannot be one in memory, have a replica, or be several: plan each"
        raise ConfigError(f"database: {told}")
    return source


def source_of(config: StoreConfig) -> Source | None:
    """What others open to read the store of these settings; None if they cannot."""
    place = config.archive_place
    in_memory = config.database_url.rstrip("/") == "sqlite:"
    if in_memory or config.replica_url or config.shards:
        return None
    if "://" not in place:
        place = os.path.abspath(place)
    url = config.database_url
    if url.startswith(_FILE):
        # Whoever gets it may stand in another folder.
        url = _FILE + os.path.abspath(url.removeprefix(_FILE))
    return Source(url, place, config.db_schema, config.pooler, config.object_storage)
