"""Everything that is kept of one person, as the pieces of one JSON object."""

from __future__ import annotations

from collections.abc import AsyncIterator

from convstore.store.repositories import TenantRepositories
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.records import SessionDocument


async def personal_data(
    store: TenantRepositories,
    user_id: str,
    documents: AsyncIterator[SessionDocument],
    on_progress: OnProgress | None,
) -> AsyncIterator[bytes]:
    """See `Store.personal_data`; `documents` are the user's."""
    sessions = items = 0
    yield b'{"user_id": ' + dumps(user_id) + b', "sessions": ['
    async for document in documents:
        yield (b",\n" if sessions else b"\n") + encode_document(document).rstrip(b"\n")
        sessions += 1
    yield b'\n], "items": ['
    cursor = None
    while True:
        page = await store.items.list(user_id=user_id, cursor=cursor)
        for item in page.items:
            yield (b",\n" if items else b"\n") + dumps(item)
            items += 1
        cursor = page.next_cursor
        if cursor is None:
            break
    cost = await store.ledger.cost(user_id=user_id)
    deleted = await store.sessions.count(user_id=user_id, state="deleted")
    if on_progress is not None:
        counts = {"items": items, "deleted": deleted}
        on_progress(Progress("export", "sessions", sessions, sessions, counts))
    yield b'\n], "cost_micros": ' + dumps(cost)
    yield b', "deleted_sessions": ' + dumps(deleted) + b"}\n"
