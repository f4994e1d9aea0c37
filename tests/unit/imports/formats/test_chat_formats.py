"""`messages` and `sharegpt`: what each message becomes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from convstore.errors import InvalidInputError
from convstore.imports.registry import load_format
from convstore.vocabulary.records import InteractionInput, TurnInput
from tests.unit.imports.inverse.formats import to_record

MESSAGES = load_format("messages")
SHAREGPT = load_format("sharegpt")
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def one_turn(message: dict[str, Any]) -> TurnInput:
    turn: TurnInput = MESSAGES.parse({"messages": [message]}).turns[0]
    return turn


def test_a_conversation_with_tools_becomes_turns() -> None:
    session = MESSAGES.parse(
        {
            "messages": [
                {"role": "user", "content": "Hoe laat?"},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "12:00"},
                {"role": "assistant", "content": "Twaalf uur 🕛", "weight": 1},
            ],
            "tools": TOOLS,
        }
    )

    assert session.turns == (
        TurnInput("user", "Hoe laat?", external_id="import:1"),
        TurnInput("assistant", None, parts=[CALL], tools=TOOLS, external_id="import:2"),
        TurnInput("tool", "12:00", tool_call_id="c1", name="f", external_id="import:3"),
        TurnInput(
            "assistant",
            "Twaalf uur 🕛",
            tools=TOOLS,
            metadata={"weight": 1},
            external_id="import:4",
        ),
    )
    assert session.metadata == {"import": {"format": "messages"}}
    assert session.interactions == ()
    assert session.head_seq is None


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ("developer", "system"),
        ("human", "user"),
        ("prompter", "user"),
        ("gpt", "assistant"),
        ("GPT", "assistant"),
        ("function_call", "assistant"),
        ("observation", "tool"),
        ("function", "tool"),
    ],
)
def test_the_roles_of_other_tools_are_mapped_and_kept(given: str, role: str) -> None:
    turn = one_turn({"role": given, "content": "x"})

    assert turn.role == role
    assert turn.metadata == {"import": {"role": given}}


def test_a_role_that_nobody_knows_stays() -> None:
    turn = one_turn({"role": "Chair", "content": "Order!"})

    assert (turn.role, turn.metadata) == ("Chair", {})


def test_content_parts_are_kept_and_their_text_is_the_content() -> None:
    parts = [
        {"type": "text", "text": "What is "},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
        {"type": "text", "text": "this?"},
    ]

    turn = one_turn({"role": "user", "content": parts})

    assert turn.content == "What is this?"
    assert turn.parts == parts
    assert turn.metadata == {"import": {"content_parts": 3}}


def test_the_first_form_of_a_call_becomes_a_part() -> None:
    turn = one_turn(
        {"role": "assistant", "content": None, "function_call": {"name": "f"}}
    )

    assert turn.parts == [{"type": "function", "function": {"name": "f"}}]


def test_what_is_known_of_the_session_is_read() -> None:
    record = {
        "messages": [
            {"role": "user", "content": "x", "timestamp": "2026-03-01T12:00Z"}
        ],
        "conversation_id": "c-7",
        "user_id": "u-1",
        "lang": "nl",
        "title": "t" * 300,
        "tags": ["a", "b", "a"],
        "created_at": "2026-03-01T13:00:00+01:00",
        "import": "ours?",
    }

    session = MESSAGES.parse(record)

    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert session.session_id == "c-7"
    assert (session.user_id, session.language) == ("u-1", "nl")
    assert session.title == "t" * 199 + "…"
    assert session.tags == ("a", "b")
    assert session.created_at == session.turns[0].created_at == noon
    assert session.metadata["title"] == "t" * 300
    assert session.metadata["import"] == {"format": "messages", "field": "ours?"}


def test_a_reward_is_feedback_by_code() -> None:
    record = {"traj": [{"role": "user", "content": "x"}], "reward": 1, "task_id": 3}

    session = MESSAGES.parse(record)

    assert session.interactions == (
        InteractionInput(
            "feedback", score=1.0, actor_kind="code", external_id="import:1"
        ),
    )
    assert session.metadata["task_id"] == 3


def test_tools_as_text_are_read_and_the_text_is_kept() -> None:
    text = '[{"name": "f", "parameters": {"z": 1, "a": 2}}]'
    record = {
        "conversations": [
            {"from": "human", "value": "x"},
            {"from": "gpt", "value": "y"},
        ],
        "tools": text,
    }

    session = SHAREGPT.parse(record)

    assert session.metadata["tools"] == text
    assert session.turns[0].tools is None
    tools = session.turns[1].tools
    assert tools is not None
    assert list(tools[0]["parameters"]) == ["z", "a"]


@pytest.mark.parametrize("text", ["not json", "{}", "", "[]"])
def test_tools_that_are_no_list_stay_in_the_metadata(text: str) -> None:
    record = {"conversations": [{"from": "gpt", "value": "y"}], "tools": text}

    session = SHAREGPT.parse(record)

    assert session.turns[0].tools is None
    assert session.metadata["tools"] == text


def test_calls_and_observations_of_sharegpt_find_each_other() -> None:
    call = '{"name": "area", "arguments": {"sides": [5, 3]}}'
    session = SHAREGPT.parse(
        {
            "system": "Be brief.",
            "conversations": [
                {"from": "human", "value": "5 by 3?"},
                {"from": "function_call", "value": call},
                {"from": "observation", "value": '{"area": 15}'},
                {"from": "gpt", "value": "15"},
            ],
        }
    )

    function = {"name": "area", "arguments": {"sides": [5, 3]}}
    part = {"id": "call_3", "type": "function", "function": function}
    assert [turn.role for turn in session.turns] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert session.turns[2].content is None
    assert session.turns[2].parts == [part]
    assert session.turns[3].tool_call_id == "call_3"


def test_several_calls_at_once_are_answered_in_order() -> None:
    session = SHAREGPT.parse(
        {
            "conversations": [
                {"from": "function_call", "value": '[{"name":"f"},{"name":"g"}]'},
                {"from": "observation", "value": "1"},
                {"from": "observation", "value": "2"},
                {"from": "observation", "value": "3"},
            ]
        }
    )

    ids = [turn.tool_call_id for turn in session.turns]
    assert ids == [None, "call_1", "call_1_2", None]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "record: must be an object, not null"),
        ([], "record: must be an object, not a list"),
        ({}, "record: has none of messages, traj, conversation, conversations"),
        ({"messages": []}, "messages: is empty"),
        ({"messages": "x"}, "messages: must be a list, not text"),
        ({"messages": [1]}, "messages[0]: must be an object, not a number"),
        ({"messages": [{}]}, "messages[0].role: must be text, not null"),
        ({"traj": [{"role": ""}]}, "traj[0].role: is empty"),
        (
            {"messages": [{"role": "user", "content": True}]},
            "messages[0].content: must be text, null or a list, not a boolean",
        ),
        (
            {"messages": [{"role": "user", "tool_calls": ["x"]}]},
            "messages[0].tool_calls[0]: must be an object, not text",
        ),
    ],
)
def test_a_record_without_messages_is_refused_by_field(
    record: Any, message: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        MESSAGES.parse(record)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("key", "name"), [("rejected", "preference"), ("kto_tag", "kto")]
)
def test_a_judged_row_is_not_taken_for_a_plain_one(key: str, name: str) -> None:
    record = {"conversations": [{"from": "human", "value": "x"}], key: True}

    with pytest.raises(InvalidInputError, match=f"import it as {name}"):
        SHAREGPT.parse(record)


def test_the_derived_id_is_that_of_the_content() -> None:
    record = {"a": 1, "messages": [{"content": "x", "role": "user"}], "id": "0"}
    same = {"id": "0", "messages": [{"role": "user", "content": "x"}], "a": 1}
    other = {**record, "a": 2}

    ids = [MESSAGES.parse(r).session_id for r in (record, same, other)]

    assert ids[0] == ids[1] == "import-7d371e72a669855d6158b2220061de5e"
    assert ids[2] != ids[0]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_what_an_assistant_thought_is_a_part_of_its_turn(key: str) -> None:
    message = {"role": "assistant", "content": "4", "tool_calls": [CALL], key: "2 + 2"}

    turn = one_turn(message)

    assert turn.content == "4"
    assert turn.parts == [CALL, {"type": "reasoning", "text": "2 + 2"}]
    assert to_record(MESSAGES, MESSAGES.parse({"messages": [message]})) == {
        "messages": [message]
    }


def test_thoughts_of_no_kind_that_is_known_stay_as_they_are() -> None:
    message = {"role": "assistant", "content": "4", "reasoning": {"effort": "low"}}

    turn = one_turn(message)

    assert turn.parts is None
    assert turn.metadata["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [
        ("Q", "A"),
        ([{"role": "user", "content": "Q"}], [{"role": "assistant", "content": "A"}]),
    ],
)
def test_a_prompt_and_its_completion_are_a_conversation(
    prompt: Any, completion: Any
) -> None:
    record = {"prompt": prompt, "completion": completion, "source": "x"}

    session = MESSAGES.parse(record)

    said = [(turn.role, turn.content) for turn in session.turns]
    assert said == [("user", "Q"), ("assistant", "A")]
    assert session.interactions == ()
    assert to_record(MESSAGES, session) == record
