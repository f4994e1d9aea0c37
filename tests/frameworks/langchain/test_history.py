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
from msgspec.structs import replace

import convstore.blocking
from convstore import ConfigError, SessionNotFoundError, Store
from convstore.adapters.langchain import (
    _FORMAT,
    _SPEAKERS,
    ConvstoreChatMessageHistory,
    _messages,
    _plain_turn,
    _turn,
    _whole_turn,
)
from convstore.messages.langchain_text import maker_of
from convstore.messages.neutral import plain_text, unsaved
from convstore.vocabulary.codec import encode_json
from convstore.vocabulary.records import Turn, TurnInput
from tests.frameworks.neutral_turns import branches, named, payloads_of_others

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


def test_messages_of_text_alone_are_as_their_class_makes_them() -> None:
    kinds = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage}
    for role, kind in kinds.items():
        expected = kind(content="Which?", id="m-1")
        make = maker_of(_SPEAKERS[role])
        made, other = make("Which?", "m-1"), make("Which?", "m-1")
        assert (made, repr(made)) == (expected, repr(expected))
        assert made.model_fields_set == expected.model_fields_set
        made.additional_kwargs["seen"] = True
        assert other == expected


@given(messages)
def test_the_short_way_to_a_turn_is_the_long_way(message: BaseMessage) -> None:
    assert _plain_turn(message) in (None, _whole_turn(message))
    assert _plain_turn(AIMessage("Three.")) is not None


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
        turn = unsaved(TurnInput("assistant", words, parts=parts or None))
        turns.append(replace(turn, seq=number))

    told = _messages(turns)
    assert len(told) == bool(said)
    for message in told:
        assert isinstance(message, AIMessage)
        assert message.content == "\n\n".join(words for words, _ in said if words)
        assert len(message.tool_calls) == sum(count for _, count in said)


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage("Which?"),
        SystemMessage("Be brief.", name="rules"),
        ToolMessage("rows", tool_call_id="c"),
        ToolMessage("no rows", tool_call_id="c", status="error"),
        AIMessage("Three.", id="run-1", response_metadata={"model_name": "m-1"}),
        AIMessage("", tool_calls=[{"name": "f", "args": {"n": 1}, "id": "c"}]),
        AIMessage([{"type": "reasoning", "reasoning": "Hm."}]),
        HumanMessage([{"type": "image", "base64": "AAAA", "mime_type": "image/x"}]),
    ],
)
def test_what_the_columns_say_is_kept_once(message: BaseMessage) -> None:
    turn = _turn(message)

    assert json.loads(turn.payload or b"") == {"convstore": 1, "id": message.id}
    assert _messages([unsaved(turn)]) == [message]


def test_a_message_as_it_was_kept_before_is_read() -> None:
    old = TurnInput("assistant", "Three.", payload=b"{}", payload_format="langchain")
    asked = TurnInput("user", "Which?")

    told = _messages([unsaved(asked), unsaved(old)])
    assert told == [HumanMessage("Which?", id="turn-0"), AIMessage("Three.")]


roles = st.sampled_from(["user", "assistant", "system"])
plain_words = st.text(max_size=9).map(plain_text)
called = st.lists(
    st.builds(
        dict,
        type=st.just("function"),
        id=st.text("abc", min_size=1, max_size=3),
        function=st.builds(
            dict, name=plain_words, arguments=st.just("{}") | st.just("no json")
        ),
    ),
    max_size=2,
)
turns_of_others = st.one_of(
    st.builds(TurnInput, roles, plain_words),
    st.builds(TurnInput, st.just("assistant"), plain_words | st.none(), parts=called),
    st.builds(TurnInput, st.just("tool"), plain_words, tool_call_id=st.just("c-1")),
)


@given(st.lists(turns_of_others, max_size=5))
def test_what_others_said_is_said_again_by_the_messages_of_it(
    said: list[TurnInput],
) -> None:
    """Foreign turns become messages, these turns of ours, and those say the same."""
    told = _messages([replace(unsaved(turn), seq=n) for n, turn in enumerate(said, 1)])

    again = [_turn(message) for message in told]
    assert [_in_short(message) for message in _messages(list(map(unsaved, again)))] == [
        _in_short(message) for message in told
    ]
    foreign = [replace(unsaved(t), payload=None, payload_format=None) for t in again]
    plain = [one for turn in foreign for one in _messages([turn])]
    assert list(map(_in_short, plain)) == list(map(_in_short, told))


def _in_short(message: BaseMessage) -> tuple[Any, ...]:
    calls = getattr(message, "tool_calls", []), getattr(message, "tool_call_id", "")
    wrong = getattr(message, "invalid_tool_calls", [])
    return message.type, message.content, message.name, *calls, wrong


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


@given(branches, payloads_of_others)
def test_a_payload_of_others_is_not_taken_for_a_message(
    turns: list[Turn], payload: bytes
) -> None:
    assert _messages(named(turns, payload, _FORMAT)) == _messages(turns)
