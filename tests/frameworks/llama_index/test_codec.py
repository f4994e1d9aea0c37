"""Messages of LlamaIndex become turns, and come back as they were."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    ChatMessage,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from convstore.adapters.llama_index import (
    _messages,
    _plain_message,
    _plain_turn,
    _turn,
    _whole_turn,
)
from convstore.messages.llama_messages import FORMAT, grouped, message_of, turn_of
from convstore.messages.neutral import plain_text, unsaved
from convstore.messages.plain import told
from convstore.vocabulary.codec import encode_json
from convstore.vocabulary.records import Turn, TurnInput
from tests.frameworks.neutral_turns import branches, named, payloads_of_others

text = st.text(st.characters(codec=None), max_size=12)
leaves = st.none() | st.booleans() | st.integers() | text
objects = st.dictionaries(text, leaves | st.lists(leaves, max_size=2), max_size=3)
# LlamaIndex makes no message whose "images" are not documents.
names = text.filter(lambda name: name != "images")
names |= st.sampled_from(["tool_call_id", "name"])
blocks = st.one_of(
    text.map(lambda said: TextBlock(text=said)),
    st.builds(
        ToolCallBlock,
        tool_call_id=st.none() | text,
        tool_name=text,
        tool_kwargs=objects | text,
    ),
    st.builds(ThinkingBlock, content=st.none() | text, additional_information=objects),
)
messages = st.builds(
    ChatMessage,
    role=st.sampled_from(MessageRole),
    blocks=st.lists(blocks, max_size=4),
    additional_kwargs=st.dictionaries(names, leaves, max_size=3),
)


@given(st.lists(messages, max_size=5))
def test_messages_come_back_as_they_were(given_messages: list[ChatMessage]) -> None:
    turns = [unsaved(_turn(message)) for message in given_messages]

    told = [message for group in grouped(turns) for message in group.messages]
    expected = [message.model_dump(mode="json") for message in given_messages]
    again = [
        ChatMessage.model_validate(message).model_dump(mode="json") for message in told
    ]
    assert again == expected


@given(messages)
def test_the_short_way_to_a_turn_is_the_long_way(message: ChatMessage) -> None:
    assert _plain_turn(message) in (None, _whole_turn(message))
    assert _plain_turn(ChatMessage("Three.")) is not None


@given(messages)
def test_the_neutral_side_can_always_be_stored(message: ChatMessage) -> None:
    turn = turn_of(message.model_dump(mode="json"))

    encode_json("parts", turn.parts or [], 1 << 20, 64)
    assert turn.content is None or plain_text(turn.content) == turn.content
    calls = [part for part in turn.parts or [] if part["type"] == "function"]
    expected = [b for b in message.blocks if isinstance(b, ToolCallBlock)]
    assert [call["function"]["name"] for call in calls][: len(expected)] == [
        plain_text(block.tool_name) for block in expected
    ]


@given(
    st.lists(
        st.tuples(st.text(max_size=9).map(plain_text), st.integers(0, 2)), max_size=4
    )
)
def test_what_another_says_in_many_turns_is_one_message(
    pieces: list[tuple[str, int]],
) -> None:
    turns = []
    for number, (said, count) in enumerate(pieces):
        parts: list[Any] = [
            {
                "id": f"c-{number}-{place}",
                "type": "function",
                "function": {"name": "f", "arguments": json.dumps({"n": place})},
            }
            for place in range(count)
        ]
        turns.append(unsaved(TurnInput("assistant", said, parts=parts or None)))

    told = [message for group in grouped(turns) for message in group.messages]
    says = [said for said, count in pieces if said or count]
    assert len(told) == (1 if says else 0)
    if told:
        message = ChatMessage.model_validate(told[0])
        texts = [b.text for b in message.blocks if isinstance(b, TextBlock)]
        assert texts == [said for said, _ in pieces if said]
        calls = [b for b in message.blocks if isinstance(b, ToolCallBlock)]
        assert len(calls) == sum(count for _, count in pieces)


def test_a_plain_message_is_kept_once() -> None:
    asked = _turn(ChatMessage(role="user", content="Which?"))
    answer = _turn(ChatMessage(role="assistant", content="Three."))

    assert (asked.payload, asked.content) == (None, "Which?")
    assert (answer.payload, answer.payload_format) == (b"{}", FORMAT)
    assert message_of(unsaved(answer)) == {
        "role": "assistant",
        "additional_kwargs": {},
        "blocks": [{"block_type": "text", "text": "Three."}],
    }


def test_a_result_without_a_name_gets_none_from_its_call() -> None:
    call = ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs={})
    given_messages = [
        ChatMessage(role="assistant", blocks=[call]),
        ChatMessage(role="tool", content="x", additional_kwargs={"tool_call_id": "c"}),
    ]

    groups = grouped([unsaved(_turn(message)) for message in given_messages])
    told = [ChatMessage.model_validate(m) for group in groups for m in group.messages]
    assert told == given_messages


@given(branches, payloads_of_others)
def test_a_payload_of_others_is_not_taken_for_a_message(
    turns: list[Turn], payload: bytes
) -> None:
    read = grouped(named(turns, payload, FORMAT))

    assert [one.messages for one in read] == [one.messages for one in grouped(turns)]


@given(branches, st.lists(st.sampled_from(["user", "assistant", "system"])))
def test_what_is_nothing_but_text_is_read_as_the_long_way_reads_it(
    others: list[Turn], roles: list[str]
) -> None:
    ours = [unsaved(_turn(ChatMessage("Hm.", role=role))) for role in roles]
    turns = [*others, *ours, *others]

    quick, slow = told(turns, _plain_message, _messages), _messages(turns)

    assert quick == slow
    for one, other in zip(quick, slow, strict=True):
        assert one.model_dump(exclude_unset=True) == other.model_dump(
            exclude_unset=True
        )
    assert len({id(one.additional_kwargs) for one in quick}) == len(quick)
