"""Spans of what a store does, as an exporter of the application gets them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from convstore import SessionNotFoundError, Store
from convstore.metrics import tracing

SECRET = "Zwanenmeer"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


async def test_a_write_is_a_span_inside_the_callers(
    store: Store, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    await store.sessions.get_or_create("s-1")
    tracing.instrument(store, provider)

    with provider.get_tracer("app").start_as_current_span("request") as request:
        await store.turns.append("s-1", role="user", content="x")

    (write,) = named(exporter, "convstore.write")
    assert write.parent is not None
    assert write.parent.span_id == request.get_span_context().span_id
    assert dict(write.attributes or {}) == {"convstore.operation": "AppendTurns"}


async def test_a_commit_is_nobodys_child(
    store: Store, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """It serves many callers at once."""
    tracing.instrument(store, provider)

    with provider.get_tracer("app").start_as_current_span("request"):
        await store.sessions.get_or_create("s-1")

    commit = named(exporter, "convstore.commit")[-1]
    assert commit.parent is None
    assert dict(commit.attributes or {}) == {"convstore.writes": 1}


async def test_reads_transactions_and_retention_are_spans(
    store: Store, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracing.instrument(store, provider)
    async with store.transaction() as tx:
        await tx.sessions.get_or_create("s-1")
    await store.sessions.get("s-1")
    await store.graph_states.find("s-1")

    await store.run_retention(older_than_s=0)
    await store.restore("s-1")

    assert named(exporter, "convstore.read")
    assert named(exporter, "convstore.transaction")
    assert named(exporter, "convstore.restore")
    (run,) = named(exporter, "convstore.retention.run")
    assert (run.attributes or {})["convstore.archived"] == 1
    for step in ("recover", "archive", "purge"):
        (span,) = named(exporter, f"convstore.retention.{step}")
        assert span.parent is not None
        assert span.parent.span_id == run.context.span_id


async def test_a_failure_is_told_by_its_code_alone(
    store: Store, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracing.instrument(store, provider)

    with pytest.raises(SessionNotFoundError):
        await store.turns.append("absent", role="user", content="x")

    (write,) = named(exporter, "convstore.write")
    assert (write.attributes or {})["error.type"] == "session_not_found"
    assert not write.status.is_ok
    assert write.events == ()


async def test_nothing_said_and_no_id_is_in_a_span(
    store: Store, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracing.instrument(store, provider)
    chat = store.conversation(SECRET, user_id=SECRET)
    await chat.add_exchange(SECRET, SECRET, slots={SECRET: SECRET})
    await chat.window()
    await store.run_retention(older_than_s=0)

    assert exporter.get_finished_spans()
    assert all(SECRET not in span.to_json() for span in exporter.get_finished_spans())


async def test_a_store_that_is_not_traced_makes_no_span(
    store: Store, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    observer = tracing.instrument(store, provider)
    store.watch.remove(observer)

    await store.sessions.get_or_create("s-1")

    assert exporter.get_finished_spans() == ()
