"""Turns in the shapes of three clients, held against the clients' own types."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from convstore import InvalidInputError, Turn
from convstore.gateway import (
    since_idle,
    to_anthropic_messages,
    to_dspy_history,
    to_dspy_messages,
    to_messages,
)
from convstore.messages.message import LeftOut
from tests.summary import needs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = {field.name: None for field in dataclasses.fields(Turn)}
CALL = {
    "type": "function",
    "id": "c-1",
    "function": {"name": "find", "arguments": '{"place": "Enschede"}'},
}
TOOL_USE = {
    "type": "tool_use",
    "id": "c-1",
    "name": "find",
    "input": {"place": "Enschede"},
}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}


def turn(role: str, content: str | None = None, **fields: Any) -> Turn:
    given = {"session_id": "s", "seq": 1, "metadata": {}, "created_at": NOW, **fields}
    return Turn(**{**FIELDS, "role": role, "content": content, **given})


def result(content: str = "three", call: str | None = "c-1") -> Turn:
    return turn("tool", content, tool_call_id=call)


ANSWERED = [
    turn("system", "Be brief."),
    turn("user", "Which archives?", resolved_question="Which archives in Enschede?"),
    turn("assistant", "I look.", parts=[CALL]),
    result(),
    turn("user", "Thanks", parts=[PICTURE]),
    turn("assistant", "Welcome"),
]


def test_the_messages_for_openai_have_its_types() -> None:
    types = needs("openai.types.chat")
    from pydantic import TypeAdapter

    messages = to_messages(ANSWERED)

    TypeAdapter(list[types.ChatCompletionMessageParam]).validate_python(messages)
    assert messages[2]["tool_calls"] == [CALL]
    assert messages[3]["tool_call_id"] == "c-1"


def test_the_messages_for_anthropic_have_its_types() -> None:
    types = needs("anthropic.types")
    from pydantic import ConfigDict, TypeAdapter

    request = to_anthropic_messages(ANSWERED)

    adapter = TypeAdapter(
        list[types.MessageParam], config=ConfigDict(arbitrary_types_allowed=True)
    )
    adapter.validate_python(request.messages)
    TypeAdapter(list[types.TextBlockParam]).validate_python(request.system)


def test_anthropic_gets_system_apart_and_results_behind_their_call() -> None:
    request = to_anthropic_messages(ANSWERED)

    assert request.system == [{"type": "text", "text": "Be brief."}]
    assert request.messages == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Which archives in Enschede?"}],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "I look."}, TOOL_USE],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c-1", "content": "three"},
                {"type": "text", "text": "Thanks"},
                {
                    "type": "image",
                    "source": {
                        "type": "base64",
                        "media_type": "image/png",
                        "data": "QQ==",
                    },
                },
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Welcome"}]},
    ]


def test_what_anthropic_said_goes_back_verbatim() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "x"}
    parts = [thinking, {"type": "text", "text": "I look."}, TOOL_USE]
    answer = {
        "type": "tool_result",
        "tool_use_id": "c-1",
        "content": [{"type": "text", "text": "gone"}],
        "is_error": True,
    }

    request = to_anthropic_messages(
        [
            turn("user", "Hi"),
            turn("assistant", parts=parts),
            turn("user", parts=[answer]),
        ]
    )

    assert request.messages[1]["content"] == parts
    assert request.messages[2]["content"] == [answer]


def test_calls_of_the_responses_api_become_tool_uses() -> None:
    call = {
        "type": "function_call",
        "id": "fc-1",
        "call_id": "c-1",
        "name": "find",
        "arguments": '{"place": "Enschede"}',
    }
    output = {"type": "function_call_output", "call_id": "c-1", "output": "three"}

    request = to_anthropic_messages(
        [
            turn("user", "Hi"),
            turn("assistant", parts=[call]),
            turn("tool", parts=[output]),
        ]
    )

    assert request.messages[1]["content"] == [TOOL_USE]
    assert request.messages[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c-1", "content": "three"}
    ]


@pytest.mark.parametrize("arguments", ["{broken", "[1]", "7"])
def test_arguments_that_are_no_object_stand_in_one(arguments: str) -> None:
    call = {**CALL, "function": {"name": "find", "arguments": arguments}}

    request = to_anthropic_messages(
        [turn("user", "Hi"), turn("assistant", parts=[call]), result()]
    )

    assert request.messages[1]["content"][0]["input"] == {"arguments": arguments}


def test_a_call_that_nobody_answered_is_left_out_and_told() -> None:
    open_call = [turn("user", "Hi"), turn("assistant", "I look.", parts=[CALL], seq=2)]

    waiting = to_anthropic_messages(open_call)
    gone_on = to_anthropic_messages([*open_call, turn("user", "Hello?")])

    looked = {"role": "assistant", "content": [{"type": "text", "text": "I look."}]}
    assert waiting.messages[1] == gone_on.messages[1] == looked
    assert waiting.left_out == gone_on.left_out == (LeftOut("call-without-result", 2),)


def test_a_result_without_a_call_is_left_out_and_told() -> None:
    request = to_anthropic_messages([turn("user", "Hi"), result(call="other")])

    assert request.messages == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    ]
    assert request.left_out == (LeftOut("result-without-call", 1),)


def test_a_result_without_an_id_answers_the_oldest_open_call() -> None:
    request = to_anthropic_messages(
        [turn("user", "Hi"), turn("assistant", parts=[CALL]), result(call=None)]
    )

    assert request.messages[2]["content"][0]["tool_use_id"] == "c-1"


def test_the_user_speaks_first_and_blanks_are_left_out() -> None:
    request = to_anthropic_messages(
        [turn("assistant", "Welcome!"), turn("user", "  "), turn("user", "Hi")]
    )

    assert request.messages == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    ]


def test_a_dspy_message_is_an_exchange_under_the_names_of_a_signature() -> None:
    asked = [*ANSWERED, turn("user", "And now?")]

    messages = to_dspy_messages(asked, {"user": "query", "assistant": "reply"})

    assert messages == [
        {"query": "Which archives in Enschede?", "reply": "I look."},
        {"query": "Thanks", "reply": "Welcome"},
    ]


def test_the_last_text_of_an_exchange_is_its_answer() -> None:
    messages = to_dspy_messages(
        [
            turn("user", "q"),
            turn("assistant", "I look."),
            result(),
            turn("assistant", "a"),
        ]
    )

    assert messages == [{"question": "q", "answer": "a"}]


def test_a_field_map_without_user_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        to_dspy_messages([], {"assistant": "answer"})
    with pytest.raises(InvalidInputError):
        to_dspy_messages([], {"user": "x", "assistant": "x"})


def test_without_dspy_the_history_is_a_dict_of_its_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("convstore.messages.dspy.find_spec", lambda name: None)

    history = to_dspy_history(ANSWERED)

    assert history == {"messages": to_dspy_messages(ANSWERED)}


@pytest.mark.trainers
def test_dspy_puts_the_history_before_the_question() -> None:
    import dspy

    ask = dspy.Signature(
        {
            "history": (dspy.History, dspy.InputField()),
            "query": (str, dspy.InputField()),
            "reply": (str, dspy.OutputField()),
        }
    )
    fields = {"user": "query", "assistant": "reply"}
    history = to_dspy_history(ANSWERED, fields)

    assert type(history) is dspy.History
    asked = dspy.ChatAdapter().format(ask, [], {"history": history, "query": "Why?"})
    said = [(m["role"], m["content"]) for m in asked[1:]]
    known = to_dspy_messages(ANSWERED, fields)
    assert [role for role, _ in said] == ["user", "assistant"] * len(known) + ["user"]
    for (_, question), (_, answer), exchange in zip(
        said[0::2], said[1::2], known, strict=False
    ):
        assert exchange["query"] in question
        assert exchange["reply"] in answer
    assert "Why?" in said[-1][1]
    # DSPy writes this where a message lacks a field of the signature.
    assert "Not supplied" not in str(asked)


def at(*minutes: float, **fields: Any) -> list[Turn]:
    return [
        turn("user", seq=seq, created_at=NOW + timedelta(minutes=each), **fields)
        for seq, each in enumerate(minutes, 1)
    ]


def test_a_silence_begins_the_view_anew() -> None:
    turns = at(0, 10, 41, 50)

    assert since_idle(turns, NOW + timedelta(minutes=60), 1_800) == tuple(turns[2:])
    assert since_idle(turns, NOW + timedelta(minutes=80), 1_800) == tuple(turns[2:])
    assert since_idle(turns, NOW + timedelta(minutes=80.1), 1_800) == ()
    assert since_idle([], NOW) == ()


def test_a_slow_tool_does_not_part_a_call_from_its_result() -> None:
    turns = at(0, 10, 60)
    turns[1] = dataclasses.replace(turns[1], role="assistant", parts=[CALL])
    turns[2] = dataclasses.replace(turns[2], role="tool", tool_call_id="c-1")

    assert since_idle(turns, NOW + timedelta(minutes=61), 1_800) == tuple(turns[1:])


@pytest.mark.parametrize("idle_ttl_s", [0, -1, float("nan")])
def test_no_time_to_live_is_refused(idle_ttl_s: float) -> None:
    with pytest.raises(InvalidInputError):
        since_idle([], NOW, idle_ttl_s)
