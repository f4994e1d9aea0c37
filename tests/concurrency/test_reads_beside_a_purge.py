"""A session that is archived in the middle of a read is read whole: never taken for
one in which nothing was ever said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from convstore import Store, StoreConfig
from convstore.db import branches, sessions
from convstore.errors import LimitExceededError
from convstore.policy import LedgerPolicy
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import Elsewhere, OpenAnother, fill
from tests.integration.conversations import say

Read = Callable[[Store], Awaitable[Any]]
READS: dict[str, Read] = {
    "get": lambda s: s.turns.get("s-1", 1),
    "find": lambda s: s.turns.find("s-1", external_id="m-1"),
    "list": lambda s: s.turns.list("s-1"),
    "branches": lambda s: s.turns.branches("s-1"),
    "branch": lambda s: s.turns.branch("s-1", head=1),
    "siblings": lambda s: s.turns.siblings("s-1", [1]),
    "children": lambda s: s.turns.children("s-1", [0]),
    "tools": lambda s: _tools(s),
    "interactions": lambda s: s.interactions.list("s-1"),
    "summary": lambda s: s.interactions.summary("s-1"),
    "graph state": lambda s: s.graph_states.get("s-1"),
    "graph state version": lambda s: s.graph_states.find("s-1", version=1),
    "graph states": lambda s: s.graph_states.list("s-1"),
    "namespaces": lambda s: s.graph_states.namespaces("s-1"),
    "ledger": lambda s: s.ledger.find("s-1"),
    "budget": lambda s: _budget(s),
}


async def _tools(store: Store) -> Any:
    return await store.turns.tools("s-1", TOOLS_HASH)


async def _budget(store: Store) -> str:
    with pytest.raises(LimitExceededError) as refused:
        await store.ledger.check_budget("s-1")
    return refused.value.limit


TOOLS_HASH = ""


@pytest.fixture
def elsewhere(
    database_url: str, archive_dir: Any, clock: ManualClock
) -> Iterator[Elsewhere]:
    config = StoreConfig(url=database_url, archive_dir=archive_dir)
    other = Elsewhere(config, clock)
    yield other
    other.close()


async def _filled(store: Store) -> None:
    global TOOLS_HASH
    await fill(store, "s-1")
    await store.ledger.add_cost("s-1", micros=10)
    TOOLS_HASH = (await store.turns.get("s-1", 2)).tools_hash or ""


@pytest.mark.parametrize("name", READS)
async def test_it_is_whole(
    open_another: OpenAnother,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    store = await open_another(ledger=LedgerPolicy(session_budget_micros=10))
    await _filled(store)
    before = await READS[name](store)
    looked = sessions.get_usable

    def look(*given: Any) -> Any:
        session = looked(*given)
        monkeypatch.setattr(sessions, "get_usable", looked)
        elsewhere.ask(lambda s: s.run_retention(older_than_s=0), 10.0)
        return session

    monkeypatch.setattr(sessions, "get_usable", look)
    found = await READS[name](store)
    await elsewhere.answers()

    assert found == before


async def test_a_window_over_branches_is_whole(
    store: Store, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _filled(store)
    before = await store.turns.window("s-1")

    class Slow:
        """The statement along the branches, behind a purge."""

        def all(self, *given: Any) -> Any:
            monkeypatch.setattr(branches, "_PATH", along)
            elsewhere.ask(lambda s: s.run_retention(older_than_s=0), 10.0)
            return along.all(*given)

    along = branches._PATH
    monkeypatch.setattr(branches, "_PATH", Slow())
    found = await store.turns.window("s-1")
    await elsewhere.answers()

    assert found == before


async def test_a_window_is_not_empty_because_a_restore_came_between(
    store: Store, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archived at the first statement, live again at the second."""
    await say(store, "s-1", "one", "two")
    before = await store.turns.window("s-1")
    await store.run_retention(older_than_s=0)

    class Slow:
        """The look at a session of which no turn was found, behind a restore."""

        def all(self, *given: Any) -> Any:
            monkeypatch.setattr(branches, "_SESSION", look)
            elsewhere.ask(lambda s: s.restore("s-1"), 10.0)
            return look.all(*given)

    look = branches._SESSION
    monkeypatch.setattr(branches, "_SESSION", Slow())
    found = await store.turns.window("s-1")
    await elsewhere.answers()

    assert found == before
