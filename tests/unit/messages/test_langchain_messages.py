"""LangChain's messages in their JSON form, without LangChain: nothing is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from convstore.imports.langchain_messages import said_of
from convstore.imports.talk import Talk
from convstore.messages.langchain_messages import (
    MOST_INLINE,
    message_of,
    messages_of_turns,
    turn_of,
    without_bytes,
)
from convstore.messages.message import Said, blocks_of
from convstore.messages.neutral import plain_text, unsaved
from convstore.messages.parts import Call
from convstore.vocabulary.codec import encode_json
from convstore.vocabulary.records import Turn, TurnInput

text = st.text(st.characters(codec=None), max_size=8)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | text
words = st.sampled_from(
    "type text content name id args tool_calls function reasoning source data url "
    "base64 mime_type image file tool_use".split()
)
values = st.recursive(
    leaves | words,
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(words | text, each, max_size=4)
    ),
    max_leaves=12,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "content": values,
        "tool_calls": values,
        "invalid_tool_calls": values,
        "additional_kwargs": values,
        "response_metadata": values,
        "usage_metadata": values,
        "name": values,
        "tool_call_id": values,
        "status": st.just("error") | values,
        "role": values,
    },
)
kinds = st.sampled_from("human ai system tool function chat AIMessageChunk".split())


@given(kinds | text, fields)
def test_no_message_is_refused_by_the_neutral_side(
    kind: str, data: dict[str, Any]
) -> None:
    turn = turn_of(kind, data)

    encode_json("parts", turn.parts or [], 1 << 20, 64)
    assert 1 <= len(turn.role) <= 255
    assert turn.content is None or plain_text(turn.content) == turn.content
    for number in (turn.tokens_in, turn.tokens_out):
        assert number is None or 0 < number < 2**63
    # And whatever was stored can be told again.
    message_of(unsaved(turn))
    messages_of_turns([unsaved(turn)])


said = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
calls = st.lists(
    st.builds(dict, name=said, args=st.dictionaries(said, said, max_size=2), id=said),
    max_size=2,
)
thoughts = st.builds(dict, type=st.just("reasoning"), reasoning=said)
texts = st.builds(dict, type=st.just("text"), text=said)


@given(said | st.lists(said | texts | thoughts, max_size=3), calls)
def test_an_import_reads_of_a_message_what_an_adapter_does(
    content: Any, called: list[Any]
) -> None:
    data = {"content": content, "tool_calls": called}
    step = said_of(Talk("langchain", "s"), {"type": "ai", "data": data}, "m", None)

    imported = unsaved(TurnInput(step.role, step.content, parts=step.parts or None))
    assert _told(imported) == _told(unsaved(turn_of("ai", data)))


def _told(turn: Turn) -> list[Any]:
    return [
        (block.id, block.name, block.object())
        if isinstance(block, Call)
        else (block.kind, json.dumps(block.part) if block.kind == "thought" else "")
        for block in blocks_of(turn)
        if not (isinstance(block, Said) and block.kind == "text")
    ] + [turn.role, turn.content or ""]


def test_messages_of_others_have_ids_that_stay() -> None:
    called = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        _turn(3, "user", "Which?"),
        _turn(4, "assistant", None, parts=[called, called]),
        _turn(7, "assistant", "Looking."),
        _turn(8, "tool", "rows"),
    ]

    told = messages_of_turns(turns)
    assert [(one.message["data"]["id"], one.turns) for one in told] == [
        ("turn-3", 1),
        ("turn-7", 3),
        ("turn-8", 4),
    ]
    asked = told[1].message["data"]["tool_calls"]
    assert [call["id"] for call in asked] == ["turn-4", "turn-4.1"]
    assert told[2].message["data"]["tool_call_id"] == "turn-8"


def test_thoughts_of_others_stand_beside_what_they_said() -> None:
    thought = {"type": "reasoning", "text": "Hm."}
    (told,) = messages_of_turns([_turn(1, "assistant", "Three.", parts=[thought])])

    assert told.message["data"]["content"] == "Three."
    more = told.message["data"]["additional_kwargs"]
    assert more == {"reasoning_content": "Hm."}


@pytest.mark.parametrize(
    "data",
    [
        {"additional_kwargs": {"function_call": {"name": "f", "arguments": "{}"}}},
        {
            "additional_kwargs": {
                "tool_calls": [{"id": "", "function": {"name": "f", "arguments": "{}"}}]
            }
        },
        {"content": [{"type": "tool_use", "name": "f", "input": {}}]},
        {"tool_calls": [{"name": "f", "args": {}, "id": None}]},
    ],
)
def test_a_call_is_found_wherever_a_release_put_it(data: dict[str, Any]) -> None:
    turn = turn_of("ai", {"content": "", **data})

    function = {"name": "f", "arguments": "{}"}
    assert turn.parts == [{"id": "", "type": "function", "function": function}]


def test_that_a_tool_failed_comes_back() -> None:
    failed = {"content": "no rows", "tool_call_id": "c-1", "status": "error"}
    turn = turn_of("tool", failed)

    assert (turn.content, turn.tool_call_id) == ("no rows", "c-1")
    assert message_of(unsaved(turn)) == {"type": "tool", "data": failed}


def test_a_picture_beside_its_payload_is_told_without_its_bytes() -> None:
    large = {"type": "image", "base64": "A" * (MOST_INLINE + 4), "mime_type": "x/y"}
    small = {"type": "image", "base64": "AAAA", "mime_type": "x/y"}
    turn = turn_of("human", {"content": [large, small]})

    source = {"type": "base64", "media_type": "x/y"}
    assert without_bytes(turn) == [
        {"type": "image", "source": source},
        {"type": "image", "source": {**source, "data": "AAAA"}},
    ]


def _turn(seq: int, role: str, content: str | None, **more: Any) -> Turn:
    return replace(unsaved(TurnInput(role, content, **more)), seq=seq)
