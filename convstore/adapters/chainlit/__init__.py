"""Chainlit: threads, steps, feedback and users of its chats, in the store.

    @cl.data_layer
    def data_layer():
        return ConvstoreDataLayer(store, storage_provider=files)

A thread is a session, a message a turn of it. What another framework or the application
itself said in the session is shown as messages, too. Needs the extra `chainlit`.
"""

from convstore.vocabulary.extras import needed

with needed("chainlit", "the adapter of Chainlit"):
    from convstore.adapters.chainlit.data_layer import ConvstoreDataLayer

__all__ = ["ConvstoreDataLayer"]


def __dir__() -> list[str]:
    return sorted(__all__)
