"""Every session once, live and archived: the one source of exports and checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from convstore.archive.restorer import Restorer
from convstore.db import documents, sessions
from convstore.db.engine import Connection, Runner
from convstore.db.sessions import Filter
from convstore.vocabulary.errors import CorruptionError, SessionNotFoundError
from convstore.vocabulary.records import DocumentSource, SessionDocument, SessionState

PAGE = 64
"""Sessions of one snapshot."""


SOURCES: dict[DocumentSource, SessionState | None] = {
    "both": None,
    "live": "active",
    "archive": "archived",
}
"""Where documents come from, as the state of their sessions."""


async def stream_documents(
    runner: Runner,
    restorer: Restorer,
    tenant: str,
    wanted: Filter,
    *,
    session_ids: Sequence[str] | None = None,
) -> AsyncIterator[SessionDocument]:
    """Documents of a tenant's sessions in the order of their ids, in flat memory.

    Changes nothing. Each session is whole and of one moment; two sessions may be of
    different moments. One that is archived, restored or made meanwhile comes at most
    once, in the state in which it was met.

    Raises:
        CorruptionError: A session's rows or file are damaged; names it.
    """
    after = ""
    while True:
        page = await runner.read(
            lambda c, a=after: _page(c, tenant, wanted, a, session_ids),  # type: ignore[misc]
            snapshot=True,
        )
        archived = [session_id for session_id, _, live in page if live is None]
        read = await restorer.read_many(runner, tenant, archived) if archived else {}
        for session_id, _, live in page:
            document = live or read.pop(session_id, None)
            if isinstance(document, CorruptionError):
                raise document
            if document is not None:
                yield document
                continue
            try:
                yield await restorer.read(runner, tenant, session_id)
            except SessionNotFoundError:
                # Restored, or gone for good, since the page was read.
                for again in await runner.read(
                    lambda c, i=session_id: _live(c, tenant, i),  # type: ignore[misc]
                    snapshot=True,
                ):
                    yield again
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _page(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    after: str,
    session_ids: Sequence[str] | None,
) -> list[tuple[str, SessionState, SessionDocument | CorruptionError | None]]:
    found = sessions.list_by_id(connection, tenant, wanted, after, PAGE, session_ids)
    live = [session_id for session_id, state in found if state == "active"]
    whole = documents.read(connection, tenant, live) if live else {}
    return [(session_id, state, whole.get(session_id)) for session_id, state in found]


def _live(
    connection: Connection, tenant: str, session_id: str
) -> list[SessionDocument]:
    found = documents.read(connection, tenant, [session_id]).get(session_id)
    if isinstance(found, CorruptionError):
        raise found
    return [found] if found is not None and found.session.state == "active" else []
