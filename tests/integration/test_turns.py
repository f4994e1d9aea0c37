"""The noun `turns`: append, repeat, branches, inheritance, pages."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

import pytest

from convstore import (
    Branch,
    ConflictError,
    InvalidInputError,
    ManualClock,
    SessionNotFoundError,
    Store,
    StoreConfig,
    TurnInput,
    TurnNotFoundError,
)
from convstore.types import TurnFields
from tests.integration.conversations import contents, every_page, everything, say

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALL = {
    "id": "c-1",
    "type": "function",
    "function": {"name": "find", "arguments": {"z": 1, "a": [2, None, 0.5]}},
}
WHOLE: dict[str, Any] = {
    "role": "assistant",
    "content": "Drie. 🎉\r\n\t ",
    "parts": [CALL, {"type": "image", "data": "…"}],
    "name": "guide",
    "tool_call_id": "c-0",
    "model": "gpt-4o",
    "finish_reason": "stop",
    "tokens_in": 10,
    "tokens_out": 2**63 - 1,
    "cost_micros": 0,
    "language": "nl",
    "resolved_question": "",
    "template_id": "t-1",
    "slots": {"place": "Enschede", "": ""},
    "results": [{"b": 1, "a": 2}],
    "metadata": {"z": {"y": []}, "a": -0.0},
    "external_id": "m-1",
    "created_at": NOW - timedelta(days=1, microseconds=1),
}


async def test_a_turn_comes_back_as_it_was_given(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    tools = [{"type": "function", "function": {"name": "find"}}]

    turn = await store.turns.append("s-1", **WHOLE, tools=tools)

    assert {name: getattr(turn, name) for name in WHOLE} == WHOLE
    assert (turn.session_id, turn.seq, turn.parent_seq) == ("s-1", 1, None)
    assert turn == await store.turns.get("s-1", 1)
    assert [turn] == await store.turns.window("s-1")
    assert turn.tools_hash is not None
    assert await store.turns.tools("s-1", turn.tools_hash) == tools


async def test_payloads_keep_their_key_order(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="assistant", parts=[CALL])

    (turn,) = await store.turns.window("s-1")

    assert turn.parts is not None
    assert repr(turn.parts) == repr([CALL])


async def test_a_turn_without_anything_is_a_turn(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    turn = await store.turns.append("s-1", role="user")

    assert (turn.content, turn.parts, turn.metadata) == (None, None, {})
    assert turn.created_at == NOW
    assert turn == await store.turns.get("s-1", 1)


async def test_empty_lists_and_texts_are_not_the_same_as_nothing(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    await store.turns.append(
        "s-1", role="user", content="", parts=[], results=[], slots={}
    )

    turn = await store.turns.get("s-1", 1)
    assert (turn.content, turn.parts, turn.results, turn.slots) == ("", [], [], {})


async def test_turns_are_numbered_without_gap_and_follow_one_another(
    store: Store,
) -> None:
    turns = await say(store, "s-1", "a", "b", "c")

    assert [(t.seq, t.parent_seq) for t in turns] == [(1, None), (2, 1), (3, 2)]
    session = await store.sessions.get("s-1")
    assert (session.turn_count, session.head_seq, session.branched) == (3, 3, False)


async def test_order_is_by_number_whatever_the_clock_does(
    store: Store, clock: ManualClock
) -> None:
    await say(store, "s-1", "first")
    clock.advance(-3600)
    await say(store, "s-1", "second")

    assert await contents(store, "s-1") == ["first", "second"]


async def test_an_append_to_an_absent_session_changes_nothing(store: Store) -> None:
    with pytest.raises(SessionNotFoundError):
        await store.turns.append("absent", role="user", content="x")

    assert await store.sessions.count() == 0


async def test_tools_are_kept_once_for_each_distinct_set(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    one, two = [{"name": "a"}], [{"name": "b"}]

    turns = [
        await store.turns.append("s-1", role="assistant", tools=tools)
        for tools in (one, two, one)
    ]

    hashes = [t.tools_hash or "" for t in turns]
    assert hashes[0] == hashes[2] != hashes[1]
    assert [await store.turns.tools("s-1", h) for h in hashes] == [one, two, one]
    with pytest.raises(InvalidInputError):
        await store.turns.tools("s-1", "0" * 64)


# append_many


async def test_append_many_takes_mappings_and_inputs_alike(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    given = {name: value for name, value in WHOLE.items() if name != "external_id"}

    first, second = await store.turns.append_many("s-1", [given, TurnInput(**given)])

    assert (first.seq, second.seq) == (1, 2)
    assert first.content == second.content
    assert first.metadata == second.metadata
    assert await store.turns.append_many("s-1", []) == []


async def test_append_many_adds_all_or_none(store: Store) -> None:
    await say(store, "s-1", "before")
    before = await everything(store, "s-1")

    with pytest.raises(InvalidInputError) as invalid:
        await store.turns.append_many(
            "s-1", [{"role": "user", "content": "x"}, {"role": "user", "content": "\0"}]
        )
    with pytest.raises(TurnNotFoundError):
        await store.turns.append_many(
            "s-1", [{"role": "user"}, {"role": "user", "parent_seq": 9}]
        )
    with pytest.raises(InvalidInputError) as unknown:
        await store.turns.append_many("s-1", [{"role": "user", "text": "x"}])

    assert invalid.value.field == "turns[1].content"
    assert unknown.value.field == "turns[0].text"
    assert await everything(store, "s-1") == before


async def test_append_many_has_a_limit(
    open_another: Callable[..., Awaitable[Store]],
) -> None:
    store = await open_another(limits={"max_turns_per_call": 3})
    await store.sessions.get_or_create("s-1")

    with pytest.raises(InvalidInputError, match="at most 3"):
        await store.turns.append_many("s-1", [{"role": "user"}] * 4)

    assert len(await store.turns.append_many("s-1", [{"role": "user"}] * 3)) == 3


async def test_append_many_may_branch_off_a_turn_of_its_own(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    turns = await store.turns.append_many(
        "s-1",
        [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a1"},
            {"role": "assistant", "content": "a2", "parent_seq": 1},
        ],
    )

    assert [t.parent_seq for t in turns] == [None, 1, 1]
    assert await contents(store, "s-1") == ["q", "a2"]


# External ids


async def test_repeating_an_append_gives_the_first_turn_back(
    store: Store, clock: ManualClock
) -> None:
    """What a caller does whose answer was lost: the same call, later."""
    await store.sessions.get_or_create("s-1")
    first = await store.turns.append("s-1", **WHOLE)
    await say(store, "s-1", "meanwhile")
    before = await everything(store, "s-1")
    clock.advance(60)

    again = await store.turns.append("s-1", **WHOLE)

    assert again == first
    assert await everything(store, "s-1") == before


@pytest.mark.parametrize(
    "other",
    [
        {"content": "Vier."},
        {"role": "user"},
        {"parts": [{**CALL, "id": "c-2"}]},
        {"metadata": {}},
        {"slots": None},
        {"parent_seq": 1},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_an_external_id_taken_by_other_content_is_a_conflict(
    store: Store, other: dict[str, Any]
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", **WHOLE)
    await say(store, "s-1", "meanwhile")
    before = await everything(store, "s-1")

    with pytest.raises(ConflictError):
        await store.turns.append("s-1", **{**WHOLE, **other})

    assert await everything(store, "s-1") == before


async def test_an_external_id_belongs_to_its_session(store: Store) -> None:
    for session_id in ("s-1", "s-2"):
        await store.sessions.get_or_create(session_id)

    one = await store.turns.append("s-1", role="user", content="a", external_id="m")
    two = await store.turns.append("s-2", role="user", content="b", external_id="m")

    assert (one.content, two.content) == ("a", "b")


async def test_one_call_may_name_an_external_id_twice(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    turn = {"role": "user", "content": "x", "external_id": "m"}

    first, second = await store.turns.append_many("s-1", [turn, turn])

    assert first == second
    assert (await store.sessions.get("s-1")).turn_count == 1
    begins = {**turn, "external_id": "b", "parent_seq": 0}
    first, second = await store.turns.append_many("s-1", [begins, begins])
    assert first == second
    with pytest.raises(ConflictError):
        await store.turns.append_many(
            "s-1",
            [
                {**turn, "external_id": "n"},
                {**turn, "external_id": "n", "content": "y"},
            ],
        )
    assert (await store.sessions.get("s-1")).turn_count == 2


async def test_a_call_repeated_in_part_adds_only_what_is_missing(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    turns = [{"role": "user", "content": c, "external_id": c} for c in "abc"]
    first = await store.turns.append_many("s-1", turns[:2])

    again = await store.turns.append_many("s-1", turns)

    assert again[:2] == first
    assert [t.seq for t in again] == [1, 2, 3]


async def test_repeats_that_race_add_one_turn(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    stores = [store, await open_another()]
    await store.sessions.get_or_create("s-1")

    turns = await asyncio.gather(
        *(
            stores[i % 2].turns.append(
                "s-1", role="user", content="x", external_id=f"m-{i % 3}"
            )
            for i in range(60)
        )
    )

    assert len({t.seq for t in turns}) == 3
    assert (await store.sessions.get("s-1")).turn_count == 3


async def test_conflicts_that_race_keep_one_content(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    done = await asyncio.gather(
        *(
            store.turns.append("s-1", role="user", content=str(i), external_id="m")
            for i in range(20)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(result, ConflictError) for result in done) == 19
    assert (await store.sessions.get("s-1")).turn_count == 1


async def test_an_exchange_repeated_is_one_exchange(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    first = await store.turns.add_exchange("s-1", "Q", "A", external_id="x")
    again = await store.turns.add_exchange("s-1", "Q", "A", external_id="x")

    assert first == again
    assert await contents(store, "s-1") == ["Q", "A"]


# Branches


async def _tree(store: Store) -> None:
    """1 ─ 2 ─ 3 and 1 ─ 4 ─ 5 and, from nothing, 6."""
    await say(store, "s-1", "1", "2", "3")
    await store.turns.append("s-1", role="assistant", content="4", parent_seq=1)
    await store.turns.append("s-1", role="user", content="5")
    await store.turns.append("s-1", role="user", content="6", parent_seq=0)


async def test_a_branch_begins_after_its_parent_and_becomes_active(
    store: Store,
) -> None:
    await _tree(store)

    assert await store.turns.branches("s-1") == [
        Branch(head_seq=3, turn_count=3, forked_at=1, active=False),
        Branch(head_seq=5, turn_count=3, forked_at=1, active=False),
        Branch(head_seq=6, turn_count=1, forked_at=None, active=True),
    ]
    assert await contents(store, "s-1") == ["6"]
    assert [t.seq for t in await every_page(store.turns.list, "s-1", limit=2)] == [
        1, 2, 3, 4, 5, 6,
    ]  # fmt: skip


async def test_switching_shows_and_continues_another_branch(store: Store) -> None:
    await _tree(store)

    await store.turns.switch("s-1", 3)
    assert await contents(store, "s-1") == ["1", "2", "3"]
    added = await store.turns.append("s-1", role="assistant", content="7")
    assert added.parent_seq == 3
    await store.turns.switch("s-1", 5)

    assert await contents(store, "s-1") == ["1", "4", "5"]
    assert await contents(store, "s-1", limit=2) == ["4", "5"]


async def test_switching_to_where_one_is_changes_nothing(store: Store) -> None:
    await _tree(store)
    await store.turns.switch("s-1", 3)
    before = await everything(store, "s-1")

    await store.turns.switch("s-1", 3)

    assert await everything(store, "s-1") == before


async def test_a_branch_may_be_left_in_its_middle(store: Store) -> None:
    await say(store, "s-1", "1", "2", "3")

    await store.turns.switch("s-1", 2)

    assert await contents(store, "s-1") == ["1", "2"]
    active = [b.head_seq for b in await store.turns.branches("s-1") if b.active]
    assert active == [2]
    added = await store.turns.append("s-1", role="user", content="4")
    assert (added.seq, added.parent_seq) == (4, 2)


@pytest.mark.parametrize("seq", [4, 2**40])
async def test_switching_to_no_turn_is_refused(store: Store, seq: int) -> None:
    await say(store, "s-1", "1", "2", "3")

    with pytest.raises(TurnNotFoundError):
        await store.turns.switch("s-1", seq)


@pytest.mark.parametrize("parent", [-1, True, "1", 1.0, 2**63])
async def test_a_parent_that_is_no_number_is_refused(store: Store, parent: Any) -> None:
    await say(store, "s-1", "1")

    with pytest.raises(InvalidInputError) as caught:
        await store.turns.append("s-1", role="user", parent_seq=parent)

    assert caught.value.field == "parent_seq"


async def test_a_parent_that_is_not_there_yet_is_refused(store: Store) -> None:
    await say(store, "s-1", "1")

    with pytest.raises(TurnNotFoundError) as caught:
        await store.turns.append("s-1", role="user", parent_seq=2)

    assert caught.value.seq == 2


# Slots, template and language


async def _state(store: Store) -> tuple[dict[str, str], str | None, str | None]:
    session = await store.sessions.get("s-1")
    return session.current_slots, session.current_template_id, session.language


async def test_user_turns_fill_in_slots_that_later_ones_inherit(store: Store) -> None:
    await store.sessions.get_or_create("s-1", language="en")
    append = store.turns.append

    await append("s-1", role="user", slots={"a": "1", "b": "1"}, template_id="t-1")
    await append("s-1", role="user", slots={"b": "2"}, language="nl")
    await append("s-1", role="assistant", slots={"a": "x"}, template_id="t-x")

    assert await _state(store) == ({"a": "1", "b": "2"}, "t-1", "nl")


async def test_slots_and_template_are_those_of_the_active_branch(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    append = store.turns.append
    await append("s-1", role="user", slots={"place": "Enschede"}, template_id="t-1")
    await append("s-1", role="user", slots={"year": "1900"}, template_id="t-2")

    await append("s-1", role="user", slots={"year": "1950"}, parent_seq=1)
    assert await _state(store) == ({"place": "Enschede", "year": "1950"}, "t-1", None)
    await store.turns.switch("s-1", 2)
    assert await _state(store) == ({"place": "Enschede", "year": "1900"}, "t-2", None)
    await append("s-1", role="user", parent_seq=0)

    assert await _state(store) == ({}, None, None)


async def test_slots_of_many_writers_at_once_are_all_kept(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    await asyncio.gather(
        *(
            store.turns.append("s-1", role="user", slots={f"k-{i}": str(i)})
            for i in range(40)
        )
    )

    slots, _, _ = await _state(store)
    assert slots == {f"k-{i}": str(i) for i in range(40)}


async def test_slots_are_merged_inside_one_call_as_in_many(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    await store.turns.append_many(
        "s-1",
        [
            {"role": "user", "slots": {"a": "1"}},
            {"role": "user", "slots": {"b": "1"}},
            {"role": "user", "slots": {"c": "1"}, "parent_seq": 1},
        ],
    )

    assert (await _state(store))[0] == {"a": "1", "c": "1"}


async def test_add_exchange_adds_question_and_answer_in_one_commit(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")

    question, answer = await store.turns.add_exchange(
        "s-1",
        "En in Limburg?",
        "Twee.",
        resolved_question="Welke archieven zijn er in Limburg?",
        template_id="t-1",
        slots={"place": "Limburg"},
        results=[{"name": "RHCL"}],
        language="nl",
        model="gpt-4o",
    )

    assert (question.role, answer.role) == ("user", "assistant")
    assert (question.template_id, answer.results) == ("t-1", [{"name": "RHCL"}])
    assert answer.model == "gpt-4o"
    assert await _state(store) == ({"place": "Limburg"}, "t-1", "nl")
    with pytest.raises(InvalidInputError):
        await store.turns.add_exchange("s-1", "fine", "not\0fine")
    assert (await store.sessions.get("s-1")).turn_count == 2


# Reading


async def test_previous_user_turn_is_the_newest_of_the_active_branch(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    assert await store.turns.previous_user_turn("s-1") is None
    await say(store, "s-1", "first")
    await store.turns.append_many("s-1", [{"role": "tool"}] * 100)

    turn = await store.turns.previous_user_turn("s-1")

    assert turn is not None
    assert turn.content == "first"
    await store.turns.append("s-1", role="system", parent_seq=0)
    assert await store.turns.previous_user_turn("s-1") is None


async def test_a_turn_that_is_not_there_is_not_found(store: Store) -> None:
    await say(store, "s-1", "1")

    for seq in (0, 2, 2**63 - 1):
        with pytest.raises(TurnNotFoundError):
            await store.turns.get("s-1", seq)


async def test_pages_of_a_thousand_turns_join_up(store: Store) -> None:
    await say(store, "s-1", *map(str, range(2500)))
    page = await store.turns.list("s-1", limit=1000)

    forward = await every_page(store.turns.list, "s-1", limit=1000)
    backward = await every_page(store.turns.list, "s-1", limit=999, newest_first=True)

    assert len(page.items) == 1000
    assert [t.seq for t in forward] == list(range(1, 2501))
    assert backward == forward[::-1]


async def test_reading_a_session_that_is_not_there_says_so(store: Store) -> None:
    for call in (
        store.turns.window("absent"),
        store.turns.history("absent"),
        store.turns.list("absent"),
        store.turns.get("absent", 1),
        store.turns.branches("absent"),
        store.turns.previous_user_turn("absent"),
        store.turns.tools("absent", "x"),
        store.turns.switch("absent", 1),
    ):
        with pytest.raises(SessionNotFoundError):
            await call


async def test_what_was_written_is_there_after_reopening(
    database_url: str,
) -> None:
    from convstore import open_store

    async with open_store(StoreConfig(url=database_url)) as store:
        await say(store, "s-1", "a", "b")
        before = await everything(store, "s-1")

    async with open_store(StoreConfig(url=database_url)) as store:
        assert await everything(store, "s-1") == before


async def test_a_turn_is_found_by_its_external_id(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    turn = await store.turns.append("s-1", role="user", content="a", external_id="m-1")

    assert await store.turns.find("s-1", external_id="m-1") == turn
    assert await store.turns.find("s-1", external_id="m-2") is None


# append_once


async def test_append_once_says_whether_the_turn_was_new(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    said: dict[str, Any] = {"role": "user", "content": "Q", "external_id": "m-1"}

    turn, new = await store.turns.append_once("s-1", **said)
    again = await store.turns.append_once("s-1", **said)
    async with store.transaction() as tx:
        inside = await tx.turns.append_once("s-1", **said)
        other = await tx.turns.append_once("s-1", role="user", content="R")
    handle = await store.conversation("s-1").append_once(**said)

    assert new
    assert turn == await store.turns.get("s-1", 1)
    assert again == inside == handle == (turn, False)
    assert (other[0].seq, other[1]) == (2, True)


async def test_of_many_who_append_one_id_once_one_is_told_that_it_was_new(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    await store.sessions.get_or_create("s-1")
    stores = [store, await open_another()]

    told = await asyncio.gather(
        *(
            stores[n % 2].turns.append_once("s-1", role="user", external_id="m-1")
            for n in range(20)
        )
    )

    assert sorted(new for _, new in told) == [False] * 19 + [True]
    assert {turn.seq for turn, _ in told} == {1}


async def test_append_once_takes_what_append_takes(store: Store) -> None:
    await store.conversation("s-1").append_once(**WHOLE)

    turn = await store.turns.get("s-1", 1)

    assert {name: getattr(turn, name) for name in WHOLE} == WHOLE
    with pytest.raises(TypeError):
        await store.turns.append_once("s-1", content="nobody's")  # type: ignore[call-arg]
    charged = await store.turns.append_once(
        "s-1", role="user", cost_micros=7, charge=True, expected_head=1
    )
    assert charged[1]
    assert (await store.ledger.get("s-1")).cost_micros == 7


def test_the_fields_of_a_turn_are_those_of_its_input() -> None:
    told = get_type_hints(TurnFields)

    assert told == get_type_hints(TurnInput)
