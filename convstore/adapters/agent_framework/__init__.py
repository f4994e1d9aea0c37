"""Microsoft's Agent Framework: histories of its agents, and its sessions, in a store.

    agent = Agent(client, context_providers=[ConvstoreHistory(store, user_id="u-1")])

Needs the extra `agent-framework`.
"""

from typing import TYPE_CHECKING, Any

from convstore.adapters.agent_framework.history import ConvstoreHistory

if TYPE_CHECKING:
    from convstore.adapters.agent_framework.sessions import ConvstoreSessionStore

__all__ = ["ConvstoreHistory", "ConvstoreSessionStore"]


def __getattr__(name: str) -> Any:
    # The framework warns whoever has a session store that these are experimental; a
    # history is not.
    if name != "ConvstoreSessionStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from convstore.adapters.agent_framework.sessions import ConvstoreSessionStore

    return ConvstoreSessionStore


def __dir__() -> list[str]:
    return sorted(__all__)
