"""Sessions of Google's Agent Development Kit, kept in a store.

    service = ConvstoreSessionService(store)
    runner = Runner(app_name="shop", agent=agent, session_service=service)

Each event is a turn. Needs the extra `google-adk`.
"""

from convstore.vocabulary.extras import needed

with needed("google-adk", "the adapter of Google ADK"):
    from convstore.adapters.google_adk.service import ConvstoreSessionService

__all__ = ["ConvstoreSessionService"]


def __dir__() -> list[str]:
    return sorted(__all__)
