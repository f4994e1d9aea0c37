"""Steps that several test modules take."""

from __future__ import annotations

from typing import Any

from convstore import Page, Store, Turn
from convstore.store.repositories import Repositories


async def say(store: Repositories, session_id: str, *contents: str) -> list[Turn]:
    """Append turns, user and assistant in turn; the session is made if need be."""
    await store.sessions.get_or_create(session_id)
    roles = ("user", "assistant")
    return await store.turns.append_many(
        session_id,
        [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)],
    )


async def contents(
    store: Repositories, session_id: str, limit: int = 10_000
) -> list[Any]:
    """What the active branch says, oldest first."""
    return [t.content for t in await store.turns.window(session_id, limit=limit)]


async def every_page(verb: Any, *args: Any, **kwargs: Any) -> list[Any]:
    """The items of all pages of a list verb, in order."""
    found: list[Any] = []
    cursor = None
    while True:
        page: Page[Any] = await verb(*args, cursor=cursor, **kwargs)
        found.extend(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return found


async def everything(store: Store, session_id: str) -> list[Any]:
    """All that a session holds, for comparing one moment with another."""
    return [
        await store.sessions.get(session_id),
        await every_page(store.turns.list, session_id),
        await every_page(store.interactions.list, session_id),
        await store.graph_states.namespaces(session_id),
    ]
