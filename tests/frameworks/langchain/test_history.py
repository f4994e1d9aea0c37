"""A message history of LangChain: its codec, and both of its faces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
)

import convstore.blocking
from convstore import ConfigError, SessionNotFoundError, Store
from convstore.adapters.langchain import (
    ConvstoreChatMessageHistory,
    _messages,
    _turn,
)
from convstore.messages.neutral import plain_text, unsaved
from convstore.vocabulary.codec import encode_json
from convstore.vocabulary.records import TurnInput

text = st.text(st.characters(codec=None), max_size=12)
leaves = st.none() | st.booleans() | st.integers() | text
objects = st.dictionaries(text, leaves | st.lists(leaves, max_size=2), max_size=3)
pieces = st.one_of(
    text,
    st.builds(dict, type=st.just("text"), text=text),
    st.builds(dict, type=st.just("reasoning"), reasoning=text),
    st.builds(dict, type=st.just("image"), url=text, mime_type=text),
    objects,
)
content = text | st.lists(pieces, max_size=4)
shared = {
    "additional_kwargs": objects,
    "id": st.none() | text,
    "name": st.none() | text,
}
calls = st.lists(
    st.builds(dict, name=text, args=objects, id=st.none() | text), max_size=3
)
messages = st.one_of(
    st.builds(HumanMessage, content, **shared),
    st.builds(SystemMessage, content, **shared),
    st.builds(ChatMessage, content, role=text, **shared),
    st.builds(
        AIMessage, content, tool_calls=calls, response_metadata=objects, **shared
    ),
    st.builds(ToolMessage, content, tool_call_id=text, artifact=leaves, **shared),
)


@given(st.lists(messages, max_size=5))
def test_messages_come_back_as_they_were(given_messages: list[BaseMessage]) -> None:
    told = _messages([unsaved(_turn(message)) for message in given_messages])

    assert list(map(message_to_dict, told)) == list(
        map(message_to_dict, given_messages)
    )


@given(messages)
def test_the_neutral_side_can_always_be_stored(message: BaseMessage) -> None:
    turn = _turn(message)

    encode_json("parts", turn.parts or [], 1 << 20, 64)
    assert 1 <= len(turn.role) <= 255
    assert turn.content is None or plain_text(turn.content) == turn.content
    if isinstance(message.content, str) and message.content:
        assert turn.content == plain_text(message.content)


@given(
    st.lists(
        st.tuples(st.text(max_size=9).map(plain_text), st.integers(0, 2)), max_size=4
    )
)
def test_what_another_says_in_many_turns_is_one_message(
    said: list[tuple[str, int]],
) -> None:
    turns = []
    for number, (words, count) in enumerate(said):
        parts: list[Any] = [
            {
                "id": f"c-{number}-{place}",
                "type": "function",
                "function": {"name": "f", "arguments": json.dumps({"n": place})},
            }
            for place in range(count)
        ]
        turns.append(unsaved(TurnInput("assistant", words, parts=parts or None)))

    told = _messages(turns)
    assert len(told) == bool(said)
    for message in told:
        assert isinstance(message, AIMessage)
        assert message.content == "".join(words for words, _ in said)
        assert len(message.tool_calls) == sum(count for _, count in said)


def test_a_plain_message_is_kept_once() -> None:
    assert _turn(HumanMessage("Which?")).payload is None
    assert _turn(SystemMessage("Be brief.")).payload is None
    assert _turn(ToolMessage("rows", tool_call_id="c")).payload is None
    assert _turn(AIMessage("Three.")).payload == b"{}"


async def test_a_history_of_another_user_is_not_there(store: Store) -> None:
    ann = ConvstoreChatMessageHistory(store, "s", user_id="ann")
    bob = ConvstoreChatMessageHistory(store, "s", user_id="bob")
    await ann.aadd_messages([HumanMessage("Mine.")])
    await ann.aadd_messages([])

    assert await bob.aget_messages() == []
    await bob.aclear()
    with pytest.raises(SessionNotFoundError):
        await bob.aadd_messages([HumanMessage("Yours?")])
    assert await ann.aget_messages() == [HumanMessage("Mine.")]


async def test_a_synchronous_call_on_the_stores_own_loop_is_refused(
    store: Store,
) -> None:
    history = ConvstoreChatMessageHistory(store, "s")

    for call in (
        lambda: history.messages,
        lambda: history.add_messages([HumanMessage("x")]),
        history.clear,
    ):
        with pytest.raises(ConfigError):
            call()


def test_both_faces_are_of_one_history(database_url: str) -> None:
    with convstore.blocking.open_store(database_url) as store:
        history = ConvstoreChatMessageHistory(store, "s")
        history.clear()
        history.add_user_message("Which?")
        history.add_ai_message("Three.")

        assert history.messages == [HumanMessage("Which?"), AIMessage("Three.")]
        assert str(history) == "Human: Which?\nAI: Three."
        history.clear()
        assert history.messages == []
        assert len(store.turns.list("s").items) == 2
