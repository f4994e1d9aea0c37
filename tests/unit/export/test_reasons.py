"""What makes no row is counted under the reason that the page explains."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from convstore.export.options import ExportOptions, Filters, Judging
from convstore.export.stages.job import run_export
from tests.unit.export.samples import STARS, START, WEATHER_TOOLS, Chat


def dropped(
    folder: Path, chat: Chat, name: str, options: ExportOptions | None = None
) -> dict[str, int]:
    report = run_export([chat.document()], [name], folder / "out", options)
    return dict(report.formats[0].dropped)


def asked(*answers: str, **fields: Any) -> Chat:
    """A question, and answers to it side by side."""
    chat = Chat()
    question = chat.user("Weather in Paris?")
    for answer in answers:
        chat.assistant(answer, parent_seq=question, **fields)
    return chat


def judged(text: str, **act: Any) -> Chat:
    chat = asked(text)
    chat.act("feedback", turn_seq=2, **act)
    return chat


def called(text: str | None = None, arguments: str = '{"city": "Paris"}') -> Chat:
    """A call, its result and the answer; `text` is said beside the call."""
    chat = Chat()
    chat.user("Weather in Paris?", tools=WEATHER_TOOLS)
    part = {"name": "get_weather", "arguments": arguments}
    parts: list[Any] = [{"id": "c1", "type": "function", "function": part}]
    chat.turn("assistant", text, parts=parts, tools=WEATHER_TOOLS)
    chat.turn("tool", "sunny", tool_call_id="c1", name="get_weather")
    chat.up(chat.assistant("Sunny.", tools=WEATHER_TOOLS))
    return chat


def two_ways() -> Chat:
    """One answer came by way of a tool, and the other at once."""
    chat = called()
    other = chat.assistant("No idea.", parent_seq=1, tools=WEATHER_TOOLS)
    chat.act("choose", chosen=4, rejected=(other,))
    return chat


def calls_compared() -> Chat:
    chat = Chat()
    question = chat.user("Weather in Paris?", tools=WEATHER_TOOLS)
    for city in ("Paris", "Lyon"):
        chat.call(
            "get_weather",
            f'{{"city": "{city}"}}',
            parent_seq=question,
            tools=WEATHER_TOOLS,
        )
        chat.turn("tool", "sunny", tool_call_id="c1")
    chat.act("choose", chosen=2, rejected=(4,))
    return chat


def disliked(*judgements: bool) -> Chat:
    chat = Chat()
    for number, good in enumerate(judgements):
        chat.user(f"Question {number}?")
        answer = chat.assistant(f"Answer {number}.")
        (chat.up if good else chat.down)(answer)
    return chat


def tools_of(tools: Any) -> Chat:
    chat = asked("Sunny.", tools=tools)
    chat.up(2)
    return chat


def graph_over(role: str, text: str) -> Chat:
    chat = Chat()
    chat.turn(role, "Which is larger?")
    chat.graph({"nodes": [{"id": "n1", "content": text, "parent": None}]}, turn_seq=1)
    chat.act("feedback", node_id="n1", feedback="correct")
    return chat


def one_tree_with_a_bare_root() -> Chat:
    chat = Chat()
    chat.user(" ")
    chat.assistant("Hello.")
    return chat


def a_tree_that_does_not_alternate() -> Chat:
    chat = asked("Sunny.")
    chat.user("And warm?")
    chat.user("Is it?")
    return chat


def satisfied_with_nothing() -> Chat:
    chat = Chat()
    chat.act("satisfaction", turn_seq=chat.user("Thanks!"), feedback="satisfied")
    return chat


def said_without_a_question(**fields: Any) -> Chat:
    chat = Chat()
    answer = chat.assistant("Hello.")
    chat.act("feedback", turn_seq=answer, **fields)
    return chat


def edited_to_nothing() -> Chat:
    chat = asked("Sunny.")
    chat.act("edit", turn_seq=2)
    return chat


def called_twice_at_once() -> Chat:
    chat = Chat()
    chat.user("Weather in Paris and Lyon?", tools=WEATHER_TOOLS)
    parts: list[Any] = [
        {
            "id": city,
            "type": "function",
            "function": {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'},
        }
        for city in ("Paris", "Lyon")
    ]
    chat.turn("assistant", None, parts=parts, tools=WEATHER_TOOLS)
    for city in ("Paris", "Lyon"):
        chat.turn("tool", "sunny", tool_call_id=city, name="get_weather")
    chat.up(chat.assistant("Sunny.", tools=WEATHER_TOOLS))
    return chat


PARTIAL = ExportOptions(rules=("R3",))
WEAK = ExportOptions(rules=("R10",))
TOLD = ExportOptions(tool_calls="text")
WITHOUT = ExportOptions(tool_calls="drop")
CASES: dict[str, tuple[Callable[[], Chat], str, ExportOptions | None]] = {
    "branch-cut": (a_tree_that_does_not_alternate, "oasst", None),
    "call-arguments-not-json": (lambda: called(arguments="{"), "kto", None),
    "calls-are-lost": (calls_compared, "axolotl-dpo", None),
    "calls-in-answer": (calls_compared, "openai-dpo", None),
    "consent-refused": (
        lambda: Chat(metadata={"consent": "withdrawn"}),
        "kto",
        None,
    ),
    "disliked-first-answer": (lambda: disliked(False), "messages", None),
    "disliked-only": (lambda: disliked(False, False), "openai-sft", None),
    "edit-without-text": (edited_to_nothing, "preference", None),
    "empty-turn": (one_tree_with_a_bare_root, "oasst", None),
    "error-text": (
        lambda: judged("Internal Server Error", feedback="thumbs_up"),
        "kto",
        None,
    ),
    "graph-without-question": (
        lambda: graph_over("assistant", "9.8 is."),
        "stepwise",
        None,
    ),
    "middle-score": (lambda: judged("Sunny.", score=3.0, metadata=STARS), "kto", None),
    "more-than-one-message": (two_ways, "openai-dpo", None),
    "no-answer": (lambda: asked(), "messages", None),
    "no-prompt": (
        lambda: said_without_a_question(feedback="partial"),
        "prompt",
        PARTIAL,
    ),
    "no-user-turn": (lambda: said_without_a_question(), "oasst", None),
    "node-without-text": (lambda: graph_over("user", " "), "stepwise", None),
    "not-alternating": (called_twice_at_once, "sharegpt", None),
    "results-in-answer": (two_ways, "preference", TOLD),
    "satisfaction-unclear": (satisfied_with_nothing, "kto", WEAK),
    "text-beside-call": (lambda: called("I look."), "sharegpt", None),
    "tool-calls": (called, "kto", WITHOUT),
    "tools-malformed": (lambda: tools_of(["get_weather"]), "kto", None),
    "unfinished-stream": (
        lambda: judged("It is sun▌", feedback="thumbs_up"),
        "kto",
        None,
    ),
    "filter-finish-reason": (
        lambda: judged("Sunny.", feedback="thumbs_up"),
        "kto",
        ExportOptions(filters=Filters(finish_reasons=("stop",))),
    ),
    "filter-language": (
        lambda: judged("Sunny.", feedback="thumbs_up"),
        "kto",
        ExportOptions(filters=Filters(languages=("nl",))),
    ),
    "filter-since": (
        asked,
        "messages",
        ExportOptions(filters=Filters(since=START + timedelta(microseconds=1))),
    ),
    "filter-until": (
        asked,
        "messages",
        ExportOptions(filters=Filters(until=START)),
    ),
    "failed-generation": (
        lambda: _cut("error"),
        "kto",
        ExportOptions(judging=Judging(failed_as_rejected=False)),
    ),
}


def _cut(finish_reason: str) -> Chat:
    chat = asked("Sun", finish_reason=finish_reason)
    chat.up(2)
    return chat


@pytest.mark.parametrize("reason", CASES)
def test_what_makes_no_row_is_counted_under_its_reason(
    tmp_path: Path, reason: str
) -> None:
    chat, name, options = CASES[reason]

    assert dropped(tmp_path, chat(), name, options) == {reason: 1}


def test_a_session_in_the_bounds_of_time_takes_part(tmp_path: Path) -> None:
    """The first bound is inside, the last one is not."""
    end = START + timedelta(microseconds=1)
    options = ExportOptions(filters=Filters(since=START, until=end))
    chat = judged("Sunny.", feedback="thumbs_up")

    assert dropped(tmp_path, chat, "kto", options) == {}
