"""OpenTelemetry spans of what a store does: names and counts, never content or ids.

The only module that imports OpenTelemetry (the extra `otel`). What the application
does not trace costs nothing: the store has no observer then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convstore.vocabulary.errors import ConvstoreError, MissingExtraError
from convstore.vocabulary.version import __version__
from convstore.vocabulary.watch import Facts

try:
    from opentelemetry import trace
except ImportError:  # pragma: no cover - one environment has it, another has not
    raise MissingExtraError("tracing", "otel") from None

if TYPE_CHECKING:
    from convstore.store.facade import Store

__all__ = ["instrument"]


class SpanObserver:
    """Makes a span `convstore.<name>` of each piece of work of a store.

    Spans of one caller nest: a write is inside the caller's own span. A commit serves
    many callers, so its span begins a trace of its own.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("convstore", __version__, provider)

    @contextmanager
    def watching(self, name: str, facts: Facts) -> Iterator[None]:
        # An exception's message may name ids: its code says enough.
        with self._tracer.start_as_current_span(
            f"convstore.{name}", record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", _code(error))
                span.set_status(trace.StatusCode.ERROR)
                raise
            finally:
                span.set_attributes({f"convstore.{k}": v for k, v in facts.items()})


def instrument(
    store: Store, provider: trace.TracerProvider | None = None
) -> SpanObserver:
    """Trace a store, its tenants and its jobs from now on.

    Args:
        store: Any tenant's face of it; all of them are traced.
        provider: Where spans go; the application's global provider by default.

    Returns:
        What `store.watch.remove` takes to end it.
    """
    observer = SpanObserver(provider)
    store.watch.add(observer)
    return observer


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, ConvstoreError) else type(error).__name__


def __dir__() -> list[str]:
    return sorted(__all__)
