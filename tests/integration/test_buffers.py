"""The buffer of the bound handle: a view with a cap and a time to live."""

from __future__ import annotations

import pytest

from convstore import ManualClock, SessionNotFoundError, Store

CALL = {"type": "function", "id": "c-1", "function": {"name": "f", "arguments": "{}"}}


async def test_a_buffer_holds_eighty_turns_and_the_record_all(store: Store) -> None:
    chat = store.conversation("s-1", user_id="u-1")
    await chat.append_many([{"role": "user", "content": str(n)} for n in range(100)])

    buffer = await chat.buffer()

    assert [turn.content for turn in buffer] == [str(n) for n in range(20, 100)]
    assert (len(buffer), buffer[0].seq, buffer[-1].seq) == (80, 21, 100)
    assert (await chat.session()).turn_count == 100


async def test_an_idle_buffer_is_empty_until_somebody_speaks(
    store: Store, clock: ManualClock
) -> None:
    chat = store.conversation("s-1")
    await chat.append(role="user", content="before")
    clock.advance(1_800)
    assert len(await chat.buffer()) == 1
    clock.advance(1)
    assert len(await chat.buffer()) == 0

    await chat.append(role="user", content="after")

    assert [turn.content for turn in await chat.buffer()] == ["after"]
    assert [turn.content for turn in await chat.window()] == ["before", "after"]


async def test_the_cap_never_parts_a_call_from_its_result(store: Store) -> None:
    chat = store.conversation("s-1")
    await chat.append(role="user", content="?")
    await chat.append(role="assistant", parts=[CALL])
    await chat.append(role="tool", content="3", tool_call_id="c-1")
    await chat.append(role="assistant", content="Three.")

    assert [turn.role for turn in await chat.buffer(cap=2)] == ["assistant"]
    assert [turn.seq for turn in await chat.buffer(cap=3)] == [2, 3, 4]


async def test_a_buffer_shows_the_active_branch(store: Store) -> None:
    chat = store.conversation("s-1")
    await chat.append_many([{"role": "user", "content": "q"}, {"role": "assistant"}])
    await chat.append(role="assistant", content="better", parent_seq=1)

    assert [turn.seq for turn in await chat.buffer()] == [1, 3]


async def test_another_users_buffer_is_not_found(store: Store) -> None:
    await store.conversation("s-1", user_id="u-1").append(role="user", content="mine")
    other = store.conversation("s-1", user_id="u-2")

    assert len(await other.buffer()) == 0
    with pytest.raises(SessionNotFoundError):
        await other.append_system_message("not mine")


async def test_a_system_message_makes_the_session_and_calls_no_model(
    store: Store,
) -> None:
    chat = store.conversation("s-new", user_id="u-1")

    await chat.append_system_message("User opened the map view")

    (turn,) = await chat.buffer()
    assert (turn.role, turn.content) == ("system", "User opened the map view")
    assert (await store.sessions.get("s-new")).user_id == "u-1"


async def test_what_a_framework_gave_comes_back_exactly(store: Store) -> None:
    """Key order, odd types, unknown fields and empty containers included."""
    parts = [
        {"z": 1, "a": {"kind": "tool-call", "args": '{"x":1.0}', "extra": None}},
        {"type": "reasoning", "encrypted_content": "gAAA=", "summary": []},
        CALL,
        "bare text",
        7,
    ]
    chat = store.conversation("s-1")
    await chat.append(role="user", content=" spaced ")
    await chat.append(role="assistant", content=None, parts=parts)

    user, answer = await chat.buffer()

    assert user.content == " spaced "
    assert answer.content is None
    assert answer.parts is not None
    assert repr(answer.parts) == repr(parts)


async def test_a_buffer_speaks_to_three_kinds_of_clients(store: Store) -> None:
    chat = store.conversation("s-1")
    await chat.append_system_message("Be brief.")
    await chat.add_exchange("And there?", "Three.", resolved_question="In Enschede?")

    buffer = await chat.buffer()

    assert buffer.to_messages()[1] == {"role": "user", "content": "In Enschede?"}
    request = buffer.to_anthropic_messages()
    assert request.system == [{"type": "text", "text": "Be brief."}]
    assert [message["role"] for message in request.messages] == ["user", "assistant"]
    history = buffer.to_dspy_history({"user": "q", "assistant": "a"})
    messages = history["messages"] if isinstance(history, dict) else history.messages
    assert messages == [{"q": "In Enschede?", "a": "Three."}]


async def test_a_message_that_was_stored_in_many_turns_is_one(store: Store) -> None:
    chat = store.conversation("s-1")
    other = {**CALL, "id": "c-2"}
    await chat.append(role="user", content="?")
    await chat.append(role="assistant", content="I look.")
    await chat.append(role="assistant", parts=[CALL])
    await chat.append(role="assistant", parts=[other])
    await chat.append(role="tool", content="3", tool_call_id="c-1")
    await chat.append(role="tool", content="4", tool_call_id="c-2")

    buffer = await chat.buffer()

    asked = {"role": "assistant", "content": "I look.", "tool_calls": [CALL, other]}
    assert buffer.to_messages()[1] == asked
    assert buffer.to_openai_messages().messages == buffer.to_messages()
    assert len(buffer.to_anthropic_messages().messages) == 3
    assert [turn.seq for turn in await chat.buffer(cap=3)] == [3, 4, 5, 6]


async def test_a_new_conversation_is_made_in_the_commit_of_its_first_turn(
    store: Store,
) -> None:
    await store.conversation("warm", user_id="u-1").append(role="user", content="x")
    before = (await store.stats()).commits

    await store.conversation("s-new", user_id="u-1").append(role="user", content="x")

    # One that found no session, and one that made it and its turn.
    assert (await store.stats()).commits - before == 2
