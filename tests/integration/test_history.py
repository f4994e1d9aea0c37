"""Histories: what a model is given of a stored branch, and what is missing in it."""

from __future__ import annotations

from typing import Any

import pytest

from convstore import InvalidInputError, ManualClock, Store
from convstore.types import LeftOut


def calling(*ids: str) -> dict[str, Any]:
    function = {"name": "find", "arguments": "{}"}
    parts = [{"id": i, "type": "function", "function": function} for i in ids]
    return {"role": "assistant", "parts": parts}


def answering(call_id: str, content: str = "3") -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": call_id}


def saying(role: str, content: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


async def stored(store: Store, *turns: dict[str, Any]) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append_many("s-1", turns)


def told(history: list[dict[str, Any]]) -> list[Any]:
    return [message["content"] for message in history]


TALK = [saying(("user", "assistant")[n % 2], str(n)) for n in range(9)]


async def test_a_kept_system_turn_comes_on_top_of_the_limit(store: Store) -> None:
    await stored(store, saying("system", "Be brief."), *TALK)

    plain = await store.turns.history("s-1", limit=2)
    kept = await store.turns.history("s-1", limit=2, keep_system=True)
    whole = await store.turns.history("s-1", limit=50, keep_system=True)

    assert told(plain) == ["7", "8"]
    assert told(kept) == ["Be brief.", "7", "8"]
    assert told(whole) == ["Be brief.", *"012345678"]
    assert kept.left_out == ()


async def test_a_kept_system_turn_is_that_of_the_active_branch(store: Store) -> None:
    await stored(store, saying("system", "First."), *TALK)
    other = saying("developer", "Second.", parent_seq=0)
    await store.turns.append_many("s-1", [other, *TALK])

    assert told(await store.turns.history("s-1", limit=1, keep_system=True)) == [
        "Second.",
        "8",
    ]
    await store.turns.switch("s-1", 5)
    assert told(await store.turns.history("s-1", limit=1, keep_system=True)) == [
        "First.",
        "3",
    ]


async def test_an_archived_branch_has_its_system_turn_too(
    store: Store, clock: ManualClock
) -> None:
    await stored(store, saying("system", "First."), *TALK)
    await store.turns.append_many("s-1", [saying("system", "Second.", parent_seq=0)])
    await store.turns.append_many("s-1", TALK)
    live = await store.turns.history("s-1", limit=1, keep_system=True)
    clock.advance(2 * 86_400)
    await store.run_retention()

    assert (await store.sessions.get("s-1")).state == "archived"
    assert await store.turns.history("s-1", limit=1, keep_system=True) == live
    assert told(live) == ["Second.", "8"]


async def test_a_history_may_have_to_begin_with_a_user(store: Store) -> None:
    await stored(store, saying("system", "Be brief."), *TALK)

    history = await store.turns.history("s-1", limit=4, begin_with="user")
    both = await store.turns.history(
        "s-1", limit=4, begin_with="user", keep_system=True
    )

    assert told(history) == ["6", "7", "8"]
    assert history.left_out == (LeftOut("before-the-first-user-turn", 7),)
    assert told(both) == ["Be brief.", "6", "7", "8"]


async def test_a_window_without_a_user_begins_with_the_newest_one(
    store: Store,
) -> None:
    rounds = [
        turn
        for n in range(20)
        for turn in (calling(f"c-{n}"), answering(f"c-{n}", str(n)))
    ]
    await stored(store, *TALK, *rounds)

    history = await store.turns.history("s-1", limit=4, begin_with="user")

    assert history[0] == {"role": "user", "content": "8"}
    assert len(history) == 41


async def test_nobody_who_spoke_gives_nobody(store: Store) -> None:
    await stored(store, saying("assistant", "Welcome!"))

    history = await store.turns.history("s-1", begin_with="user", repair=True)

    assert history == []
    assert history.left_out == (LeftOut("before-the-first-user-turn", 1),)


@pytest.mark.parametrize("begin_with", ["assistant", "", 7, True])
async def test_a_history_begins_with_nobody_else(store: Store, begin_with: Any) -> None:
    await stored(store, *TALK)

    with pytest.raises(InvalidInputError) as caught:
        await store.turns.history("s-1", begin_with=begin_with)

    assert caught.value.field == "begin_with"


async def test_a_repaired_history_has_each_call_with_its_result_or_neither(
    store: Store,
) -> None:
    await stored(
        store,
        saying("user", "Hi"),
        calling("c-1"),
        calling("c-2", "c-3"),
        answering("c-2", "two"),
        answering("c-2", "two again"),
        answering("lost", "?"),
        saying("user", "Still there?"),
        answering("c-1", "one"),
        saying("assistant", "Done."),
    )

    plain = await store.turns.history("s-1", limit=20)
    repaired = await store.turns.history("s-1", limit=20, repair=True)

    assert [m["role"] for m in plain] == [
        *("user", "assistant", "tool", "tool", "tool"),
        *("user", "tool", "assistant"),
    ]
    assert [m["role"] for m in repaired] == [
        *("user", "assistant", "tool", "tool", "user", "assistant")
    ]
    assert [call["id"] for call in repaired[1]["tool_calls"]] == ["c-1", "c-2"]
    assert told(repaired)[2:4] == ["two", "one"]
    assert repaired.moved == (8,)
    assert set(repaired.left_out) == {
        LeftOut("call-without-result", 3),
        LeftOut("double-result", 5),
        LeftOut("result-without-call", 6),
    }


async def test_a_handle_and_its_buffer_give_the_same_history(store: Store) -> None:
    chat = store.conversation("s-1", user_id="u-1")
    await chat.append_system_message("Be brief.")
    await chat.append_many([*TALK, calling("open")])
    wishes: dict[str, Any] = {"repair": True, "keep_system": True, "begin_with": "user"}

    history = await chat.history(limit=4, **wishes)
    buffer = await chat.buffer(cap=5, keep_system=True)

    assert told(history) == ["Be brief.", "6", "7", "8"]
    assert buffer.history(limit=4, **wishes) == history
    assert buffer.history(limit=4, **wishes).left_out == history.left_out
    assert [turn.role for turn in buffer.system] == ["system"]
    assert told(buffer.history(limit=1, begin_with="user")) == ["8", None]
    assert (await store.conversation("s-2").buffer(keep_system=True)).history() == []
