"""What should run by itself and does not is told, cheaply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from convstore import Store
from convstore.policy import SearchPolicy
from convstore.store import health
from convstore.types import Finding, ManualClock
from tests.integration.archives import damage, segment_files
from tests.web.conftest import talk


async def findings(store: Store) -> dict[str, Finding]:
    return {found.check: found for found in await store.health()}


async def test_retention_that_never_ran_is_told_once_something_is_due(
    store: Store, clock: ManualClock, archive_dir: Path
) -> None:
    await talk(store)
    fresh = await findings(store)
    clock.advance(3 * 86_400)
    due = await findings(store)
    await store.run_retention()
    ran = await findings(store)
    (path,) = segment_files(archive_dir)
    damage(path)
    await store.archive.verify()
    damaged = await findings(store)

    check = "last run of retention"
    assert fresh[check].ok
    assert not due[check].ok
    assert "never ran" in due[check].detail
    assert "convstore worker" in due[check].remedy
    assert ran[check].ok
    assert ran["segments"].detail == "1, of which 0 damaged"
    assert ran["sessions that cannot be archived"].ok
    assert not damaged["segments"].ok
    assert damaged["segments"].detail == "1, of which 1 damaged"


async def test_an_index_that_nobody_runs_is_told(
    open_another: Callable[..., Awaitable[Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MOST_WAITING", 3)
    search = SearchPolicy(mode="deferred")
    store = await open_another(search=search)
    few = await findings(store)
    for number in range(3):
        await talk(store, f"s-{number}")
    waiting = await findings(store)
    await store.search_index.run()
    ran = await findings(store)

    check = "indexing of words"
    assert few[check].ok
    assert not waiting[check].ok
    assert "convstore search index" in waiting[check].remedy
    assert ran[check].ok
