"""A history of the Agent Framework: its codec, and its provider under an agent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agent_framework import AgentSession, Content, Message, SessionContext
from hypothesis import given
from hypothesis import strategies as st

from convstore import SessionNotFoundError, Store
from convstore.adapters.agent_framework import ConvstoreHistory
from convstore.adapters.agent_framework.history import (
    _messages,
    _plain_message,
    _plain_turns,
    _turns,
    _whole_turns,
)
from convstore.messages.agent_messages import FORMAT, messages_of
from convstore.messages.neutral import plain_text, unsaved
from convstore.messages.plain import told
from convstore.vocabulary.codec import encode_json
from convstore.vocabulary.records import Turn, TurnInput
from tests.frameworks.neutral_turns import branches, named, payloads_of_others

text = st.text(st.characters(codec=None), max_size=12)
leaves = st.none() | st.booleans() | st.integers() | text
objects = st.dictionaries(text, leaves | st.lists(leaves, max_size=2), max_size=3)
contents = st.one_of(
    text.map(Content.from_text),
    st.builds(Content.from_text_reasoning, text=text),
    st.builds(Content.from_function_call, text, text, arguments=objects | text),
    st.builds(Content.from_function_result, text, result=text),
    st.builds(
        Content.from_data, st.binary(max_size=9), media_type=st.just("image/png")
    ),
)
messages = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "system", "tool", "critic"]),
    st.lists(contents, max_size=4),
    author_name=st.none() | text,
    message_id=st.none() | text,
    additional_properties=objects,
)


@given(st.lists(messages, max_size=5))
def test_messages_come_back_as_they_were(given_messages: list[Message]) -> None:
    turns = [unsaved(t) for message in given_messages for t in _turns(message)]

    expected = [message.to_dict() for message in given_messages]
    assert [message.to_dict() for message in _messages(turns)] == expected
    quick = told(turns, _plain_message, _messages)
    assert [message.to_dict() for message in quick] == expected


@given(messages)
def test_the_short_way_to_a_turn_is_the_long_way(message: Message) -> None:
    assert _plain_turns(message) in (None, _whole_turns(message))
    assert _plain_turns(Message("assistant", ["Three."])) is not None


@given(messages)
def test_the_neutral_side_can_always_be_stored(message: Message) -> None:
    for turn in _turns(message):
        encode_json("parts", turn.parts or [], 1 << 20, 64)
        assert turn.content is None or plain_text(turn.content) == turn.content


def test_what_another_says_in_many_turns_is_one_message() -> None:
    calls: list[Any] = [
        {
            "id": f"c-{number}",
            "type": "function",
            "function": {"name": "f", "arguments": json.dumps({"n": number})},
        }
        for number in range(2)
    ]
    turns = [
        unsaved(TurnInput("assistant", "Looking.")),
        *[unsaved(TurnInput("assistant", parts=[call])) for call in calls],
        unsaved(TurnInput("tool", "rain", tool_call_id="c-0")),
    ]

    said, result = [Message.from_dict(message) for message in messages_of(turns)]
    assert [content.type for content in said.contents] == [
        *("text", "function_call", "function_call")
    ]
    assert (result.contents[0].call_id, result.contents[0].result) == ("c-0", "rain")


def test_a_plain_message_is_kept_once() -> None:
    assert _turns(Message("user", ["Which?"]))[0].payload is None
    assert _turns(Message("assistant", ["Three."]))[0].payload == b"{}"


def test_of_results_that_are_not_all_there_each_is_a_message() -> None:
    results = [Content.from_function_result(f"c-{n}", result=str(n)) for n in range(3)]
    turns = [unsaved(turn) for turn in _turns(Message("tool", results))]

    told = [Message.from_dict(message) for message in messages_of(turns[:2])]
    assert [[c.call_id for c in m.contents] for m in told] == [["c-0"], ["c-1"]]
    assert len(messages_of(turns)) == 1


async def test_an_agents_run_is_kept_and_read_by_the_next(store: Store) -> None:
    history = ConvstoreHistory(store, user_id="ann")
    session = AgentSession(session_id="s/" * 200)
    run = SessionContext(session_id=session.session_id, input_messages=[])
    await history.save_messages(session.session_id, [Message("user", ["Which?"])])
    given: dict[str, Any] = {"agent": None, "session": session, "state": {}}

    await history.before_run(context=run, **given)
    assert [message.text for message in run.get_messages()] == ["Which?"]
    assert await history.get_messages(None) == []
    await history.save_messages(None, [Message("user", ["Lost."])])
    await history.save_messages("other", [])
    assert [one.user_id for one in (await store.sessions.list()).items] == ["ann"]


async def test_a_history_of_another_user_is_not_there(store: Store) -> None:
    await ConvstoreHistory(store, user_id="ann").save_messages(
        "s", [Message("user", ["Mine."])]
    )
    bob = ConvstoreHistory(store, user_id="bob")

    assert await bob.get_messages("s") == []
    with pytest.raises(SessionNotFoundError):
        await bob.save_messages("s", [Message("user", ["Yours?"])])


@given(branches, payloads_of_others)
def test_a_payload_of_others_is_not_taken_for_a_message(
    turns: list[Turn], payload: bytes
) -> None:
    assert messages_of(named(turns, payload, FORMAT)) == messages_of(turns)


@given(branches, st.lists(st.sampled_from(["user", "assistant", "system"])))
def test_what_is_nothing_but_text_is_read_as_the_long_way_reads_it(
    others: list[Turn], roles: list[str]
) -> None:
    ours = [unsaved(turn) for role in roles for turn in _turns(Message(role, ["Hm."]))]
    turns = [*others, *ours, *others]

    quick, slow = told(turns, _plain_message, _messages), _messages(turns)

    assert [_whole(one) for one in quick] == [_whole(one) for one in slow]
    inner = [id(one.additional_properties) for one in quick]
    assert len(set(inner)) == len(quick)


def _whole(message: Message) -> list[Any]:
    """All that it holds, whether or not the framework writes it."""
    contents = [content.__dict__ for content in message.contents]
    return [{**message.__dict__, "contents": None}, contents]
