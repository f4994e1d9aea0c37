"""A session of the OpenAI Agents SDK in a store, on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import convstore.blocking
from convstore import SessionErasedError, SessionNotFoundError, Store
from convstore.adapters.openai_agents import FORMAT, ConvstoreSession

USER = {"role": "user", "content": "Weather in Utrecht and Zwolle?"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
CALLS = [
    {
        "type": "function_call",
        "call_id": f"c-{n}",
        "name": "weather",
        "arguments": json.dumps({"city": city}),
        "id": f"fc_{n}",
        "status": "completed",
    }
    for n, city in enumerate(("Utrecht", "Zwolle"), 1)
]
RESULTS = [
    {"type": "function_call_output", "call_id": f"c-{n}", "output": "rain"}
    for n in (1, 2)
]
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Rain in both.", "annotations": []}],
}
TALK = [USER, THOUGHT, *CALLS, *RESULTS, ANSWER]
ODD = [
    {"__enc__": 1, "v": 1, "payload": "gAAAA"},
    {"role": "user", "content": "nul \x00 and \ud83d", "n": 2**70},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "function_call_output", "call_id": "", "output": "x"},
]


@pytest_asyncio.fixture
async def session(store: Store) -> AsyncIterator[ConvstoreSession]:
    yield ConvstoreSession("s-1", store, user_id="ann")


async def test_items_come_back_equal_and_in_order(session: ConvstoreSession) -> None:
    await session.add_items([*TALK, *ODD])

    assert await session.get_items() == [*TALK, *ODD]
    for limit in (1, 3, 9):
        assert await session.get_items(limit) == [*TALK, *ODD][-limit:]
    assert await session.get_items(0) == []
    assert await session.get_items(-1) == [*TALK, *ODD]


async def test_an_item_is_kept_twice_only_where_the_columns_say_less(
    session: ConvstoreSession, store: Store
) -> None:
    await session.add_items([USER, CALLS[0], RESULTS[0]])

    said, called, result = await store.turns.branch("s-1")
    assert (said.payload, result.payload) == (None, None)
    assert called.payload_format == FORMAT
    assert json.loads(called.payload or b"") == CALLS[0]
    assert [(t.role, t.content) for t in (said, result)] == [
        ("user", USER["content"]),
        ("tool", "rain"),
    ]


async def test_what_another_wrote_is_read_as_items_and_popped_one_by_one(
    session: ConvstoreSession, store: Store
) -> None:
    parts = [
        {
            "id": call["call_id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in CALLS
    ]
    chat = store.conversation("s-1", user_id="ann")
    await chat.append(role="user", content="Weather?")
    await chat.append(role="assistant", content="Looking.", parts=parts)

    told = await session.get_items()
    assert [item.get("call_id") for item in told] == [None, None, "c-1", "c-2"]
    assert await session.get_items(2) == told[-2:]
    assert await session.pop_item() == told[3]
    assert await session.get_items() == told[:3]
    assert [await session.pop_item() for _ in range(4)] == [*told[2::-1], None]
    assert {act.action for act in (await store.interactions.list("s-1")).items} == {
        "pop"
    }


async def test_twenty_who_pop_get_twenty_items(session: ConvstoreSession) -> None:
    items = [{"role": "user", "content": str(n)} for n in range(20)]
    await session.add_items(items)

    popped = await asyncio.gather(*[session.pop_item() for _ in range(21)])

    said = sorted(int(item["content"]) for item in popped if item)
    assert said == list(range(20))
    assert popped.count(None) == 1


async def test_what_cannot_be_written_leaves_nothing(session: ConvstoreSession) -> None:
    with pytest.raises(TypeError):
        await session.add_items(
            [USER, {"role": "user", "content": "x", "at": object()}]
        )
    with pytest.raises(TypeError):
        await session.add_items(["text"])  # type: ignore[list-item]

    assert await session.get_items() == []


async def test_a_session_of_another_user_is_not_there(
    session: ConvstoreSession, store: Store
) -> None:
    await session.add_items([USER])
    other = ConvstoreSession("s-1", store, user_id="bob")

    assert await other.get_items() == []
    assert await other.pop_item() is None
    await other.clear_session()
    with pytest.raises(SessionNotFoundError):
        await other.add_items([USER])
    assert await session.get_items() == [USER]


async def test_clearing_begins_anew_and_destroys_nothing(
    session: ConvstoreSession, store: Store
) -> None:
    await session.clear_session()
    await session.add_items(TALK)
    await session.clear_session()

    assert await session.get_items() == []
    await session.add_items([USER])
    assert await session.get_items() == [USER]
    assert len((await store.turns.list("s-1")).items) == len(TALK) + 1


async def test_a_conversation_goes_on_when_it_was_archived(
    session: ConvstoreSession, store: Store
) -> None:
    await session.add_items([*TALK, *ODD])
    await store.run_retention(older_than_s=0)

    assert await session.get_items() == [*TALK, *ODD]
    await session.add_items([USER])
    assert await session.get_items() == [*TALK, *ODD, USER]


async def test_two_calls_at_once_are_one_message_of_an_export(
    session: ConvstoreSession, store: Store, tmp_path: Path
) -> None:
    await session.add_items(TALK)

    await store.export("messages", to=tmp_path / "out", undefined_tools="infer")

    (row,) = [
        json.loads(line)
        for path in (tmp_path / "out" / "data").iterdir()
        for line in path.read_text("utf-8").splitlines()
    ]
    roles = [message["role"] for message in row["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "assistant"]
    assert len(row["messages"][1]["tool_calls"]) == 2


async def test_a_part_is_compacted_unless_the_branch_has_moved(
    session: ConvstoreSession, store: Store
) -> None:
    await session.add_items(TALK)
    short = {"role": "user", "content": "Short."}
    early = await session._get_compaction_snapshot(3)
    seen = await session._get_compaction_snapshot(len(TALK) + 1)
    await store.interactions.record("s-1", action="feedback", feedback="correct")

    assert (early.items, early.complete, seen.complete) == (TALK[-3:], False, True)
    assert await seen.replace_suffix(1, [short])
    assert not await seen.replace_suffix(1, [short])
    assert await session.get_items() == [USER, short]
    acts = (await store.interactions.list("s-1")).items
    assert [(act.action, act.actor_kind) for act in acts][1:] == [("compact", "code")]


async def test_the_expired_beginning_is_left_behind(session: ConvstoreSession) -> None:
    items = [{"role": "user", "content": str(n)} for n in range(6)]
    await session.add_items(items)

    seen = await session._get_compaction_snapshot(
        2, prune_prefix=lambda item: int(item["content"]) < 2
    )
    assert await seen.replace_suffix(0, [{"role": "user", "content": "9"}])

    told = [item["content"] for item in await session.get_items()]
    assert told == ["2", "3", "9"]


async def test_a_closed_session_takes_no_call(session: ConvstoreSession) -> None:
    await session.add_items([USER])
    session.close()
    session.close()

    for call in (
        session.get_items(),
        session.add_items([]),
        session.pop_item(),
        session.clear_session(),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            await call


async def test_an_erased_session_is_refused_for_ever(
    session: ConvstoreSession, store: Store
) -> None:
    await session.add_items(TALK)

    await store.erase(user_id="ann")

    for call in (session.get_items(), session.add_items([USER]), session.pop_item()):
        with pytest.raises(SessionErasedError):
            await call


def test_a_cancelled_change_is_whole_from_any_loop(database_url: str) -> None:
    with convstore.blocking.open_store(database_url) as store:

        async def talk(number: int) -> list[Any]:
            session = ConvstoreSession(f"s-{number}", store.awaitable)
            adding = asyncio.ensure_future(session.add_items(TALK))
            for _ in range(number):
                await asyncio.sleep(0)
            adding.cancel()
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
            return await session.get_items()

        for number in range(6):
            assert asyncio.run(talk(number)) in ([], TALK)
