"""`sessions.apply`: everything that an adapter does to a session, in one commit."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from convstore import (
    Applied,
    ConflictError,
    ConvstoreError,
    InvalidInputError,
    ItemInput,
    SessionDeletedError,
    SessionNotFoundError,
    Store,
    TurnInput,
    TurnNotFoundError,
    VersionConflictError,
)
from tests.integration.archives import archived, document
from tests.integration.conversations import say

OpenAnother = Callable[..., Awaitable[Store]]

EVENT: dict[str, Any] = {
    "turns": [
        {"role": "user", "content": "Q", "external_id": "e-1", "slots": {"a": "b"}},
        TurnInput("assistant", "A", external_id="e-2"),
    ],
    "metadata": {"n": 1},
    "adapter_state": {"adk": {"step": 1}},
    "interactions": [
        {"action": "feedback", "turn_seq": 2, "score": 1.0, "external_id": "i-1"}
    ],
    "items": [
        ItemInput("app:shop", "seen", patch={"count": 1}, user_id="u"),
        {"namespace": "step", "key": "1", "value": [1], "inside": True},
    ],
}


async def test_everything_comes_with_one_commit(store: Store) -> None:
    before = store.commit_stats().commits

    done = await store.sessions.apply("s", create=True, user_id="u", **EVENT)

    assert store.commit_stats().commits == before + 1
    assert (done.created, done.repeated) == (True, False)
    assert [turn.content for turn in done.turns] == ["Q", "A"]
    assert [act.turn_seq for act in done.interactions] == [2]
    assert [item and item.value for item in done.items] == [{"count": 1}, [1]]
    assert done.session == await store.sessions.get("s")
    session = done.session
    assert (session.version, session.user_id, session.title) == (1, "u", "Q")
    assert (session.metadata, session.current_slots) == ({"n": 1}, {"a": "b"})
    assert (await store.sessions.list(metadata={"n": 1})).items == (session,)
    there = await document(store, "s")
    assert there.turns == tuple(await store.turns.branch("s"))
    assert there.adapter_state == {"adk": {"step": 1}}
    assert (await store.items.get("app:shop", "seen")).user_id == "u"
    assert await store.items.get("step", "1", session_id="s") == done.items[1]


async def test_a_repeat_gives_the_first_results_and_changes_nothing(
    store: Store,
) -> None:
    first = await store.sessions.apply("s", create=True, **EVENT)
    await store.sessions.patch("s", metadata={"n": 2}, adapter_state={"adk": {"x": 1}})
    await store.items.patch("app:shop", "seen", {"count": 7})
    before = await document(store, "s")

    again = await store.sessions.apply(
        "s", create=True, expected_head=0, expected_version=0, switch=0, **EVENT
    )

    assert (again.created, again.repeated, again.items) == (False, True, ())
    assert (again.turns, again.interactions) == (first.turns, first.interactions)
    assert await document(store, "s") == before
    assert (await store.items.get("app:shop", "seen")).value == {"count": 7}


async def test_a_name_that_stands_for_something_else_is_refused(store: Store) -> None:
    await store.sessions.apply("s", create=True, **EVENT)

    for other in (
        {"turns": [{"role": "user", "content": "other", "external_id": "e-1"}]},
        {"interactions": [{"action": "copy", "external_id": "i-1"}]},
    ):
        with pytest.raises(ConflictError):
            await store.sessions.apply("s", metadata={"n": 9}, **other)
    assert (await store.sessions.get("s")).metadata == {"n": 1}


async def test_one_step_raises_the_version_by_one(store: Store) -> None:
    first = await store.sessions.apply("s", create=True, **EVENT)

    done = await store.sessions.apply(
        "s",
        switch=1,
        turns=[{"role": "assistant", "content": "B"}],
        title="Mine",
        adapter_state={"adk": None, "other": {}},
        interactions=[{"action": "regenerate", "turn_seq": 2}, {"action": "copy"}],
        items=[ItemInput("step", "1", delete=True, inside=True)],
    )

    assert done.session.version == first.session.version + 1
    assert done.session == await store.sessions.get("s")
    assert (done.session.title, done.session.branched) == ("Mine", True)
    assert (done.turns[0].seq, done.turns[0].parent_seq) == (3, 1)
    assert done.items == (None,)
    assert (await document(store, "s")).adapter_state == {"other": {}}
    same = await store.sessions.apply("s", metadata={"n": 1}, switch=3)
    assert same.session == done.session


async def test_the_head_is_moved_before_the_turns_are_appended(store: Store) -> None:
    await say(store, "s", "one", "two", "three")

    empty = await store.sessions.apply("s", switch=0, expected_head=3)
    assert empty.session.head_seq is None
    done = await store.sessions.apply(
        "s", turns=[{"role": "user", "content": "anew"}], parent_seq=2, expected_head=0
    )

    assert done.turns[0].parent_seq == 2
    assert [t.content for t in await store.turns.branch("s")] == ["one", "two", "anew"]


REFUSED: list[tuple[type[ConvstoreError], dict[str, Any]]] = [
    (VersionConflictError, {"expected_version": 0}),
    (VersionConflictError, {"expected_version": 7}),
    (VersionConflictError, {"expected_head": 0}),
    (TurnNotFoundError, {"switch": 9}),
    (TurnNotFoundError, {"turns": [{"role": "user", "parent_seq": 9}]}),
    (TurnNotFoundError, {"interactions": [{"action": "copy", "turn_seq": 4}]}),
    (VersionConflictError, {"items": [ItemInput("n", "k", 1, expected_version=3)]}),
    (
        VersionConflictError,
        {"items": [ItemInput("n", "k", 1, inside=True, expected_version=3)]},
    ),
    (ConflictError, {"items": [ItemInput("owned", "k", 1, user_id="other")]}),
    (InvalidInputError, {"metadata": {"x": "x" * 70_000}}),
    (InvalidInputError, {"adapter_state": {"a": 1}}),
    (InvalidInputError, {"items": [ItemInput("n", "k", patch={"a": float("nan")})]}),
]


@pytest.mark.parametrize(("error", "given"), REFUSED)
async def test_what_is_refused_changes_nothing(
    store: Store, error: type[ConvstoreError], given: dict[str, Any]
) -> None:
    await say(store, "s", "one", "two")
    await store.items.put("owned", "k", 0, user_id="u")
    before = await document(store, "s")
    call: dict[str, Any] = {
        "turns": [{"role": "user", "content": "three"}],
        "metadata": {"n": 1},
        "adapter_state": {"adk": {"n": 1}},
        "interactions": [{"action": "copy", "turn_seq": 3}],
        **given,
    }
    call["items"] = [ItemInput("first", "k", 1), *given.get("items", [])]

    with pytest.raises(error):
        await store.sessions.apply("s", **call)

    assert await document(store, "s") == before
    assert [i.namespace for i in (await store.items.list()).items] == ["owned"]


@pytest.mark.parametrize(("error", "given"), REFUSED[1:2] + REFUSED[3:])
async def test_what_is_refused_makes_no_session(
    store: Store, error: type[ConvstoreError], given: dict[str, Any]
) -> None:
    await store.items.put("owned", "k", 0, user_id="u")

    with pytest.raises(error):
        await store.sessions.apply("new", create=True, user_id="u", **given)

    assert await store.sessions.find("new") is None
    assert (await store.sessions.get_or_create("new"))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("turns[0].content", {"turns": [{"role": "user", "content": 3}]}),
    ("turns[1]", {"turns": [{"role": "user"}, 3]}),
    ("parent_seq", {"parent_seq": -1}),
    ("switch", {"switch": "1"}),
    ("interactions[0].score", {"interactions": [{"action": "a", "score": "x"}]}),
    (
        "interactions[0].session_id",
        {"interactions": [{"action": "a", "session_id": "other"}]},
    ),
    ("items[0].value", {"items": [ItemInput("n", "k")]}),
    ("items[0].value", {"items": [ItemInput("n", "k", 1, delete=True)]}),
    ("items[0].user_id", {"items": [ItemInput("n", "k", 1, inside=True, user_id="u")]}),
    ("items[0].key", {"items": [{"namespace": "n"}]}),
    ("items[1]", {"items": [ItemInput("n", "k", 1), ItemInput("n", "k", 2)]}),
]


@pytest.mark.parametrize(("field", "given"), BAD)
async def test_bad_input_is_refused_by_the_name_of_its_field(
    store: Store, field: str, given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await store.sessions.apply("s", create=True, **given)

    assert caught.value.field == field
    assert await store.sessions.find("s") is None


async def test_of_any_number_of_makers_one_makes_the_session(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()

    async def make(number: int) -> Applied | ConvstoreError:
        face = (store, other)[number % 2]
        try:
            return await face.sessions.apply(
                "s",
                create=True,
                expected_version=0,
                turns=[{"role": "user", "content": str(number)}],
                items=[ItemInput("n", "k", patch={str(number): 1})],
            )
        except VersionConflictError as error:
            return error

    done = await asyncio.gather(*(make(number) for number in range(20)))

    (winner,) = [each for each in done if isinstance(each, Applied)]
    assert winner.created
    assert [t.seq for t in await store.turns.branch("s")] == [1]
    item = await store.items.get("n", "k")
    assert item.value == {winner.turns[0].content: 1}


async def test_steps_of_many_callers_all_count(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()

    async def step(number: int) -> None:
        await (store, other)[number % 2].sessions.apply(
            f"s-{number % 3}",
            create=True,
            turns=[{"role": "user", "content": str(number)}],
            adapter_state={"adk": {str(number): 1}},
            items=[
                ItemInput("n", f"k{number % 2}", patch={str(number): 1}),
                ItemInput("n", "all", patch={str(number): 1}),
            ],
        )

    await asyncio.gather(*(step(number) for number in range(24)))

    assert (await store.items.get("n", "all")).value.keys() == set(map(str, range(24)))
    for session in range(3):
        mine = {str(n) for n in range(24) if n % 3 == session}
        there = await document(store, f"s-{session}")
        assert {turn.content for turn in there.turns} == mine
        assert there.adapter_state["adk"].keys() == mine
        assert there.session.version == 8


async def test_a_session_that_is_not_there_is_made_only_when_told(store: Store) -> None:
    with pytest.raises(SessionNotFoundError):
        await store.sessions.apply("s", metadata={"n": 1})
    await store.sessions.apply("s", create=True, user_id="u")

    with pytest.raises(SessionNotFoundError):
        await store.sessions.apply("s", create=True, user_id="other", metadata={})
    await store.sessions.delete("s", archive=False)
    with pytest.raises(SessionDeletedError):
        await store.sessions.apply("s", create=True)


async def test_an_archived_session_is_restored_first(store: Store) -> None:
    await archived(store, "s")

    done = await store.sessions.apply(
        "s", adapter_state={"frame": {"m": 2}}, turns=[{"role": "user", "content": "5"}]
    )

    assert (done.session.state, done.turns[0].seq) == ("active", 4)
    assert await store.sessions.adapter_state("s", "frame") == {"n": 1, "m": 2}


async def test_a_session_without_an_owner_is_claimed_with_the_step(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s")

    with pytest.raises(VersionConflictError):
        await store.sessions.apply("s", user_id="u", expected_version=9)
    assert (await store.sessions.get("s")).user_id is None
    done = await store.sessions.apply("s", user_id="u", metadata={"a": 1})

    assert (done.session.user_id, done.session.version) == ("u", 2)


async def test_a_step_in_a_transaction_goes_with_it(store: Store) -> None:
    async def give_up() -> None:
        async with store.transaction() as tx:
            await tx.sessions.apply("s", create=True, **EVENT)
            assert (await tx.sessions.apply("s", **EVENT)).repeated
            raise LookupError

    with pytest.raises(LookupError):
        await give_up()

    assert await store.sessions.find("s") is None
    assert (await store.items.list()).items == ()
