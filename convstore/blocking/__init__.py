"""The store without `await`: the same face for threads, on one background event loop.

Derived from the asynchronous classes while it runs, so there is no second
implementation; `__init__.pyi` tells type checkers what that derivation makes.
"""

from convstore.blocking.wrapping import (
    Conversation,
    Store,
    Transaction,
    open_store,
    over,
)

__all__ = ["Conversation", "Store", "Transaction", "open_store", "over"]


def __dir__() -> list[str]:
    return sorted(__all__)
