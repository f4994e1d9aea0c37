"""The face: what `open_store` gives. Loaded when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.store.repositories import Transaction

__all__ = ["Store", "Transaction"]


def __getattr__(name: str) -> Any:
    # `opening` lives beside the facade and must not load the database with it.
    if name in __all__:
        from convstore.store import facade, repositories

        return {"Store": facade.Store, "Transaction": repositories.Transaction}[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
