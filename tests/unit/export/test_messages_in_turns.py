"""A message that was stored in many turns is one message in every data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convstore.export.options import ExportOptions, Judging
from convstore.export.stages.job import run_export
from tests.unit.export.samples import (
    STARS,
    WEATHER_TOOLS,
    Chat,
    exported,
    reasons,
    rows,
)

CONVERSATIONS = ("messages", "openai-sft")


def asked(text: str = "Weather in Paris and Lyon?") -> Chat:
    chat = Chat()
    chat.user(text, tools=WEATHER_TOOLS)
    return chat


def call(chat: Chat, call_id: str, **fields: Any) -> int:
    arguments = json.dumps({"city": call_id})
    return chat.call("get_weather", arguments, call_id, tools=WEATHER_TOOLS, **fields)


def result(chat: Chat, call_id: str, text: str = "sunny") -> int:
    return chat.turn("tool", text, tool_call_id=call_id)


def shape(messages: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(m["role"], len(m.get("tool_calls", ()))) for m in messages]


def two_calls() -> Chat:
    chat = asked()
    call(chat, "c1")
    call(chat, "c2")
    result(chat, "c2")
    result(chat, "c1")
    chat.assistant("Sunny in both.", tools=WEATHER_TOOLS)
    return chat


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_two_calls_in_two_turns_are_one_message(name: str) -> None:
    (row,) = exported([two_calls().document()], name)

    assert shape(row["messages"]) == [
        ("user", 0),
        ("assistant", 2),
        ("tool", 0),
        ("tool", 0),
        ("assistant", 0),
    ]
    told = [m["tool_call_id"] for m in row["messages"] if m["role"] == "tool"]
    assert told == ["c2", "c1"]


@pytest.mark.parametrize("name", ["prompt-completion", "kto", "sharegpt-kto"])
def test_a_judged_answer_behind_two_calls_is_a_row(name: str) -> None:
    chat = two_calls()
    chat.up(6)

    found = exported([chat.document()], name)

    if name == "sharegpt-kto":
        assert found == []  # Two results in a row: counted as not-alternating.
    else:
        assert shape(found[0]["prompt"])[1] == ("assistant", 2)
        assert found[0]["completion"][0]["content"] == "Sunny in both."


def test_a_thought_and_an_answer_in_two_turns_are_one_message() -> None:
    chat = Chat()
    chat.user("What is 2 + 2?")
    summary = [{"type": "summary_text", "text": "Two and two."}]
    chat.assistant(None, parts=[{"type": "reasoning", "summary": summary}])
    chat.up(chat.assistant("4"))

    whole = {"role": "assistant", "content": "4", "reasoning_content": "Two and two."}
    (sft,) = exported([chat.document()], "messages")
    (judged,) = exported([chat.document()], "kto")

    assert sft["messages"][1:] == judged["completion"] == [whole]
    assert len(judged["prompt"]) == 1


def text_and_call(*, answered: bool) -> Chat:
    chat = asked()
    chat.assistant("I look.", tools=WEATHER_TOOLS)
    call(chat, "c1")
    if answered:
        result(chat, "c1")
        chat.assistant("Sunny.", tools=WEATHER_TOOLS)
    return chat


def test_a_text_and_then_a_call_are_one_message() -> None:
    (row,) = exported([text_and_call(answered=True).document()], "messages")

    assert shape(row["messages"])[1] == ("assistant", 1)
    assert row["messages"][1]["content"] == "I look."


def test_no_row_ends_before_the_call_that_its_answer_makes() -> None:
    for answered in (True, False):
        chat = text_and_call(answered=answered)
        chat.up(2)
        for name in ("messages", "kto", "prompt-completion", "openai-sft"):
            for row in exported([chat.document()], name):
                said = row.get("completion") or row["messages"]
                assert not any(
                    m["content"] == "I look." and "tool_calls" not in m for m in said
                )


def test_a_liked_text_is_liked_with_its_call() -> None:
    chat = text_and_call(answered=True)
    chat.up(2)

    (row,) = exported([chat.document()], "kto")

    assert shape(row["completion"]) == [("assistant", 1)]


def test_a_disliked_part_of_a_message_keeps_the_whole_from_being_imitated() -> None:
    chat = text_and_call(answered=True)
    chat.up(2)
    chat.down(3, actor_id="critic")

    assert exported([chat.document()], "prompt-completion") == []


UNANSWERED: dict[str, Callable[[Chat], Any]] = {
    "at the end": lambda chat: None,
    "somebody went on": lambda chat: (chat.user("Hello?"), chat.assistant("Yes?")),
    "one of two": lambda chat: (
        call(chat, "c2"),
        result(chat, "c2"),
        chat.assistant("Half."),
    ),
    "too late": lambda chat: (
        chat.user("Hello?"),
        result(chat, "c1"),
        chat.assistant("Sunny."),
    ),
}


@pytest.mark.parametrize("how", UNANSWERED)
def test_a_call_that_nobody_answered_is_in_no_row_and_counted(
    tmp_path: Path, how: str
) -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.assistant("Hello.")
    chat.user("Weather?", tools=WEATHER_TOOLS)
    unanswered = call(chat, "c1")
    last = UNANSWERED[how](chat)
    chat.up(unanswered)
    if last is not None:
        chat.up(last[-1])

    names = ["messages", "openai-sft", "sharegpt", "kto", "prompt-completion", "prompt"]
    report = run_export([chat.document()], names, tmp_path / "out")

    for told in report.formats:
        counted = told.dropped.get("call-without-result", 0)
        assert counted or (told.format == "prompt" and "c1" not in str(last)), told
    for name in names:
        lines = (tmp_path / "out" / name / "data").glob("*.jsonl")
        assert not any(b"tool_calls" in line.read_bytes() for line in lines)


def test_a_result_that_is_delivered_twice_is_a_fault() -> None:
    chat = two_calls()
    chat.turn("tool", "sunny", tool_call_id="c1", parent_seq=5)
    chat.up(chat.assistant("Sunny.", tools=WEATHER_TOOLS))

    assert reasons(chat, "R1") == ["double-result"]


def test_a_pair_compares_whole_messages() -> None:
    chat = asked()
    good = chat.assistant("I look.", tools=WEATHER_TOOLS)
    call(chat, "c1")
    result(chat, "c1")
    bad = chat.assistant("No idea.", parent_seq=1, tools=WEATHER_TOOLS)
    chat.act("choose", chosen=good, rejected=(bad,))

    (row,) = rows(chat, "R6")

    assert shape(list(row.answer)) == [("assistant", 1)]
    assert shape(list(row.rejected)) == [("assistant", 0)]


def test_ratings_of_answers_behind_their_thoughts_are_compared() -> None:
    chat = Chat()
    chat.user("What is 2 + 2?")
    for score, text in ((5.0, "4"), (1.0, "5")):
        thought = [{"type": "thinking", "thinking": text}]
        chat.assistant(None, parts=thought, parent_seq=1)
        turn = chat.assistant(text)
        chat.act("feedback", turn_seq=turn, score=score, metadata=STARS)

    (row,) = rows(chat, "R7", ExportOptions(judging=Judging()))

    assert (row.answer[0]["content"], row.rejected[0]["content"]) == ("4", "5")
    assert [m["role"] for m in row.prompt] == ["user"]


def test_results_that_a_client_tells_as_the_users_are_results() -> None:
    chat = asked()
    use = {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {}}
    chat.assistant("I look.", parts=[use], tools=WEATHER_TOOLS)
    answers = [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}]
    chat.turn("user", None, parts=answers)
    chat.assistant("Sunny.", tools=WEATHER_TOOLS)

    (row,) = exported([chat.document()], "messages")

    assert shape(row["messages"]) == [
        ("user", 0),
        ("assistant", 1),
        ("tool", 0),
        ("assistant", 0),
    ]


def test_a_tree_has_no_answer_without_the_call_that_it_makes() -> None:
    (tree,) = exported([text_and_call(answered=True).document()], "oasst")

    assert tree["prompt"]["replies"] == []


def test_a_tree_tells_a_thought_and_its_answers_as_answers() -> None:
    chat = Chat()
    chat.user("What is 2 + 2?")
    thought = chat.assistant(None, parts=[{"type": "reasoning", "text": "Hm."}])
    chat.assistant("4")
    chat.assistant("Four", parent_seq=thought)

    (tree,) = exported([chat.document()], "oasst")

    assert [node["text"] for node in tree["prompt"]["replies"]] == ["4", "Four"]
