"""Messages of a graph become turns, and come back to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from convstore.adapters.langgraph.digests import Digests, digest_of
from convstore.adapters.langgraph.turns import (
    _SPEAKERS,
    FORMAT,
    _plain_turn,
    _whole_turn,
    kept_in,
    turn_of_message,
)
from convstore.messages.langchain_text import maker_of
from convstore.messages.neutral import plain_text, unsaved
from convstore.vocabulary.codec import encode_json
from convstore.vocabulary.records import Turn, TurnInput
from tests.frameworks.neutral_turns import branches, named, payloads_of_others

SERDE = JsonPlusSerializer()
text = st.text(max_size=12)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | text
objects = st.dictionaries(text, leaves | st.lists(leaves, max_size=2), max_size=3)
ids = st.none() | text
calls = st.builds(
    lambda name, args, call: {
        "name": name,
        "args": args,
        "id": call,
        "type": "tool_call",
    },
    *(text, objects, text),
)
plain = st.sampled_from([HumanMessage, AIMessage, SystemMessage])
messages = st.one_of(
    st.builds(lambda kind, said, name: kind(said, id=name), plain, text, ids),
    st.builds(
        AIMessage,
        *(text,),
        id=ids,
        name=ids,
        tool_calls=st.lists(calls, max_size=2),
        response_metadata=objects,
        additional_kwargs=objects,
    ),
    st.builds(ToolMessage, *(text,), tool_call_id=text, id=ids, name=ids),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(messages, max_size=4))
def test_messages_come_back_to_the_last_bit(given_messages: list[BaseMessage]) -> None:
    turns = [unsaved(turn_of_message(SERDE, message)) for message in given_messages]
    told = [kept.message for kept in kept_in(SERDE, turns)]

    assert told == given_messages
    digests, known = [digest_of(SERDE, one) for one in given_messages], Digests()
    assert [digest_of(SERDE, one) for one in told] == digests
    for _ in range(2):
        assert [known.of(SERDE, one) for one in given_messages] == digests


@settings(max_examples=60, deadline=None)
@given(messages, objects)
def test_what_is_changed_in_place_is_told_from_what_it_was(
    message: BaseMessage, more: dict[str, Any]
) -> None:
    known = Digests()
    known.of(SERDE, message)

    message.additional_kwargs.update(more)
    assert known.of(SERDE, message) == digest_of(SERDE, message)
    message.response_metadata["seen"] = [True]
    assert known.of(SERDE, message) == digest_of(SERDE, message)
    message.response_metadata["seen"][0] = 1
    assert known.of(SERDE, message) == digest_of(SERDE, message)
    message.content = "Else."
    assert known.of(SERDE, message) == digest_of(SERDE, message)


@settings(max_examples=60, deadline=None)
@given(messages)
def test_the_short_way_to_a_turn_is_the_long_way(message: BaseMessage) -> None:
    assert _plain_turn(message) in (None, _whole_turn(SERDE, message))


def test_a_message_of_text_alone_goes_the_short_way() -> None:
    for kind in (HumanMessage, AIMessage, SystemMessage):
        assert _plain_turn(kind("Which?", id="m-1")) is not None
        assert _plain_turn(kind("Which?", name="Ann")) is None


def test_messages_of_text_alone_are_as_their_class_makes_them() -> None:
    kinds = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage}
    for role, kind in kinds.items():
        expected = kind(content="Which?", id="m-1")
        make = maker_of(_SPEAKERS[role])
        made, other = make("Which?", "m-1"), make("Which?", "m-1")
        assert (made, repr(made)) == (expected, repr(expected))
        assert made.model_fields_set == expected.model_fields_set
        assert digest_of(SERDE, made) == digest_of(SERDE, expected)
        made.additional_kwargs["seen"] = True
        assert other == expected


@pytest.mark.parametrize("kind", [HumanMessage, AIMessage, SystemMessage])
def test_a_message_of_text_alone_is_known_as_any_other_is(kind: Any) -> None:
    known, put = Digests(), b"as it was put"
    made = [maker_of(kind)(text, f"m-{text}") for text in ("first", "then")]
    for message in made:
        known.know_text(message, put)
    assert [known.of(SERDE, message) for message in made] == [put, put]

    first, then = made
    first.additional_kwargs["seen"] = True
    then.content = "Else."
    digests = [digest_of(SERDE, message) for message in made]
    assert [known.of(SERDE, message) for message in made] == digests


@settings(max_examples=60, deadline=None)
@given(messages)
def test_the_neutral_side_can_always_be_stored(message: BaseMessage) -> None:
    turn = turn_of_message(SERDE, message)

    encode_json("parts", turn.parts or [], 1 << 20, 64)
    assert turn.content is None or plain_text(turn.content) == turn.content


@settings(max_examples=60, deadline=None)
@given(branches, payloads_of_others)
def test_a_payload_of_others_is_not_taken_for_a_message(
    turns: list[Turn], payload: bytes
) -> None:
    assert kept_in(SERDE, named(turns, payload, FORMAT)) == kept_in(SERDE, turns)


def test_a_message_as_it_was_kept_before_is_read() -> None:
    said = HumanMessage("Which?", id="m-1", additional_kwargs={"n": 1})
    type_, data = SERDE.dumps_typed(said)
    whole = type_.encode() + b"\0" + data
    told = [
        TurnInput("user", "Which?", payload=whole, payload_format=FORMAT),
        TurnInput(
            "user",
            "When?",
            external_id="m-2",
            payload=b'{"id": "m-2"}',
            payload_format=FORMAT,
        ),
    ]

    kept = kept_in(SERDE, list(map(unsaved, told)))
    assert [one.message for one in kept] == [said, HumanMessage("When?", id="m-2")]
