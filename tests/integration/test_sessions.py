"""The noun `sessions`: get or create, change, list, count."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from convstore import (
    ConflictError,
    InvalidInputError,
    ManualClock,
    SessionNotFoundError,
    Store,
    VersionConflictError,
)
from tests.integration.conversations import every_page, say

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_new_session_is_empty_and_says_so(store: Store) -> None:
    session, created = await store.sessions.get_or_create(
        "s-1", user_id="u-1", language="nl", tags=["a", "b", "a"], metadata={"z": 1}
    )

    assert created
    assert (session.id, session.tenant_id, session.user_id) == ("s-1", "default", "u-1")
    assert (session.state, session.version, session.title) == ("active", 1, "New Chat")
    assert (session.language, session.tags) == ("nl", ("a", "b"))
    assert session.metadata == {"z": 1}
    assert session.created_at == session.updated_at == session.last_activity_at == NOW
    assert (session.turn_count, session.head_seq, session.branched) == (0, None, False)
    assert session.feedback_counts == session.current_slots == {}


async def test_get_or_create_gives_the_same_session_again(store: Store) -> None:
    first, _ = await store.sessions.get_or_create("s-1", title="Mine")
    again, created = await store.sessions.get_or_create("s-1", title="Other")

    assert not created
    assert again == first == await store.sessions.get("s-1")


async def test_get_raises_and_find_returns_none_for_an_absent_session(
    store: Store,
) -> None:
    assert await store.sessions.find("absent") is None
    with pytest.raises(SessionNotFoundError) as caught:
        await store.sessions.get("absent")

    assert caught.value.session_id == "absent"


async def test_fresh_ids_are_different_and_ordered_by_time(store: Store) -> None:
    made = [await store.sessions.get_or_create(None) for _ in range(20)]

    ids = [session.id for session, created in made if created]
    assert len(set(ids)) == 20
    # The first 12 digits are the milliseconds.
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)


async def test_fifty_callers_at_once_get_one_session_and_one_creator(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    another = await open_another()

    made = await asyncio.gather(
        *((store, another)[i % 2].sessions.get_or_create("s-1") for i in range(50))
    )

    assert [created for _, created in made].count(True) == 1
    assert len({session.created_at for session, _ in made}) == 1
    assert await store.sessions.count() == 1


async def test_a_session_may_have_begun_earlier(store: Store) -> None:
    begun = NOW - timedelta(days=400)

    session, _ = await store.sessions.get_or_create("s-1", created_at=begun)

    assert session.created_at == begun
    assert (await store.sessions.get("s-1")) == session


# Owners


async def test_a_session_of_another_user_is_not_found(store: Store) -> None:
    await store.sessions.get_or_create("s-1", user_id="u-1")

    with pytest.raises(SessionNotFoundError):
        await store.sessions.get_or_create("s-1", user_id="u-2")

    chat = store.conversation("s-1", user_id="u-2")
    for call in (
        chat.session,
        chat.window,
        chat.history,
        chat.previous_user_turn,
        chat.branches,
        chat.feedback,
        chat.graph_state,
        chat.touch,
        lambda: chat.append(role="user", content="x"),
        lambda: chat.append_many([{"role": "user"}]),
        lambda: chat.add_exchange("q", "a"),
        lambda: chat.switch(1),
        lambda: chat.update(title="x"),
        lambda: chat.record(action="copy"),
        lambda: chat.put_graph_state({}),
    ):
        with pytest.raises(SessionNotFoundError):
            await call()
    assert (await store.sessions.get("s-1")).version == 1


async def test_the_owner_reaches_the_session_through_the_handle(store: Store) -> None:
    chat = store.conversation("s-1", user_id="u-1")
    await chat.append(role="user", content="x")

    assert (await store.sessions.get("s-1")).user_id == "u-1"
    assert [turn.content for turn in await chat.window()] == ["x"]


async def test_two_users_never_meet_under_one_id_however_they_race(
    store: Store,
) -> None:
    chats = [store.conversation("s-1", user_id=f"u-{i % 2}") for i in range(20)]

    done = await asyncio.gather(
        *(chat.append(role="user", content=str(i)) for i, chat in enumerate(chats)),
        return_exceptions=True,
    )

    owner = (await store.sessions.get("s-1")).user_id
    refused = [isinstance(result, SessionNotFoundError) for result in done]
    assert refused == [f"u-{i % 2}" != owner for i in range(20)]


# Changing


async def test_update_changes_what_is_named_and_nothing_else(
    store: Store, clock: ManualClock
) -> None:
    before, _ = await store.sessions.get_or_create(
        "s-1", title="A", tags=["t"], metadata={"k": 1}, language="nl"
    )
    clock.advance(5)

    after = await store.sessions.update("s-1", language="de", metadata={"k": 2})

    assert after == await store.sessions.get("s-1")
    assert (after.language, after.metadata) == ("de", {"k": 2})
    assert (after.title, after.tags) == ("A", ("t",))
    assert after.version == before.version + 1
    assert after.updated_at == NOW + timedelta(seconds=5)
    assert after.last_activity_at == NOW, "a change of fields is no activity"


async def test_update_can_take_values_away(store: Store) -> None:
    at = NOW + timedelta(days=1)
    await store.sessions.get_or_create(
        "s-1", title="A", language="nl", tags=["t"], expires_at=at
    )
    await say(store, "s-1", "Hoi")

    session = await store.sessions.update(
        "s-1", title=None, language=None, tags=[], expires_at=None
    )

    assert (session.title, session.language) == ("New Chat", None)
    assert (session.tags, session.expires_at) == ((), None)


async def test_an_update_that_lost_the_race_names_both_versions(store: Store) -> None:
    session, _ = await store.sessions.get_or_create("s-1")
    await store.sessions.update("s-1", title="first")

    with pytest.raises(VersionConflictError) as caught:
        await store.sessions.update("s-1", title="x", expected_version=session.version)

    assert (caught.value.expected, caught.value.actual) == (1, 2)
    assert isinstance(caught.value, ConflictError)
    assert (await store.sessions.get("s-1")).title == "first"


async def test_of_racing_conditional_updates_exactly_one_wins(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    session, _ = await store.sessions.get_or_create("s-1")
    stores = [store, await open_another()]

    done = await asyncio.gather(
        *(
            stores[i % 2].sessions.update(
                "s-1", title=str(i), expected_version=session.version
            )
            for i in range(20)
        ),
        return_exceptions=True,
    )

    lost = [result for result in done if isinstance(result, VersionConflictError)]
    assert len(lost) == 19


async def test_racing_updates_of_tags_and_metadata_lose_neither(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    for number in range(10):
        await asyncio.gather(
            store.sessions.update("s-1", tags=[f"t-{number}"]),
            store.sessions.update("s-1", metadata={"n": number}),
        )

        session = await store.sessions.get("s-1")
        assert (session.tags, session.metadata) == ((f"t-{number}",), {"n": number})
        found = await store.sessions.list(tag=f"t-{number}", metadata={"n": number})
        assert [s.id for s in found.items] == ["s-1"]


async def test_touch_counts_as_activity(store: Store, clock: ManualClock) -> None:
    await store.sessions.get_or_create("s-1")
    clock.advance(60)

    session = await store.sessions.touch("s-1")

    assert session.last_activity_at == NOW + timedelta(minutes=1)
    with pytest.raises(SessionNotFoundError):
        await store.sessions.touch("absent")


async def test_activity_never_goes_back_when_the_clock_does(
    store: Store, clock: ManualClock
) -> None:
    await store.sessions.get_or_create("s-1")
    clock.advance(60)
    before = await store.sessions.touch("s-1")
    clock.advance(-3600)

    after = await store.sessions.touch("s-1")

    assert after.last_activity_at == before.last_activity_at
    assert after.version == before.version + 1


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Welke archieven zijn er?", "Welke archieven zijn er?"),
        ("x" * 35, "x" * 35),
        ("x" * 36, "x" * 35 + "…"),
        ("two\nlines \t here", "two lines here"),
        ("🎉" * 40, "🎉" * 35 + "…"),
    ],
)
async def test_the_title_is_the_first_user_turns_beginning(
    store: Store, content: str, title: str
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="system", content="You are a guide")
    await store.turns.append("s-1", role="user", content=content)
    await store.turns.append("s-1", role="user", content="later")

    assert (await store.sessions.get("s-1")).title == title


@pytest.mark.parametrize("role_of_part", ["text", "input_text"])
async def test_a_title_comes_from_the_text_of_parts_too(
    store: Store, role_of_part: str
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", parts=[picture])
    await store.turns.append(
        "s-1", role="user", parts=[picture, {"type": role_of_part, "text": "Wie?"}]
    )

    assert (await store.sessions.get("s-1")).title == "Wie?"


@pytest.mark.parametrize("blank", ["", "   ", "\n\t", "\u200b", "\u3000\ufeff"])
async def test_blanks_give_no_title_and_the_next_words_do(
    store: Store, blank: str
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content=blank)
    assert (await store.sessions.get("s-1")).title == "New Chat"

    await store.turns.append("s-1", role="user", content=" " * 400 + "Hoi")

    assert (await store.sessions.get("s-1")).title == "Hoi"


async def test_the_callers_title_stays(store: Store) -> None:
    await store.sessions.get_or_create("s-1", title="Mine")
    await say(store, "s-1", "Hoi")

    assert (await store.sessions.get("s-1")).title == "Mine"


# Listing


async def _numbered(store: Store, clock: ManualClock, count: int) -> list[str]:
    """Sessions in the order of their activity, newest first."""
    for number in range(count):
        await store.sessions.get_or_create(f"s-{number:02}")
        clock.advance(1)
    return [f"s-{number:02}" for number in reversed(range(count))]


async def test_a_list_is_newest_activity_first(
    store: Store, clock: ManualClock
) -> None:
    await _numbered(store, clock, 4)
    await say(store, "s-01", "active again")

    page = await store.sessions.list()

    assert [s.id for s in page.items] == ["s-01", "s-03", "s-02", "s-00"]
    assert page.next_cursor is None
    assert page.items[0].turn_count == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 11])
async def test_pages_join_up_to_the_whole_list(
    store: Store, clock: ManualClock, limit: int
) -> None:
    expected = await _numbered(store, clock, 10)

    assert [
        s.id for s in await every_page(store.sessions.list, limit=limit)
    ] == expected


async def test_sessions_of_one_instant_are_paged_without_loss(store: Store) -> None:
    await asyncio.gather(*(store.sessions.get_or_create(f"s-{i}") for i in range(30)))

    found = [s.id for s in await every_page(store.sessions.list, limit=7)]

    assert sorted(found) == sorted(f"s-{i}" for i in range(30))


async def test_paging_is_stable_while_rows_change(
    store: Store, clock: ManualClock
) -> None:
    """Each session that stays untouched is seen once, whatever others do."""
    expected = await _numbered(store, clock, 20)
    seen: list[str] = []
    cursor, touched, first = None, set(), True
    while first or cursor:
        page = await store.sessions.list(limit=4, cursor=cursor)
        seen += [s.id for s in page.items]
        cursor, first = page.next_cursor, False
        clock.advance(1)
        # One of those that are still to come moves to the front; a new one appears.
        rest = [i for i in expected if i not in seen and i not in touched]
        if rest:
            touched.add(rest[-1])
            await store.sessions.touch(rest[-1])
        await store.sessions.get_or_create(f"new-{len(seen)}")

    assert len(seen) == len(set(seen))
    assert seen == [i for i in expected if i not in touched]


async def test_filters_find_what_they_say(store: Store, clock: ManualClock) -> None:
    create = store.sessions.get_or_create
    await create("a", user_id="u-1", language="nl", title="Archieven in Enschede")
    await create("b", user_id="u-2", language="de", tags=["vip"], metadata={"n": 1})
    clock.advance(10)
    await create("c", user_id="u-1", metadata={"n": "1", "x": None, "b": True})
    wanted: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {"a", "b", "c"}),
        ({"user_id": "u-1"}, {"a", "c"}),
        ({"user_id": "u-1", "language": "nl"}, {"a"}),
        ({"language": "xx"}, set()),
        ({"title": "ENSCHEDE"}, {"a"}),
        ({"title": "%"}, set()),
        ({"title": "_rchieven"}, set()),
        ({"tag": "vip"}, {"b"}),
        ({"tag": "vi"}, set()),
        ({"metadata": {"n": 1}}, {"b"}),
        ({"metadata": {"n": "1"}}, {"c"}),
        ({"metadata": {"x": None, "b": True}}, {"c"}),
        ({"metadata": {"x": None, "b": False}}, set()),
        ({"metadata": {'n"."x': 1}}, set()),
        ({"updated_since": NOW + timedelta(seconds=10)}, {"c"}),
        ({"state": "active"}, {"a", "b", "c"}),
        ({"state": "archived"}, set()),
    ]
    for given, expected in wanted:
        found = {s.id for s in await every_page(store.sessions.list, limit=1, **given)}
        assert found == expected, given
        assert await store.sessions.count(**given) == len(expected), given


async def test_text_without_a_word_is_looked_for_as_it_is_written(store: Store) -> None:
    await store.sessions.get_or_create("s-1", title="Ωmega ÄB 50% \\ _ x")

    for text in ("%", "\\", "_ ", "% \\"):
        assert await store.sessions.count(title=text) == 1, text
    for text in ("%%", "__", "\\\\", "/%"):
        assert await store.sessions.count(title=text) == 0, text


@pytest.mark.parametrize(
    "value",
    ["", "null", "true", '"', "\\", "%", "é\u2028", "x" * 253, 1, 1.0, -0.0, 0.0, 1e300,
     2**63 - 1, -(2**63), True, False, None],
)  # fmt: skip
async def test_a_filter_tells_every_value_from_every_other(
    store: Store, value: Any
) -> None:
    others = [
        "1",
        "x" * 252,
        1,
        1.0,
        True,
        False,
        None,
        "None",
        0,
        0.0,
        -0.0,
        2**63 - 2,
    ]
    for number, other in enumerate(others):
        if (type(other), str(other)) != (type(value), str(value)):
            await store.sessions.get_or_create(f"o-{number}", metadata={"k": other})
    await store.sessions.get_or_create("s-1", metadata={"k": value, "other": 1})

    found = await store.sessions.list(metadata={"k": value})

    assert [s.id for s in found.items] == ["s-1"]


@pytest.mark.parametrize(
    "given",
    [
        {"metadata": {"k": "x" * 254}},
        {"metadata": {"k": '"' * 128}},
        {"metadata": {"k" * 255: 1}},
        {"metadata": {"k": [1]}},
        {"metadata": {"k": float("nan")}},
        {"metadata": {"k": 2**63}},
        {"metadata": {1: 1}},
        {"tag": "t" * 255},
        {"tag": ""},
    ],
)
async def test_what_cannot_be_found_by_is_refused_and_not_just_not_found(
    store: Store, given: dict[str, Any]
) -> None:
    for verb in (store.sessions.list, store.sessions.count):
        with pytest.raises(InvalidInputError, match=r"^(metadata|tag):"):
            await verb(**given)


async def test_a_filter_sees_the_latest_tags_and_metadata(store: Store) -> None:
    await store.sessions.get_or_create("s-1", tags=["old"], metadata={"k": "old"})
    await store.sessions.update("s-1", tags=["new"], metadata={"k": "new"})

    assert await store.sessions.count(tag="old") == 0
    assert await store.sessions.count(metadata={"k": "old"}) == 0
    assert await store.sessions.count(tag="new", metadata={"k": "new"}) == 1


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "not base64!", "bnVsbA", "WzFd", "W3RydWUsImEiXQ", "é", 5, "A" * 5000],
)
async def test_a_foreign_cursor_is_refused(store: Store, cursor: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await store.sessions.list(cursor=cursor)

    assert caught.value.field == "cursor"


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, 1.5, "3"])
async def test_a_page_size_out_of_bounds_is_refused(store: Store, limit: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await store.sessions.list(limit=limit)

    assert caught.value.field == "limit"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", "a\0b", 2**63, ["a"], {"a": 1}]
)
async def test_a_filter_by_what_cannot_be_stored_is_refused(
    store: Store, value: Any
) -> None:
    await store.sessions.get_or_create("s-1", metadata={"key": None})

    with pytest.raises(InvalidInputError) as refused:
        await store.sessions.list(metadata={"key": value})

    assert refused.value.field == "metadata"


async def test_a_time_that_is_none_in_utc_is_refused(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    late = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))

    for call in (
        store.turns.append("s-1", role="user", content="x", created_at=late),
        store.sessions.update("s-1", expires_at=late),
        store.sessions.get_or_create("s-2", created_at=late),
        store.sessions.list(updated_since=late),
    ):
        with pytest.raises(InvalidInputError, match="after 9999"):
            await call

    last = datetime.max.replace(tzinfo=UTC)
    assert (await store.sessions.update("s-1", expires_at=last)).expires_at == last
