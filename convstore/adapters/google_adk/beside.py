"""What is kept beside the sessions, and what imports brought along for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convstore.adapters.google_adk.state import names_in
from convstore.messages.adk_names import (
    GRAPH_STATE,
    IMPORTED,
    STATE,
    imported,
    kept_state,
)
from convstore.vocabulary.records import JsonObject, Session

if TYPE_CHECKING:
    from convstore.store import Store

_PAGE = 100


async def items_of(
    store: Store, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Any]:
    """The values of items, on top of what imports brought along for them."""
    found: dict[tuple[str, str], Any] = {}
    for start in range(0, len(names), _PAGE):
        some = names[start : start + _PAGE]
        asked = [place for name in some for place in (imported(name), name)]
        items = await store.items.find_many(asked)
        for name in some:
            both = items.get(imported(name)), items.get(name)
            values = [item.value for item in both if item is not None]
            if values:
                found[name] = {k: v for value in values for k, v in value.items()}
    return found


async def brought(store: Store, sessions: Sequence[Session]) -> dict[str, JsonObject]:
    """What imports brought along for some of these sessions, by their ids."""
    asked = [session.id for session in sessions if names_in(session) is not None]
    if not asked:
        return {}
    return await store.sessions.adapter_states(asked, STATE + IMPORTED)


async def brought_for(store: Store, session: Session) -> JsonObject | None:
    """As `brought`, of one session; also by an import of before, which left what it
    brought to a graph state alone."""
    found = await brought(store, [session])
    if session.id in found or names_in(session) is None:
        return found.get(session.id)
    kept = await store.graph_states.find(session.id, namespace=GRAPH_STATE)
    state = None if kept is None else kept.state
    return {"state": kept_state(state)} if isinstance(state, dict) else None
