"""One session as a whole, wherever it lies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from convstore.repositories.archive import Archive
from convstore.repositories.sessions import Sessions
from convstore.vocabulary.errors import SessionNotFoundError
from convstore.vocabulary.records import SessionDocument

_TRIES = 5
"""It may be archived or restored between two looks, and not often."""


async def document_of(
    session_id: str,
    sessions: Sessions,
    archive: Archive,
    live: Callable[[], AsyncIterator[SessionDocument]],
) -> SessionDocument:
    """The document of a session, live or archived; nothing is restored.

    Raises:
        SessionNotFoundError, SessionDeletedError, SessionErasedError: There is none.
    """
    for _ in range(_TRIES):
        session = await sessions.get(session_id)
        if session.state == "archived":
            return await archive.read(session_id)
        async for document in live():
            return document
    raise SessionNotFoundError(session_id)
