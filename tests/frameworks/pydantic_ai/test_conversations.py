"""Conversations of Pydantic AI in a store, on both databases."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import DeferredToolRequests

import convstore.blocking
from convstore import InvalidInputError, SessionErasedError, Store
from convstore.adapters.pydantic_ai import ConvstoreConversations
from convstore.vocabulary.records import JsonObject
from tests.frameworks.pydantic_ai.talk import ODD, WEATHER, answered, asked

Conversations = ConvstoreConversations


@pytest.fixture
def conversations(store: Store) -> Conversations:
    return ConvstoreConversations(store)


async def begun(
    conversations: Conversations, messages: list[ModelMessage], scope: str = "ann"
) -> Conversation:
    talk = Conversation(conversation_id="c-1", messages=list(messages))
    await conversations.save(talk, scope=scope)
    return talk


async def messages_of(conversations: Conversations) -> list[ModelMessage]:
    loaded = await conversations.load("c-1")
    assert loaded is not None
    return loaded.messages


async def test_messages_come_back_equal_and_in_order(
    conversations: Conversations,
) -> None:
    talk = await begun(conversations, [*WEATHER, *ODD])

    for limit in (None, 1, 2, 5, 7, 100):
        loaded = await conversations.load("c-1", limit=limit)
        assert loaded is not None
        assert loaded.messages == talk.messages[-(limit or 100) :]
    assert await conversations.load_entries("c-1", limit=0) == []
    entries = await conversations.load_entries("c-1") or []
    for entry in entries:
        assert await conversations.read_entry(entry.id) == entry


async def test_what_a_run_leaves_waiting_comes_back(
    conversations: Conversations,
) -> None:
    talk = Conversation(conversation_id="c-1", messages=list(WEATHER))
    talk.usage.details["nul \x00"] = 2
    talk.deferred_tool_requests = DeferredToolRequests(
        calls=[ToolCallPart("ask", "\ud83d \x00", "c-9")],
        metadata={"c-9": {"n": 2**70, "none": None}},
    )
    await conversations.save(talk)
    record = await conversations.read_record("c-1")

    again = await conversations.load("c-1")
    assert again == talk
    assert record == await conversations.read_record("c-1")
    assert record is not None
    assert record.updated_at.tzinfo is not None


async def test_each_part_is_a_turn_and_kept_twice_only_where_the_columns_say_less(
    conversations: Conversations, store: Store
) -> None:
    await begun(conversations, [asked("Hello"), *WEATHER[1:3], answered("Rain.")])

    said, called, first, second, answer = await store.turns.branch("c-1")
    assert (said.role, said.content) == ("user", "Hello")
    assert [part["type"] for part in called.parts or []] == [
        "reasoning",
        "function",
        "function",
    ]
    assert [(t.role, t.content, t.name, t.tool_call_id) for t in (first, second)] == [
        ("tool", '{"rain":true}', "weather", "c-1"),
        ("tool", "rain", "weather", "c-2"),
    ]
    assert (answer.content, answer.model) == ("Rain.", "m-1")
    payloads = [turn.payload for turn in (said, called, first, second, answer)]
    kept = [None if text is None else json.loads(text) for text in payloads]
    assert [set(whole or ()) for whole in kept] == [
        {"turns"},
        {"turns", "message"},
        set(),
        {"turns", "message"},
        {"turns"},
    ]


async def test_what_another_wrote_is_read_as_messages_and_gone_on_with(
    conversations: Conversations, store: Store
) -> None:
    calls = [
        {
            "id": f"c-{n}",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Zwolle"}'},
        }
        for n in (1, 2)
    ]
    chat = store.conversation("c-1", user_id="ann")
    await chat.append(role="system", content="Be brief.")
    await chat.append(role="user", content="Weather?")
    await chat.append(role="assistant", content="Looking.")
    await chat.append(role="assistant", parts=calls)
    for call in calls:
        await chat.append(role="tool", content="rain", tool_call_id=call["id"])

    loaded = await conversations.load("c-1", scope="ann")
    assert loaded is not None
    request, response, results = loaded.messages
    assert [part.part_kind for part in request.parts] == [
        "system-prompt",
        "user-prompt",
    ]
    assert [part.part_kind for part in response.parts] == [
        "text",
        "tool-call",
        "tool-call",
    ]
    assert isinstance(results, ModelRequest)
    assert [
        (part.tool_name, part.content)
        for part in results.parts
        if isinstance(part, ToolReturnPart)
    ] == [("weather", "rain")] * 2
    entries = await conversations.load_entries("c-1") or []
    assert [entry.id for entry in entries] == ["c-1#2", "c-1#4", "c-1#6"]
    assert (await conversations.load_entries("c-1", limit=1)) == entries[-1:]
    assert await conversations.read_entry("c-1#4") == entries[1]

    loaded.messages.append(answered("Rain in both."))
    (added,) = await conversations.save(loaded)
    assert added.parent_id == "c-1#6"
    whole = await messages_of(conversations)
    assert whole == loaded.messages
    # Without bookkeeping the history is compared: nothing is taken for rewritten.
    again = replace(loaded, messages=[*whole, asked("Thanks")], new_message_index=None)
    assert len(await conversations.save(again)) == 1


async def test_whatever_another_wrote_can_be_read(
    conversations: Conversations, store: Store
) -> None:
    chat = store.conversation("c-1")
    odd: list[JsonObject] = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,%%"}},
        {"type": "image_url", "image_url": {"url": ""}},
        {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
        {"type": "file", "file": {"url": "https://example.org/x"}},
        {"type": "tool_result", "tool_use_id": "c", "content": [{"kind": "binary"}]},
        {"type": "tool_use", "id": "c", "name": "", "input": [1]},
        {"kind": "image-url"},
    ]
    for part in odd:
        for role in ("user", "assistant", "tool", "system", "item"):
            await chat.append(role=role, parts=[part])
    await chat.append(role="tool", content="", tool_call_id="x")

    entries = await conversations.load_entries("c-1")

    assert entries
    for limit in range(1, len(entries) + 1):
        assert await conversations.load_entries("c-1", limit=limit) == entries[-limit:]


async def test_what_another_appends_makes_a_save_stale_and_feedback_does_not(
    conversations: Conversations, store: Store
) -> None:
    talk = await begun(conversations, WEATHER)
    await store.interactions.record(
        "c-1", action="feedback", turn_seq=2, feedback="correct"
    )
    talk.messages.append(asked("Thanks"))
    await conversations.save(talk)

    await store.turns.append("c-1", role="assistant", content="Welcome.")
    talk.messages.append(asked("Bye"))
    with pytest.raises(ConversationConflict):
        await conversations.save(talk)
    told = await messages_of(conversations)
    assert [part.content for part in told[-1].parts] == ["Welcome."]  # type: ignore[union-attr]


async def test_of_twenty_savers_of_one_revision_one_wins(
    conversations: Conversations,
) -> None:
    talk = await begun(conversations, WEATHER)
    savers = [
        replace(talk, messages=[*talk.messages, asked(str(n))]) for n in range(20)
    ]
    told = await asyncio.gather(
        *[conversations.save(saver) for saver in savers], return_exceptions=True
    )

    assert sum(isinstance(one, ConversationConflict) for one in told) == 19
    assert len(await messages_of(conversations)) == len(WEATHER) + 1


async def test_of_twenty_who_begin_one_conversation_one_wins(
    conversations: Conversations,
) -> None:
    told = await asyncio.gather(
        *[begun(conversations, [asked(str(n))]) for n in range(20)],
        return_exceptions=True,
    )

    assert sum(isinstance(one, ConversationConflict) for one in told) == 19
    assert len(await messages_of(conversations)) == 1


async def test_a_deleted_conversation_begins_anew_with_another_revision(
    conversations: Conversations, store: Store
) -> None:
    talk = await begun(conversations, WEATHER)
    fork = await conversations.fork("c-1", new_conversation_id="c-2", at=2)
    (old,) = await conversations.load_entries("c-1", limit=1) or []
    await conversations.delete("c-1")

    assert await conversations.load("c-1") is None
    with pytest.raises(LookupError):
        await conversations.read_entry(old.id)
    with pytest.raises(ConversationConflict):
        await conversations.save(talk)
    new = await begun(conversations, [asked("Anew")])
    with pytest.raises(ConversationConflict):
        await conversations.save(talk)
    assert new.revision != talk.revision
    assert await messages_of(conversations) == [asked("Anew")]
    kept = await conversations.load("c-2")
    assert kept is not None
    assert kept.messages == fork.messages == WEATHER[:2]
    assert (await store.sessions.get("c-2")).forked_from == "c-1"


async def test_an_id_of_another_scope_is_not_taken_over(
    conversations: Conversations,
) -> None:
    await begun(conversations, WEATHER)
    assert await conversations.load("c-1", scope="bob") is None
    with pytest.raises(ConversationConflict):
        await begun(conversations, WEATHER, "bob")
    await conversations.delete("c-1", scope="bob")
    assert await conversations.list_conversations(scope="bob") == []
    assert len(await conversations.list_conversations(scope="ann")) == 1
    await conversations.delete("c-1")
    with pytest.raises(ConversationConflict):
        await begun(conversations, WEATHER, "bob")


async def test_a_conversation_goes_on_when_it_was_archived(
    conversations: Conversations, store: Store
) -> None:
    talk = await begun(conversations, [*WEATHER, *ODD])
    (last,) = await conversations.load_entries("c-1", limit=1) or []
    await store.run_retention(older_than_s=0)

    cold = ConvstoreConversations(store)
    assert (await cold.read_entry(last.id)) == last
    assert await messages_of(cold) == talk.messages
    assert len(await cold.list_conversations()) == 1
    talk.messages.append(asked("Thanks"))
    await cold.save(talk)
    assert await messages_of(cold) == talk.messages
    await store.run_retention(older_than_s=0)
    fork = await cold.fork("c-1", new_conversation_id="c-2")
    assert fork.messages == talk.messages
    await store.run_retention(older_than_s=0)
    await cold.delete("c-1")
    assert await cold.load("c-1") is None


async def test_what_a_save_leaves_behind_says_that_nobody_rejected_it(
    conversations: Conversations, store: Store
) -> None:
    talk = await begun(conversations, WEATHER)
    short = replace(talk, messages=[asked("Short.")], new_message_index=None)
    await conversations.save(short)
    await conversations.branch("c-1", at=0, expected_revision=short.revision)

    assert await messages_of(conversations) == []
    acts = (await store.interactions.list("c-1")).items
    assert [(act.action, act.actor_kind) for act in acts] == [
        ("compact", "code"),
        ("clear", "code"),
    ]
    assert (await store.sessions.get("c-1")).turn_count == 7


async def test_erasing_a_user_leaves_nothing_and_the_id_stays_taken(
    conversations: Conversations, store: Store
) -> None:
    talk = await begun(conversations, WEATHER)
    entries = await conversations.load_entries("c-1") or []
    await store.erase(user_id="ann")

    assert await conversations.load("c-1") is None
    assert await conversations.list_conversations() == []
    for entry in entries:
        with pytest.raises(LookupError):
            await conversations.read_entry(entry.id)
    with pytest.raises(ConversationConflict):
        await conversations.save(talk)
    with pytest.raises(SessionErasedError):
        await begun(conversations, WEATHER)


async def test_two_calls_at_once_are_one_message_of_an_export(
    conversations: Conversations, store: Store, tmp_path: Path
) -> None:
    await begun(conversations, WEATHER)

    await store.export("messages", to=tmp_path / "out", undefined_tools="infer")

    (row,) = [
        json.loads(line)
        for path in (tmp_path / "out" / "data").iterdir()
        for line in path.read_text("utf-8").splitlines()
    ]
    roles = [message["role"] for message in row["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert len(row["messages"][2]["tool_calls"]) == 2


async def test_what_cannot_be_stored_is_refused_by_name(
    conversations: Conversations,
) -> None:
    talk = Conversation(conversation_id="c" * 256, messages=[asked("Hello")])
    with pytest.raises(InvalidInputError, match="session_id"):
        await conversations.save(talk)
    for entry in ("", "c-1#1", "x" * 300, "nul \x00", "c-1#" + "9" * 30):
        with pytest.raises(LookupError):
            await conversations.read_entry(entry)


def test_runs_go_on_with_what_was_saved_from_any_loop(database_url: str) -> None:
    agent = Agent(TestModel(custom_output_text="Three."))
    with convstore.blocking.open_store(database_url) as store:
        conversations = ConvstoreConversations(store.awaitable)

        async def talk(text: str) -> Conversation:
            known = await conversations.load("c-1")
            said = known or Conversation(conversation_id="c-1")
            result = await agent.run(text, conversation=said)
            await conversations.save(result, scope="ann")
            return result.conversation

        for number, text in enumerate(("Which?", "And then?"), 1):
            told = asyncio.run(talk(text))
            again = asyncio.run(conversations.load("c-1"))
            assert again is not None
            assert again.messages == told.messages
            assert len(again.messages) == 2 * number
            assert again.usage.requests == number
        fork = asyncio.run(conversations.fork("c-1", at=2))
        assert fork.messages == told.messages[:2]
