"""Lists of sessions: exact in order, bounded in what they look at, and saying so."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from convstore import InvalidInputError, Session, Store
from convstore.db import session_lists
from convstore.db.session_filters import Filter, Sides
from convstore.db.session_lists import Place, list_page
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import OpenAnother

QUARTER_S = 900.0


async def pages(
    store: Store, limit: int, budget: int, **wanted: object
) -> list[session_lists.Listed]:
    """All pages of a list that looks at no more than `budget` sessions for each."""
    found: list[session_lists.Listed] = []
    place: Place | None = None
    while not found or found[-1].next is not None:
        found.append(
            await store._parts.backend.read(
                lambda c, p=place: list_page(  # type: ignore[misc]
                    c, "default", Filter(**wanted), p, limit, budget=budget
                )
            )
        )
        place = found[-1].next
        assert len(found) < 100
    return found


async def pages_back(
    store: Store, end: session_lists.Listed, limit: int, budget: int, **wanted: object
) -> list[session_lists.Listed]:
    """The pages before one, in the order in which they lie."""
    found, place = [end], end.previous
    while place is not None:
        found.append(
            await store._parts.backend.read(
                lambda c, p=place: list_page(  # type: ignore[misc]
                    c, "default", Filter(**wanted), p, limit, budget=budget
                )
            )
        )
        place = found[-1].previous
        assert len(found) < 100
    return found[:0:-1]


def ids(pages: list[session_lists.Listed]) -> list[str]:
    return [session.id for page in pages for session in page.sessions]


@pytest.mark.parametrize("apart_s", [0.0, 1.0, QUARTER_S / 3, 2 * QUARTER_S])
@pytest.mark.parametrize("limit", [1, 3])
async def test_pages_go_back_as_they_came(
    store: Store, clock: ManualClock, apart_s: float, limit: int
) -> None:
    for number in range(10):
        clock.advance(apart_s)
        await store.sessions.get_or_create(f"s-{number * 7 % 10:02}")
    seen = await pages(store, limit, 100)

    back = await pages_back(store, seen[-1], limit, 100)

    assert ids(back) == ids(seen[:-1])
    assert all(page.complete for page in back)
    assert (seen[0].previous, back[0].previous) == (None, None)
    again = await store.sessions.list(limit=limit)
    second = await store.sessions.list(limit=limit, cursor=again.next_cursor)
    first = await store.sessions.list(limit=limit, cursor=second.previous_cursor)
    third = await store.sessions.list(limit=limit, cursor=first.next_cursor)
    assert (first.items, third.items) == (again.items, second.items)


@pytest.mark.parametrize("limit", [1, 4, 7])
async def test_pages_go_back_through_a_quarter_hour_of_very_many(
    store: Store, clock: ManualClock, limit: int
) -> None:
    for name, count in (("old", 4), ("many", 20), ("new", 4)):
        clock.advance(2 * QUARTER_S)
        for number in range(count):
            clock.advance(int(name != "many"))
            await store.sessions.get_or_create(f"{name}-{number * 7 % 20:02}")
    seen = await pages(store, limit, 10)

    back = await pages_back(store, seen[-1], limit, 10)

    assert ids(back) == ids(seen)[: -len(seen[-1].sessions)]


async def test_pages_of_a_filter_that_few_meet_go_back_and_lose_none(
    store: Store, clock: ManualClock
) -> None:
    for number in range(40):
        clock.advance(QUARTER_S / 4)
        title = "Needle" if number in (3, 20, 39) else "hay"
        await store.sessions.get_or_create(f"s-{number:02}", title=title)
    seen = await pages(store, 5, 8, title="needle")

    back = await pages_back(store, seen[-1], 5, 8, title="needle")
    on = [back[0]]
    while (place := on[-1].next) is not None:
        on.append(
            await store._parts.backend.read(
                lambda c, p=place: list_page(  # type: ignore[misc]
                    c, "default", Filter(title="needle"), p, 5, budget=8
                )
            )
        )

    assert ids(back) == ["s-39", "s-20"]
    assert ids(on) == ["s-39", "s-20", "s-03"]
    assert not all(page.complete for page in back)


async def test_sessions_are_listed_by_judgements_disagreement_and_holds(
    store: Store, clock: ManualClock
) -> None:
    said = {
        "both": [("a", "Thumbs Up"), ("b", "incorrect")],
        "good": [("a", "thumbs_up"), ("b", "correct")],
        "own": [("a", "wow"), ("b", "meh")],
        "taken": [("a", "up"), ("b", "down")],
        "none": [],
    }
    for session_id, acts in said.items():
        clock.advance(1)
        await store.conversation(session_id).append(role="assistant", content="x")
        for actor_id, label in acts:
            await store.interactions.record(
                session_id,
                action="feedback",
                turn_seq=1,
                feedback=label,
                actor_id=actor_id,
            )
    for number in (1, 2):
        await store.interactions.record(
            "taken",
            action="retract",
            turn_seq=1,
            supersedes=number,
            actor_id="ab"[number - 1],
        )
    await store.holds.place("none", reason="a case")
    await store.holds.place("good", reason="a case")

    async def listed(**wanted: bool) -> set[str]:
        page = await store.sessions.list(**wanted)  # type: ignore[arg-type]
        assert page.complete
        assert await store.sessions.count(**wanted) == len(page.items)  # type: ignore[arg-type]
        return {session.id for session in page.items}

    assert await listed(judged=True) == {"both", "good", "own"}
    assert await listed(judged=False) == {"taken", "none"}
    assert await listed(disagreed=True) == {"both"}
    assert await listed(disagreed=False) == set(said) - {"both"}
    assert await listed(held=True) == {"good", "none"}
    assert await listed(held=False) == {"both", "own", "taken"}
    assert await listed(held=True, judged=True) == {"good"}
    assert await listed(held=True, disagreed=True) == set()
    with pytest.raises(InvalidInputError, match="judged"):
        await store.sessions.list(judged=1)  # type: ignore[arg-type]


async def test_few_judged_sessions_are_listed_whole_beside_very_many(
    store: Store, clock: ManualClock
) -> None:
    for number in range(40):
        clock.advance(QUARTER_S / 4)
        await store.conversation(f"s-{number:02}").append(role="user", content="x")
    for number in (3, 20):
        await store.interactions.record(
            f"s-{number:02}", action="feedback", feedback="up", actor_id="a"
        )
        await store.holds.place(f"s-{number:02}", reason="a case")

    for wanted in ({"judged": True}, {"held": True}):
        [page] = await pages(store, 5, 8, **wanted)
        assert ids([page]) == ["s-20", "s-03"]
        assert page.complete
    sides = Sides(True, '["up"]', '["down"]')
    [page] = await pages(store, 5, 8, judged=True, disagreed=sides)
    assert (page.sessions, page.complete) == ([], True)


async def test_sessions_of_one_quarter_hour_come_by_their_exact_activity(
    store: Store, clock: ManualClock
) -> None:
    order = [3, 1, 4, 0, 2]
    for number in order:
        clock.advance(1)
        await store.sessions.get_or_create(f"s-{number}")

    found, cursor = [], None
    for _ in range(3):
        page = await store.sessions.list(limit=2, cursor=cursor)
        assert page.complete
        found += [session.id for session in page.items]
        cursor = page.next_cursor

    assert cursor is None
    assert found == [f"s-{number}" for number in reversed(order)]


@pytest.mark.parametrize("apart_s", [0.0, 1.0, QUARTER_S / 3, 2 * QUARTER_S])
@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_a_list_within_its_budget_is_exact_and_complete(
    store: Store, clock: ManualClock, apart_s: float, limit: int
) -> None:
    made = []
    for number in range(12):
        clock.advance(apart_s)
        made.append((await store.sessions.get_or_create(f"s-{number * 7 % 12:02}"))[0])

    seen = await pages(store, limit, 100)

    assert all(page.complete for page in seen)
    assert all(len(page.sessions) == limit for page in seen[:-1])
    assert [s.id for page in seen for s in page.sessions] == _newest_first(made)


def _newest_first(sessions: list[Session]) -> list[str]:
    ordered = sorted(sessions, key=lambda s: (s.last_activity_at, s.id), reverse=True)
    return [session.id for session in ordered]


@pytest.mark.parametrize("limit", [1, 4, 7])
async def test_a_quarter_hour_of_very_many_is_gone_through_by_id_and_says_so(
    store: Store, clock: ManualClock, limit: int
) -> None:
    for number in range(4):
        await store.sessions.get_or_create(f"old-{number}")
    clock.advance(2 * QUARTER_S)
    for number in range(20):
        await store.sessions.get_or_create(f"many-{number * 7 % 20:02}")
    clock.advance(2 * QUARTER_S)
    for number in range(4):
        clock.advance(1)
        await store.sessions.get_or_create(f"new-{number}")

    seen = await pages(store, limit, 10)

    found = [session.id for page in seen for session in page.sessions]
    assert found == [
        *(f"new-{number}" for number in range(3, -1, -1)),
        *(f"many-{number:02}" for number in range(19, -1, -1)),
        *(f"old-{number}" for number in range(3, -1, -1)),
    ]
    for page in seen:
        if any(session.id.startswith("many") for session in page.sessions):
            assert not page.complete


@pytest.mark.parametrize("apart_s", [0.0, QUARTER_S / 4, QUARTER_S])
async def test_a_filter_that_few_meet_ends_early_and_goes_on(
    store: Store, clock: ManualClock, apart_s: float
) -> None:
    for number in range(40):
        clock.advance(apart_s)
        title = "Needle" if number in (3, 20) else "hay"
        await store.sessions.get_or_create(f"s-{number:02}", title=title)

    seen = await pages(store, 5, 8, title="needle")

    assert [s.id for page in seen for s in page.sessions] == ["s-20", "s-03"]
    assert not seen[0].complete
    assert len(seen) > 2
    nobody = await pages(store, 5, 8, states=("archived",))
    assert [page.sessions for page in nobody if page.sessions] == []
    assert (nobody[0].complete, nobody[-1].next) == (False, None)


async def test_a_language_that_few_have_is_listed_whole_beside_very_many(
    store: Store, clock: ManualClock
) -> None:
    for number in range(40):
        clock.advance(QUARTER_S / 4)
        language = {3: "nl", 20: "nl", 21: None}.get(number, "en")
        await store.sessions.get_or_create(f"s-{number:02}", language=language)

    [dutch] = await pages(store, 5, 8, language="nl")
    assert [s.id for s in dutch.sessions] == ["s-20", "s-03"]
    assert dutch.complete
    [nobody] = await pages(store, 5, 8, language="fr")
    assert (nobody.sessions, nobody.complete) == ([], True)
    assert await store.sessions.update("s-03", language="en")
    [dutch] = await pages(store, 5, 8, language="nl", states=("archived", "active"))
    assert [s.id for s in dutch.sessions] == ["s-20"]
    [gone] = await pages(store, 5, 8, language="nl", states=("deleted",))
    assert gone.sessions == []


@pytest.mark.parametrize("state", ["deleted", "erased"])
async def test_what_is_gone_is_listed_whole_beside_very_many_live_ones(
    store: Store, clock: ManualClock, state: str
) -> None:
    made = []
    for number in range(40):
        clock.advance(QUARTER_S / 4)
        made.append((await store.sessions.get_or_create(f"s-{number:02}"))[0])
    for session in made[::4]:
        await store.sessions.delete(session.id, archive=False)
        if state == "erased":
            await store.erase(session_id=session.id)

    seen = await pages(store, 3, 4, states=(state,))

    assert [s.id for page in seen for s in page.sessions] == _newest_first(made[::4])
    assert all(page.complete for page in seen)
    listed = await store.sessions.list(state=state, limit=4)  # type: ignore[arg-type]
    assert len(listed.items) == 4
    assert listed.complete


async def test_what_a_list_looks_at_does_not_grow_with_the_sessions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that left the database, of a filter that nobody meets."""
    monkeypatch.setattr(list_page, "__kwdefaults__", {"budget": 10})
    for number in range(60):
        await store.sessions.get_or_create(f"s-{number:02}")

    page = await store.sessions.list(state="archived")

    assert (page.items, page.complete) == ((), False)
    assert page.next_cursor is not None
    more = 0
    while page.next_cursor is not None:
        page = await store.sessions.list(state="archived", cursor=page.next_cursor)
        more += 1
    assert more >= 6


async def test_sessions_that_become_active_while_paging_are_neither_lost_nor_repeated(
    store: Store, clock: ManualClock
) -> None:
    for number in range(30):
        clock.advance(60)
        await store.conversation(f"s-{number:02}").append(role="user", content="x")
    found, cursor = [], None
    for step in range(30):
        page = await store.sessions.list(limit=4, cursor=cursor)
        found += [session.id for session in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        clock.advance(60)
        await store.turns.append(f"s-{29 - step:02}", role="user", content="again")

    assert len(found) == len(set(found)) == 30


async def test_a_cursor_of_an_earlier_release_goes_on_where_it_ended(
    store: Store, clock: ManualClock
) -> None:
    from convstore.repositories.cursors import encode_cursor
    from convstore.vocabulary.clock import to_micros

    for number in range(4):
        clock.advance(1)
        made, _ = await store.sessions.get_or_create(f"s-{number}")
        if number == 2:
            cursor = encode_cursor(to_micros(made.last_activity_at), made.id)

    page = await store.sessions.list(cursor=cursor)

    assert [session.id for session in page.items] == ["s-1", "s-0"]


async def test_most_appends_at_human_pace_write_no_index(
    open_another: OpenAnother, postgres_url: str, clock: ManualClock
) -> None:
    """On PostgreSQL: a new version of the row beside the old one, and nothing else."""
    store = await open_another(url=postgres_url)
    chats = [store.conversation(f"s-{number}") for number in range(40)]
    for _ in range(40):
        clock.advance(45)  # between two turns of a conversation
        await asyncio.gather(*(c.append(role="user", content="x" * 400) for c in chats))
    connection = await asyncpg.connect(postgres_url)
    try:
        await store.close()  # a connection tells of its updates when it ends
        async with asyncio.timeout(240):
            while True:
                updates, hot = await connection.fetchrow(
                    "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
                    "WHERE relname = 'sessions'"
                )
                if updates >= 39 * 40:
                    break
                await connection.execute("SELECT pg_stat_clear_snapshot()")
    finally:
        await connection.close()

    assert hot >= 0.9 * updates


async def test_an_append_writes_a_fifth_less_than_with_exact_times_in_the_indexes(
    open_another: OpenAnother, postgres_url: str, clock: ManualClock
) -> None:
    """Of the write-ahead log, whole pages after a checkpoint aside."""
    store = await open_another(url=postgres_url)
    chats = [store.conversation(f"s-{n}", user_id=f"u-{n}") for n in range(40)]
    connection = await asyncpg.connect(postgres_url)

    async def written() -> int:
        at = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
        for _ in range(15):
            clock.advance(45)
            await asyncio.gather(
                *(c.append(role="user", content="x" * 400) for c in chats)
            )
        return int(
            await connection.fetchval(
                "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)", at
            )
        )

    try:
        await written()
        less = await written()
        for columns in (
            "tenant_id, last_activity_at, session_id",
            "tenant_id, user_id, last_activity_at, session_id",
            "last_activity_at, tenant_id, session_id",
        ):
            await connection.execute(f"CREATE INDEX ON sessions ({columns})")
        await written()
        more = await written()
    finally:
        await connection.close()

    assert less <= 0.8 * more, f"{less / 600:.0f} against {more / 600:.0f} an append"
