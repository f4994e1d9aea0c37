"""One session as a whole, wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convstore.vocabulary.errors import SessionNotFoundError
from convstore.vocabulary.records import SessionDocument

if TYPE_CHECKING:
    from convstore.store.facade import Store

_TRIES = 5
"""It may be archived or restored between two looks, and not often."""


async def document_of(store: Store, session_id: str) -> SessionDocument:
    """The document of a session, live or archived; nothing is restored.

    Raises:
        SessionNotFoundError, SessionDeletedError, SessionErasedError: There is none.
    """
    for _ in range(_TRIES):
        session = await store.sessions.get(session_id)
        if session.state == "archived":
            return await store.archive.read(session_id)
        async for document in store.documents(session_ids=[session_id]):
            return document
    raise SessionNotFoundError(session_id)
