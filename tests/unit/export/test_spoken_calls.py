"""What happens to tool calls when an export is asked for text, or to leave them out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from convstore.export.options import ExportOptions
from tests.unit.export.samples import WEATHER_TOOLS, Chat, exported

TEXT = ExportOptions(tool_calls="text")
DROP = ExportOptions(tool_calls="drop")


def weather(session_id: str = "s-1", *, system: str | None = None) -> Chat:
    """A question, two calls at once, their results, and a judged answer."""
    chat = Chat(session_id)
    if system is not None:
        chat.turn("system", system)
    chat.user("Weather in Paris and Lyon?", tools=WEATHER_TOOLS)
    calls = [
        {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": "get_weather", "arguments": {"city": city}},
        }
        for n, city in enumerate(("Paris", "Lyon"))
    ]
    chat.assistant("Let me look.", parts=calls, tools=WEATHER_TOOLS)
    chat.turn("tool", "sunny", tool_call_id="c0", name="get_weather")
    chat.turn("tool", "rainy", tool_call_id="c1", name="get_weather")
    chat.up(chat.assistant("Sunny in Paris, rainy in Lyon.", tools=WEATHER_TOOLS))
    return chat


def said(row: dict[str, Any], column: str) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]) for m in row[column]]


def test_calls_and_results_become_text_in_turns() -> None:
    (row,) = exported([weather().document()], "messages", TEXT)

    roles = [message["role"] for message in row["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    assert all(message.keys() == {"role", "content"} for message in row["messages"])
    assert "tools" not in row
    call = '{"name":"get_weather","arguments":{"city":"Paris"}}'
    assert said(row, "messages")[2][1].startswith(
        f"Let me look.\n<tool_call>\n{call}\n</tool_call>\n<tool_call>\n"
    )
    assert said(row, "messages")[3][1] == (
        "<tool_response>\nsunny\n</tool_response>\n"
        "<tool_response>\nrainy\n</tool_response>"
    )


def test_definitions_follow_the_system_text_that_is_there() -> None:
    (row,) = exported([weather(system="Be brief.").document()], "messages", TEXT)

    role, text = said(row, "messages")[0]
    assert role == "system"
    assert text.startswith("Be brief.\n\n# Tools\n")
    told = text.split("<tools>\n")[1].split("\n</tools>")[0]
    assert [json.loads(line) for line in told.splitlines()] == WEATHER_TOOLS


def test_a_prompt_with_results_ends_with_what_the_user_side_says() -> None:
    (row,) = exported([weather().document()], "kto", TEXT)

    assert said(row, "prompt")[-1][0] == "user"
    assert said(row, "completion") == [("assistant", "Sunny in Paris, rainy in Lyon.")]


def test_what_follows_a_result_joins_it() -> None:
    chat = Chat()
    chat.user("Weather?", tools=WEATHER_TOOLS)
    chat.call("get_weather", '{"city": "Paris"}', tools=WEATHER_TOOLS)
    chat.turn("tool", "sunny", tool_call_id="c1", name="get_weather")
    chat.user("Never mind.")
    chat.assistant("All right.", tools=WEATHER_TOOLS)

    (row,) = exported([chat.document()], "messages", TEXT)

    assert said(row, "messages")[3] == (
        "user",
        "<tool_response>\nsunny\n</tool_response>\nNever mind.",
    )


def test_a_pair_whose_answers_hold_results_is_left_out() -> None:
    chat = Chat()
    question = chat.user("Weather?", tools=WEATHER_TOOLS)
    answers = []
    for city, said_ in (("Paris", "sunny"), ("Lyon", "rainy")):
        chat.call(
            "get_weather",
            json.dumps({"city": city}),
            parent_seq=question,
            tools=WEATHER_TOOLS,
        )
        chat.turn("tool", said_, tool_call_id="c1", name="get_weather")
        answers.append(chat.assistant(f"It is {said_}.", tools=WEATHER_TOOLS))
    chat.act("choose", chosen=answers[0], rejected=(answers[1],))
    document = chat.document()

    assert len(exported([document], "preference")) == 1
    assert exported([document], "preference", TEXT) == []


def test_a_disliked_answer_is_still_the_one_not_trained_on() -> None:
    chat = weather(system=None)
    chat.user("And in Nice?")
    bad = chat.assistant("No idea, friend.", tools=WEATHER_TOOLS)
    chat.down(bad)
    chat.user("Then in Brest?")
    chat.assistant("Windy.", tools=WEATHER_TOOLS)

    (row,) = exported([chat.document()], "openai-sft", TEXT)

    weights = {
        m["content"]: m["weight"] for m in row["messages"] if m["role"] == "assistant"
    }
    assert weights["No idea, friend."] == 0
    assert weights["Windy."] == 1


@pytest.mark.parametrize("name", ["messages", "kto", "prompt-completion", "openai-sft"])
def test_drop_leaves_out_rows_that_call_tools_and_no_others(name: str) -> None:
    plain = Chat("s-2")
    plain.user("Hello?", tools=WEATHER_TOOLS)
    plain.up(plain.assistant("Good day.", tools=WEATHER_TOOLS))
    documents = [weather().document(), plain.document()]

    assert len(exported(documents, name)) == 2
    (row,) = exported(documents, name, DROP)
    assert "Good day." in json.dumps(row)


def test_rows_without_tools_are_the_same_bytes_either_way() -> None:
    plain = Chat()
    plain.user("Hello?")
    plain.up(plain.assistant("Good day."))

    rows = [
        exported([plain.document()], "messages", options)
        for options in (ExportOptions(), TEXT, DROP)
    ]

    assert rows[0] == rows[1] == rows[2]


def test_the_text_profile_takes_calls_told_as_text() -> None:
    options = ExportOptions(tool_calls="text", profile="text")

    assert len(exported([weather().document()], "messages", options)) == 1
    plain = ExportOptions(profile="text")
    assert exported([weather().document()], "messages", plain) == []
