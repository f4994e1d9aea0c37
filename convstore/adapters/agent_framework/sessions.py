"""Sessions of the framework, whole as an agent left them, as items of a store.

    sessions = ConvstoreSessionStore(store, user_id="u-1")
    session = await sessions.get("s-1") or agent.create_session(session_id="s-1")
    await agent.run("Hello", session=session)
    await sessions.set("s-1", session)

What a session holds is the state of its providers. The conversation itself is in the
history, where everybody reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from convstore.blocking.wrapping import AnyStore, awaited
from convstore.messages.neutral import fitting_id
from convstore.vocabulary.extras import needed
from convstore.vocabulary.records import Item

with needed("agent-framework", "the session store of Agent Framework"):
    from agent_framework import AgentSession, SessionStore

NAMESPACE: Final = "agent-framework:sessions"
"""Of the items. The value is an object with `session`, JSON text of what `to_dict`
gives, so that any text that JSON can tell fits."""

__all__ = ["ConvstoreSessionStore"]


class ConvstoreSessionStore(SessionStore):
    """A `SessionStore` of the framework over the items of a store.

    Safe to share between agents and tasks, and over a store of `convstore.blocking`
    between threads and event loops. Of two who set a session the later one's is kept,
    as in the framework's own.

    Args:
        store: An open `convstore.Store`, of the tenant that is meant, or one of
            `convstore.blocking.open_store`, which serves any event loop.
        user_id: Whose sessions they are, so that an erasure finds them. With it, a
            session of another user, or of nobody, is not found.
    """

    def __init__(self, store: AnyStore, *, user_id: str | None = None) -> None:
        super().__init__()
        self._store = awaited(store)
        self._user_id = user_id

    async def get(self, session_id: str) -> AgentSession | None:
        """The session as it was set; None where there is none.

        Raises:
            ValueError: `session_id` is empty.
        """
        item = await self._find(session_id)
        if item is None:
            return None
        return AgentSession.from_dict(json.loads(item.value["session"]))

    async def set(self, session_id: str, session: AgentSession) -> None:
        """Keep a session in place of what was kept of it. Durable when this returns.

        Raises:
            ValueError: `session_id` is empty.
            TypeError: The session is of another class, which would not come back, or
                its state cannot be written as JSON; nothing was changed.
            ConflictError: It is another user's.
        """
        self.validate_session_id(session_id)
        if type(session) is not AgentSession:
            raise TypeError(f"a session is an AgentSession, not a {type(session)!r}")
        told = session.to_dict()
        if isinstance(service := told["service_session_id"], Mapping):
            told["service_session_id"] = dict(service)
        value = {"session": json.dumps(told, separators=(",", ":"))}
        await self._store.items.put(
            NAMESPACE, fitting_id(session_id), value, user_id=self._user_id
        )

    async def delete(self, session_id: str) -> None:
        """Destroy what was kept of a session, if anything was.

        Raises:
            ValueError: `session_id` is empty.
        """
        if await self._find(session_id) is not None:
            await self._store.items.delete(NAMESPACE, fitting_id(session_id))

    async def _find(self, session_id: str) -> Item | None:
        self.validate_session_id(session_id)
        item = await self._store.items.find(NAMESPACE, fitting_id(session_id))
        if item is None or self._user_id in (None, item.user_id):
            return item
        return None
