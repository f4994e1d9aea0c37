"""Sessions are listed by the words of their titles, and by what few rows say of them,
without a walk past all others."""

from __future__ import annotations

from typing import Any

import pytest

from convstore import Store
from convstore.db import session_clues, session_lists
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import raw
from tests.integration.conversations import say
from tests.integration.test_session_lists import QUARTER_S, ids, pages, pages_back


async def listed(store: Store, title: str, **more: Any) -> list[str]:
    page = await store.sessions.list(title=title, **more)
    assert page.complete
    return sorted(session.id for session in page.items)


async def test_a_title_is_found_by_beginnings_of_its_words_in_any_order(
    store: Store,
) -> None:
    for name, title in {
        "s-1": "Archieven in Enschede",
        "s-2": "Être à l'École, 50% Ωmega",
        "s-3": "今天天气怎么样",
        "s-4": "C++ en user_id",
    }.items():
        await store.sessions.get_or_create(name, title=title)
    await store.for_tenant("other").sessions.get_or_create("s-1", title="Archief")

    assert await listed(store, "ENSCH arch") == ["s-1"]
    assert await listed(store, "chieven") == []
    assert await listed(store, "arch hengelo") == []
    for text in ("ecole etre", "ÉCOLE", "50", "ωm", "l'é"):
        assert await listed(store, text) == ["s-2"], text
    for text in ("天", "天气", "天气怎"):
        assert await listed(store, text) == ["s-3"], text
    assert await listed(store, "user_i") == ["s-4"]
    assert await listed(store, "++") == ["s-4"]
    assert await listed(store, "%") == ["s-2"]
    assert await store.sessions.count(title="arch") == 1


async def test_a_title_is_found_from_the_commit_that_gives_it(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    await say(store, "s-1", "Waar is Enschede?", "Daar.")
    assert await listed(store, "enschede") == ["s-1"]

    await store.sessions.update("s-1", title="Zutphen")
    assert (await listed(store, "enschede"), await listed(store, "zut")) == (
        [],
        ["s-1"],
    )
    await store.sessions.patch("s-1", title="Deventer")
    assert (await listed(store, "zut"), await listed(store, "dev")) == ([], ["s-1"])
    await store.sessions.fork("s-1", "s-2")
    assert await listed(store, "deventer") == ["s-1", "s-2"]
    await store.sessions.update("s-1", title=None)
    assert await listed(store, "deventer") == ["s-2"]


async def test_the_words_of_a_title_stay_with_the_archive_and_go_with_an_erasure(
    store: Store, database_url: str
) -> None:
    await say(store, "s-1", "Waar is Enschede?")
    await say(store, "s-2", "Waar is Zutphen?")
    await store.run_retention(older_than_s=0)
    assert await listed(store, "ensch", state="archived") == ["s-1"]
    await store.restore("s-1")
    assert await listed(store, "ensch", state="active") == ["s-1"]

    for session_id in ("s-1", "s-2"):
        await store.erase(session_id=session_id)

    assert await listed(store, "waar") == []
    assert raw(database_url, "SELECT * FROM session_title_words") == []


CLUES: dict[str, dict[str, Any]] = {
    "title": {"title_words": ("nee", "hay")},
    "label": {"label": "up"},
    "tag": {"tag": "#rare"},
    "metadata": {"metadata": (("=plan", '"pro"'),)},
}


async def rare_ones(store: Store, clock: ManualClock, rare: set[int]) -> None:
    for number in range(40):
        clock.advance(QUARTER_S / 4)
        name, is_rare = f"s-{number:02}", number in rare
        await store.sessions.get_or_create(
            name,
            title="Hay and needles" if is_rare else "hay",
            tags=["rare"] if is_rare else [],
            metadata={"plan": "pro" if is_rare else "free"},
        )
        if is_rare:
            await store.interactions.record(name, action="feedback", feedback="up")


@pytest.mark.parametrize("clue", CLUES)
@pytest.mark.parametrize("few", [500, 2], ids=["at once", "after a walk"])
async def test_sessions_of_which_few_rows_say_it_are_listed_whole_beside_very_many(
    store: Store,
    clock: ManualClock,
    clue: str,
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_lists, "_FEW", few)
    await rare_ones(store, clock, {3, 4, 20})

    seen = await pages(store, 2, 8, **CLUES[clue])
    back = await pages_back(store, seen[-1], 2, 8, **CLUES[clue])

    assert ids(seen) == ["s-20", "s-04", "s-03"]
    assert ids(back) == ["s-20", "s-04"]
    assert all(page.complete for page in (*seen, *back))


@pytest.mark.parametrize("clue", CLUES)
async def test_of_too_many_to_be_put_in_order_none_is_lost(
    store: Store, clock: ManualClock, clue: str
) -> None:
    rare = {2, 3, 5, 8, 13, 21, 34}
    await rare_ones(store, clock, rare)

    seen = await pages(store, 3, 5, **CLUES[clue])

    assert ids(seen) == [f"s-{number:02}" for number in sorted(rare, reverse=True)]


async def test_what_a_list_by_title_reads_does_not_grow_with_the_sessions(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that leave the database, and no statement that walks the sessions."""
    read: list[int] = []
    named = session_clues.Prepared.all

    def counted(*given: Any) -> Any:
        rows = named(*given)
        read.append(len(rows))
        return rows

    def walked(*_: Any) -> None:
        raise AssertionError("the sessions were walked")

    counts = []
    for more in (10, 60):
        for number in range(more):
            clock.advance(QUARTER_S)
            await store.sessions.get_or_create(f"s-{more}-{number}", title="hay hooks")
        await store.sessions.get_or_create(f"n-{more}", title="A needle in hay")
        with monkeypatch.context() as patch:
            patch.setattr(session_clues.Prepared, "all", counted)
            patch.setattr(session_lists, "_edge", walked)
            found = await listed(store, "needle")
        counts.append((sum(read), len(found)))
        read.clear()

    # The word, its session in order, and the session: for one, then for two.
    assert counts == [(3, 1), (6, 2)]


async def test_a_title_without_a_word_is_a_title(store: Store) -> None:
    await store.sessions.get_or_create("s-1", title="…?!")

    assert (await store.sessions.get("s-1")).title == "…?!"
    assert await listed(store, "?!") == ["s-1"]
