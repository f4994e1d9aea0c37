"""What was said is found, on both databases and in every mode the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from convstore import InvalidInputError, Store, open_store
from convstore.db import models
from convstore.db.dialects.words import WordRow
from convstore.db.search_reading import Wanted, matching
from convstore.search.query import parse
from convstore.search.words import words_of
from convstore.types import ConfigError, ManualClock, SearchPage, StoreConfig
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.policy import SearchPolicy
from tests.integration.conversations import every_page, say

OpenAnother = Callable[..., Awaitable[Store]]
PATIENT_S = 600.0
MODES = ("off", "deferred", "inline")


def mode(name: str, budget_s: float = PATIENT_S) -> SearchPolicy:
    return SearchPolicy(name, budget_s)  # type: ignore[arg-type]


@pytest.fixture(params=MODES)
async def searched(request: pytest.FixtureRequest, open_another: OpenAnother) -> Store:
    """A store in each mode."""
    return await open_another(search=mode(request.param))


def places(page: SearchPage) -> list[tuple[str, str, int | None]]:
    return [(hit.session.id, hit.kind, hit.turn_seq) for hit in page.items]


async def test_a_turn_is_found_by_any_of_its_words(searched: Store) -> None:
    await say(searched, "s-1", "Welke archieven zijn er in Enschede?", "Drie.")
    await say(searched, "s-2", "今天天气怎么样", "كَتَبَ")

    async def found(text: str) -> list[tuple[str, str, int | None]]:
        page = await searched.search(text)
        assert page.complete
        return places(page)

    assert await found("ENSCHEDE archieven") == [("s-1", "turn", 1)]
    assert await found('"zijn er"') == [("s-1", "turn", 1)]
    assert await found("archie*") == [("s-1", "turn", 1)]
    assert await found("天气") == [("s-2", "turn", 1)]
    assert await found("天") == [("s-2", "turn", 1)]
    assert await found("كتب") == [("s-2", "turn", 2)]
    assert await found("archieven -enschede") == []
    assert await found("enschede hengelo") == []


async def test_a_hit_says_where_and_shows_it(
    searched: Store, clock: ManualClock
) -> None:
    await say(searched, "s-1", "Welke archieven zijn er in Enschede?", "Drie.")

    (hit,) = (await searched.search("enschede")).items

    assert (hit.role, hit.at, hit.interaction_seq) == ("user", clock.now(), None)
    assert hit.session == await searched.sessions.get("s-1")
    assert [span.text for span in hit.snippet if span.is_hit] == ["Enschede"]
    assert hit.text == "Welke archieven zijn er in Enschede?"


async def test_titles_and_comments_are_found(searched: Store) -> None:
    await say(searched, "s-1", "Hoe laat is het?", "Drie uur.")
    await searched.sessions.update("s-1", title="Tijd in Zutphen")
    await searched.interactions.record(
        "s-1",
        action="feedback",
        turn_seq=2,
        feedback="wrong",
        content="het is vier uur",
    )
    await searched.interactions.record("s-1", action="note", reason="vraag: Deventer")

    assert places(await searched.search("zutphen")) == [("s-1", "title", None)]
    assert places(await searched.search("vier")) == [("s-1", "comment", 2)]
    (note,) = (await searched.search("deventer")).items
    assert (note.kind, note.turn_seq, note.interaction_seq) == ("comment", None, 2)
    assert places(await searched.search("laat")) == [("s-1", "turn", 1)]


async def test_a_title_that_changes_is_found_by_the_new_one_alone(
    searched: Store,
) -> None:
    await say(searched, "s-1", "Hallo")
    await searched.sessions.update("s-1", title="Zutphen")
    assert places(await searched.search("zutphen")) == [("s-1", "title", None)]

    await searched.sessions.update("s-1", title="Deventer")

    assert places(await searched.search("zutphen")) == []
    assert places(await searched.search("deventer")) == [("s-1", "title", None)]
    await searched.sessions.update("s-1", title=None)
    assert places(await searched.search("deventer")) == []


async def test_hits_come_newest_first_on_pages(
    searched: Store, clock: ManualClock
) -> None:
    for number in range(7):
        await say(searched, f"s-{number % 3}", f"appel {number}")
        clock.advance(1)
    await say(searched, "s-9", "appel 7", "appel 8", "appel 9")

    texts = [hit.text for hit in await every_page(searched.search, "appel", limit=3)]

    assert texts == [f"appel {number}" for number in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)]


async def test_the_best_come_first_if_asked(
    searched: Store, clock: ManualClock
) -> None:
    await say(searched, "s-1", "appel appel peer appel")
    clock.advance(1)
    await say(searched, "s-2", "appel " + "en verder niets " * 20)
    clock.advance(1)
    await say(searched, "s-3", "een appel")

    best = await every_page(searched.search, "appel", order="best", limit=1)

    assert [hit.session.id for hit in best] == ["s-1", "s-3", "s-2"]


async def test_filters_narrow_a_search(searched: Store, clock: ManualClock) -> None:
    await searched.sessions.get_or_create("s-1", user_id="u-1", language="nl")
    await searched.sessions.get_or_create("s-2", user_id="u-2", language="de")
    await say(searched, "s-1", "appel", "appel")
    clock.advance(60)
    between = clock.now()
    await say(searched, "s-2", "appel", "appel")
    await searched.interactions.record(
        "s-2", action="feedback", turn_seq=2, feedback="good"
    )

    async def found(**filters: Any) -> list[tuple[str, int | None]]:
        page = await searched.search("appel", **filters)
        return sorted((h.session.id, h.turn_seq) for h in page.items)

    first, second = [("s-1", 1), ("s-1", 2)], [("s-2", 1), ("s-2", 2)]
    assert await found(user_id="u-1") == first
    assert await found(session_id="s-2") == second
    assert await found(role="user") == [("s-1", 1), ("s-2", 1)]
    assert await found(since=between) == second
    assert await found(until=between) == first
    assert await found(language="de") == second
    assert await found(label="good") == second
    assert await found(label="bad") == []
    chat = searched.conversation("s-1", user_id="u-1")
    assert len((await chat.search("appel")).items) == 2
    assert not (await searched.conversation("s-1", user_id="u-2").search("appel")).items


async def test_no_tenant_finds_what_another_said(searched: Store) -> None:
    other = searched.for_tenant("other")
    await say(searched, "s-1", "appel")
    await say(other, "s-1", "peer")

    assert places(await other.search("appel")) == []
    assert places(await searched.search("peer")) == []
    assert places(await other.search("peer")) == [("s-1", "turn", 1)]


async def test_a_session_is_found_for_whoever_owns_it_now(searched: Store) -> None:
    await say(searched, "s-1", "appel")
    assert not (await searched.search("appel", user_id="u-1")).items

    await searched.sessions.update("s-1", user_id="u-1")
    assert places(await searched.search("appel", user_id="u-1")) == [("s-1", "turn", 1)]

    await searched.sessions.transfer("s-1", user_id="u-2", reason="verhuisd")
    assert not (await searched.search("appel", user_id="u-1")).items
    assert places(await searched.search("appel", user_id="u-2")) == [("s-1", "turn", 1)]


NAUGHTY = (
    '"', "'", "-", "*", "()", "AND", "a OR b)", "NEAR(a b)", "words:a", "scope : x",
    "^a", "a*", "user_id*", "'; drop table turns;--", '"a" + "b"', "{a b}:c", "a:*",
    "!a & b | c <-> d", "\\", "\\'", "a\\", "%", "_", "😀", "\u202e", "a" * 256,
    "x" * 70, "NOT", "--", "((((", "rowid", "search_words", "\t\n", "ﷺ", "½", "''",
    '""', "a''b",
)  # fmt: skip


async def test_any_text_is_a_query(searched: Store) -> None:
    await say(searched, "s-1", "appel a b", *NAUGHTY)
    await say(searched.for_tenant("other"), "s-1", *NAUGHTY)

    for text in NAUGHTY:
        page = await searched.search(text)
        assert page.complete
        assert all(hit.session.tenant_id == "default" for hit in page.items)


async def test_signs_count_where_they_are_asked_for(searched: Store) -> None:
    await say(searched, "s-1", "C++ is 10% sneller", "C is 10 jaar ouder")

    assert places(await searched.search("C++")) == [("s-1", "turn", 1)]
    assert places(await searched.search("10%")) == [("s-1", "turn", 1)]
    assert places(await searched.search("++")) == [("s-1", "turn", 1)]
    assert len((await searched.search("c")).items) == 2


async def test_what_an_index_does_not_take_is_found_all_the_same(
    searched: Store,
) -> None:
    await say(searched, "s-1", "x" * 300_000 + " appel", "peer " * 400 + "druif kers")

    assert places(await searched.search("appel")) == [("s-1", "turn", 1)]
    assert places(await searched.search('"druif kers"')) == [("s-1", "turn", 2)]
    assert places(await searched.search("aardbei")) == []


async def test_a_transaction_is_found_when_it_is_committed(searched: Store) -> None:
    async with searched.transaction() as tx:
        await say(tx, "s-1", "appel")

    async def given_up() -> None:
        async with searched.transaction() as tx:
            await say(tx, "s-2", "appel")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await given_up()

    assert places(await searched.search("appel")) == [("s-1", "turn", 1)]


async def test_a_transaction_finds_what_it_has_said_itself(searched: Store) -> None:
    async with searched.transaction() as tx:
        await say(tx, "s-1", "appel")
        page = await tx.conversation("s-1").search("appel")

    assert places(page) == [("s-1", "turn", 1)]


async def test_what_cannot_be_meant_is_refused_by_name(store: Store) -> None:
    for name, value in {
        "limit": 0,
        "order": "worst",
        "role": "tool",
        "cursor": "nonsense",
    }.items():
        with pytest.raises(InvalidInputError, match=name):
            await store.search("a", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="text"):
        await store.search("a" * 300)


async def test_a_search_that_had_no_time_says_so(open_another: OpenAnother) -> None:
    for name in ("off", "deferred"):
        store = await open_another(search=mode(name, 0.0))
        await say(store, f"s-{name}", f"appel {name}")

        page = await store.search("peer")

        assert not page.items
        assert not page.complete
    assert page.indexed_until is None


async def test_a_search_does_not_wait_for_who_writes(
    sqlite_url: str,
) -> None:
    """Until that one is done: ten minutes, were it not for the budget."""
    import sqlite3

    patient = Limits(busy_timeout_s=PATIENT_S)
    config = StoreConfig(url=sqlite_url, search=mode("deferred", 0.5), limits=patient)
    async with open_store(config) as store:
        await say(store, "s-1", "appel")
        path = sqlite_url.removeprefix("sqlite:///")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        page = await store.search("appel")

        other.execute("ROLLBACK")
        other.close()
        assert not page.complete


async def test_a_search_without_time_goes_on_where_it_ended(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    store = await open_another(search=mode("off", 0.0))
    for number in range(30):
        await say(store, f"s-{number:02}", f"appel {number}")
        clock.advance(1)

    hits = await every_page(store.search, "appel", limit=5)

    assert [h.text for h in hits] == [f"appel {n}" for n in reversed(range(30))]


async def test_modes_can_be_switched(open_another: OpenAnother) -> None:
    for turn in range(2):
        for name in ("off", "deferred", "inline", "deferred"):
            store = await open_another(search=mode(name))
            await say(store, f"s-{name}-{turn}", "appel")
            page = await store.search("appel", limit=100)
            assert page.complete
            ids = {hit.session.id for hit in page.items}
            assert f"s-{name}-{turn}" in ids
            assert len(page.items) == len(
                {(h.session.id, h.turn_seq) for h in page.items}
            )
            await store.close()
    store = await open_another(search=mode("deferred"))
    assert len((await store.search("appel", limit=100)).items) == 8
    assert (await store.search_index.check()).ok


async def test_a_worker_indexes_every_tenant(open_another: OpenAnother) -> None:
    store = await open_another(search=mode("deferred"))
    for tenant in ("a", "b"):
        await say(store.for_tenant(tenant), "s-1", "appel", "peer")

    report = await store.search_index.run()

    assert report.entries == 4
    assert (await store.search_index.run()).entries == 0
    assert (await store.for_tenant("a").search_index.check()).ok


async def test_a_judgement_without_words_leaves_nothing_waiting(
    open_another: OpenAnother,
) -> None:
    store = await open_another(search=mode("deferred"))
    await say(store, "s-1", "appel")
    await store.interactions.record("s-1", action="feedback", feedback="correct")

    await store.search_index.run()

    assert (await store.search_index.check()).waiting == 0


async def test_a_session_has_one_mark_where_nobody_else_writes_meanwhile(
    open_another: OpenAnother,
) -> None:
    store = await open_another(search=mode("deferred"))
    backend = store._parts.backend
    for _ in range(3):
        await say(store, "s-1", "appel")

    counted = select(func.count()).select_from(models.search_marks)
    marks = await backend.read(lambda c: c.execute(counted).scalar_one())

    assert marks == (3 if backend.dialect.has_row_locks else 1)
    assert len((await store.search("appel")).items) == 3
    assert await backend.read(lambda c: c.execute(counted).scalar_one()) == 0


async def test_an_index_can_be_made_anew(open_another: OpenAnother) -> None:
    store = await open_another(search=mode("inline"))
    await say(store, "s-1", *(f"appel {n}" for n in range(450)))
    before = await every_page(store.search, "appel", limit=100)

    report = await store.search_index.rebuild()

    assert report.entries == 450
    assert await every_page(store.search, "appel", limit=100) == before
    assert (await store.search_index.check()).ok


async def test_indexed_until_says_since_when_something_waits(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    store = await open_another(search=mode("deferred"))
    await say(store, "s-1", "appel")
    assert (await store.search("appel")).indexed_until == clock.now()
    clock.advance(3600)
    said_at = clock.now()
    await say(store, "s-1", "peer")
    clock.advance(3600)

    hurried = await open_another(search=mode("deferred", 0.0))

    assert (await hurried.search("peer")).indexed_until == said_at


async def test_a_database_without_fts5_is_refused_by_name(sqlite_url: str) -> None:
    import sqlite3

    path = sqlite_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE search_words")
    connection.close()

    with pytest.raises(ConfigError, match="FTS5"):
        async with open_store(StoreConfig(url=sqlite_url, search=mode("deferred"))):
            pass
    async with open_store(StoreConfig(url=sqlite_url)) as store:
        await say(store, "s-1", "appel")
        assert (await store.search("appel")).items


async def test_indexers_at_one_moment_take_different_numbers(
    open_another: OpenAnother,
) -> None:
    stores = [await open_another(search=mode("inline")) for _ in range(2)]
    names = [f"s-{number}" for number in range(20)]
    for name in names:
        await stores[0].sessions.get_or_create(name)

    async def talk(store: Store, some: list[str]) -> None:
        for name in some:
            await store.turns.append(name, role="user", content="appel")

    await asyncio.gather(talk(stores[0], names[::2]), talk(stores[1], names[1::2]))

    assert len((await stores[0].search("appel", limit=100)).items) == 20
    assert (await stores[0].search_index.check()).ok


def test_a_number_that_another_took_is_not_given_twice(postgres_url: str) -> None:
    row = WordRow(7, "default", "s-1", "turn", 1, ("t1",), ("appel",))
    other = replace(row, session_id="s-2")

    async def run() -> list[object]:
        async with open_store(StoreConfig(url=postgres_url)) as store:
            backend = store._parts.backend
            add = backend.dialect.words.add
            return [
                list(await backend.write(lambda c: add(c, [row]))),
                list(
                    await backend.write(lambda c: add(c, [other, replace(row, id=9)]))
                ),
            ]

    assert asyncio.run(run()) == [[], [other]]


async def test_an_index_that_takes_too_long_is_not_waited_for(
    open_another: OpenAnother,
) -> None:
    store = await open_another(search=mode("deferred"))
    for number in range(5):
        texts = (f"a{number}b{n}c{n * n}" + f" abc{n}" * 40 for n in range(100))
        await say(store, f"s-{number}", *texts)
    await store.search_index.run()
    backend = store._parts.backend
    query, wanted = parse("abc*"), Wanted()

    def look(connection: Connection, budget_s: float) -> list[int] | None:
        return matching(connection, "default", query, wanted, None, 500, budget_s)

    found = await backend.read(lambda c: look(c, PATIENT_S), snapshot=True)
    cut = await backend.read(lambda c: look(c, 0.0), snapshot=True)
    again = await backend.read(lambda c: look(c, PATIENT_S), snapshot=True)

    assert found == again
    assert len(found or ()) == 500
    assert cut is None or cut == found, "a fast machine may be through by then"


words = st.lists(
    st.sampled_from(
        "appel peer 今天 天气 كتب Straße e é 10% C++ user_id an-na".split()
    ),
    min_size=1,
    max_size=6,
).map(" ".join)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(words, min_size=1, max_size=8), query=words)
async def test_the_index_finds_what_reading_finds(
    searched: Store, texts: list[str], query: str
) -> None:
    tenant = searched.for_tenant(f"t{hash((tuple(texts), query)) & 0xFFFFFFFF}")
    await say(tenant, "s-1", *texts)

    page = await tenant.search(query, limit=50)

    meant = parse(query)
    wanted = {n for n, t in enumerate(texts, 1) if meant.matches(words_of(t), t)}
    assert {hit.turn_seq for hit in page.items if hit.kind == "turn"} == wanted


async def test_a_search_asks_once_whether_anything_waits(
    open_another: OpenAnother, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the index, and the rows: three reads, of which the second is a snapshot."""
    store = await open_another(search=mode("deferred"))
    await say(store, "s-1", "Waar is het archief?", "Op de markt.")
    await store.search("archief")
    backend, reads = store._parts.backend, []
    read = backend.read

    async def counted(work: Any, *, snapshot: bool = False) -> Any:
        reads.append(snapshot)
        return await read(work, snapshot=snapshot)

    monkeypatch.setattr(backend, "read", counted)
    page = await store.search("archief")

    assert (len(page.items), page.complete) == (1, True)
    assert reads == [False, True, False]
