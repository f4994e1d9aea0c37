"""Figures for Prometheus; traces for OpenTelemetry are in `convstore.metrics.tracing`.

Loaded when they are used: each needs an extra of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convstore.metrics.prometheus import (
        CONTENT_TYPE_LATEST,
        StoreCollector,
        collector,
        register,
    )

__all__ = ["CONTENT_TYPE_LATEST", "StoreCollector", "collector", "register"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from convstore.metrics import prometheus

        return getattr(prometheus, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
