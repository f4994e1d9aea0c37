"""LangGraph's own conformance kit."""

from __future__ import annotations

import itertools

from langgraph.checkpoint.conformance import checkpointer_test, validate

from convstore import Store
from convstore.adapters.langgraph import ConvstoreSaver


async def test_the_kit_finds_nothing(store: Store) -> None:
    numbers = itertools.count(1)

    @checkpointer_test(name="convstore")
    async def make():  # type: ignore[no-untyped-def]
        yield ConvstoreSaver(store.for_tenant(f"tenant-{next(numbers)}"))

    report = await validate(make)

    assert report.conformance_level() == "FULL", report.to_dict()
    passed = [result.tests_passed for result in report.results.values()]
    assert (len(passed), sum(passed)) == (8, 81)
