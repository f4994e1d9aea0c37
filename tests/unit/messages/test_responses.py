"""Items of the Responses API as turns, and turns as items."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.db.codec.inputs import encode_turn
from convstore.messages.neutral import plain_parts, unsaved
from convstore.messages.responses import OTHER_ROLE, items_of, turn_of
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import TurnInput

CALL = {
    "type": "function_call",
    "call_id": "c-1",
    "name": "weather",
    "arguments": '{"city":"Utrecht"}',
}
PICTURE = {"type": "input_image", "image_url": "https://e.org/1.png", "detail": "auto"}
SAID = {"type": "input_text", "text": "What is this?"}
SAME = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [SAID, PICTURE]},
    CALL,
    {"type": "custom_tool_call", "call_id": "c-2", "name": "sh", "input": "ls"},
    {"type": "function_call_output", "call_id": "c-1", "output": "rain"},
    {"type": "function_call_output", "call_id": "c-1", "output": [SAID, PICTURE]},
]
texts = st.text(st.characters(exclude_categories=())) | st.just("\x00\ud800")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda some: st.lists(some, max_size=3) | st.dictionaries(texts, some, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(
    "message reasoning function_call function_call_output custom_tool_call "
    "custom_tool_call_output web_search_call compaction input_text".split()
)
fields = {
    "type": kinds | values,
    "role": st.sampled_from(["user", "assistant", "tool"]) | values,
    **dict.fromkeys(
        "content output arguments input name call_id summary text id".split(), values
    ),
}
items = st.fixed_dictionaries({}, optional=fields)


@pytest.mark.parametrize(
    "item", SAME, ids=lambda item: item.get("type", item.get("role"))
)
def test_a_plain_item_is_told_whole_by_the_columns(item: dict[str, Any]) -> None:
    assert items_of(unsaved(turn_of(item))) == [item]


@given(items)
def test_no_item_is_refused(item: dict[str, Any]) -> None:
    turn = turn_of(item)

    encode_turn(Limits(), turn, 0)
    items_of(unsaved(turn))


def test_what_the_model_thought_and_called_is_an_assistants() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}

    assert turn_of(thought) == TurnInput(
        "assistant", parts=[{"type": "reasoning", "text": "Hm"}]
    )
    assert turn_of({"type": "web_search_call"}) == TurnInput("assistant")
    assert turn_of({"__enc__": 1}) == TurnInput(OTHER_ROLE)


def test_an_answer_with_two_calls_is_three_items() -> None:
    calls = [
        {
            "id": f"c-{n}",
            "type": "function",
            "function": {"name": "weather", "arguments": "{}"},
        }
        for n in (1, 2)
    ]

    told = items_of(unsaved(TurnInput("assistant", "Looking.", parts=calls)))

    assert told[0] == {"role": "assistant", "content": "Looking."}
    assert [item["call_id"] for item in told[1:]] == ["c-1", "c-2"]


def test_a_result_in_the_words_of_a_user_is_a_result() -> None:
    part = {"type": "tool_result", "tool_use_id": "c-1", "content": "rain"}

    told = items_of(unsaved(TurnInput("user", parts=[part])))

    assert told == [
        {"type": "function_call_output", "call_id": "c-1", "output": "rain"}
    ]


def test_a_picture_in_the_shape_of_chat_completions_is_one_of_responses() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://e.org/1.png"}}

    told = items_of(unsaved(TurnInput("user", "What is this?", parts=[part])))

    assert told == [{"role": "user", "content": [SAID, PICTURE]}]


def test_parts_that_no_database_holds_are_left_out() -> None:
    assert plain_parts([{"n": 2**70}, {"n": 1}, {"t": "\x00"}, float("nan")]) == [
        {"n": 1}
    ]
    assert plain_parts([{"n": 2**70}]) is None
