"""LangGraph's own conformance kit."""

from __future__ import annotations

import itertools
from pathlib import Path

from langgraph.checkpoint.conformance import checkpointer_test, validate

from convstore import open_store
from convstore.adapters.langgraph import ConvstoreSaver


async def test_the_kit_finds_nothing(tmp_path: Path) -> None:
    numbers = itertools.count(1)
    async with open_store(f"sqlite:///{tmp_path}/store.db") as store:

        @checkpointer_test(name="convstore")
        async def make():  # type: ignore[no-untyped-def]
            yield ConvstoreSaver(store.for_tenant(f"tenant-{next(numbers)}"))

        report = await validate(make)

    assert report.passed_all_base()
    assert report.passed_all()
