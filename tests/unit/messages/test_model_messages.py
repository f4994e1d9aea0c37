"""Messages of Pydantic AI in their JSON form as turns, and turns as such messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convstore.messages.model_messages import (
    FORMAT,
    grouped,
    kept,
    message_of,
    turns_of,
)
from convstore.messages.neutral import unsaved
from convstore.vocabulary.records import Turn, TurnInput

AT = "2026-01-02T03:04:05.000678Z"
CALL = {"part_kind": "tool-call", "tool_name": "f", "args": "{}", "tool_call_id": "c"}


def request(*parts: Any) -> dict[str, Any]:
    return {"kind": "request", "parts": list(parts)}


def response(*parts: Any) -> dict[str, Any]:
    return {"kind": "response", "parts": list(parts), "timestamp": AT}


def part(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"part_kind": kind, "content": content, "timestamp": AT, **more}


def stored(*given: TurnInput) -> list[Turn]:
    return [
        replace(unsaved(turn), session_id="s", seq=seq, parent_seq=seq - 1 or None)
        for seq, turn in enumerate(given, 1)
    ]


def test_a_message_of_plain_parts_is_what_its_turns_are() -> None:
    said = request(
        part("tool-return", "r", tool_name="f", tool_call_id="c"),
        part("system-prompt", "s"),
        part("user-prompt", "u"),
    )
    answer = response({"part_kind": "text", "content": "a"}, CALL)

    assert message_of(stored(*turns_of(said))) == said
    told = message_of(stored(*turns_of(answer)))
    assert told is not None
    assert (told["parts"], told["timestamp"]) == (answer["parts"], AT)


def test_results_come_before_what_the_user_said_with_them() -> None:
    turns = turns_of(
        request(
            part("user-prompt", "u"),
            part("tool-return", {"n": 1}, tool_name="f", tool_call_id="c"),
            part("retry-prompt", "again", tool_name="f", tool_call_id="d"),
            part("retry-feedback", [{"loc": []}]),
        )
    )
    assert [(turn.role, turn.content) for turn in turns] == [
        ("tool", '{"n":1}'),
        ("tool", "again"),
        ("user", "u"),
        ("user", '[{"loc":[]}]'),
    ]


@pytest.mark.parametrize(
    "message",
    [
        {},
        request(),
        request({}, {"part_kind": "tool-availability-delta"}),
        request(part("user-prompt", None)),
        request(part("tool-return", 2**70, tool_name="", tool_call_id="")),
        request(part("user-prompt", ["\x00", "\ud83d", {"kind": "cache-point"}])),
        request(part("system-prompt", "x", timestamp="1969-01-01T00:00:00Z")),
        response(),
        response(part("file", {"kind": "binary"}), part("text", None)),
        response({**CALL, "args": {"n": 2**70}, "tool_name": "f" * 300}),
        {**response(), "usage": {"input_tokens": 2**70}, "timestamp": "soon"},
    ],
)
def test_no_message_is_refused(message: dict[str, Any]) -> None:
    turns = turns_of(message)

    assert turns
    message_of(stored(*turns))


def test_pictures_are_told_and_large_ones_stand_in_the_payload_alone() -> None:
    small = {"kind": "binary", "data": "_-8=", "media_type": "image/png"}
    large = {**small, "data": "A" * (1 << 21)}
    url = {"kind": "image-url", "url": "https://example.org/a.png"}
    (turn,) = turns_of(request(part("user-prompt", ["see", small, large, url])))

    assert turn.content == "see"
    source = {"type": "base64", "media_type": "image/png"}
    assert turn.parts == [
        {"type": "text", "text": "see"},
        {"type": "image", "source": {**source, "data": "/+8="}},
        {"type": "image", "source": source},
        {"type": "image_url", "image_url": {"url": url["url"]}},
    ]


def test_turns_are_grouped_by_what_was_kept_and_else_by_side() -> None:
    own = kept([TurnInput("system", "s"), TurnInput("user", "u")], {"kind": "request"})
    path = stored(
        TurnInput("user", "before"),
        *own,
        TurnInput("user", "after"),
        TurnInput("item"),
        TurnInput("assistant", "a"),
        TurnInput("assistant", parts=[{"type": "function", "function": {}}]),
        TurnInput("tool", "r"),
    )

    found = grouped(path)

    seqs = [[turn.seq for turn in group.turns] for group in found]
    assert seqs == [[1], [2, 3], [4], [5, 6, 7], [8]]
    assert [group.own for group in found] == [False, True, False, False, False]
    assert found[1].message == {"kind": "request"}
    assert path[2].payload_format == FORMAT


def test_calls_before_name_the_tools_of_results() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    called, known, lost = stored(
        TurnInput("assistant", parts=[call]),
        TurnInput("tool", "r", tool_call_id="c"),
        TurnInput("tool", "r"),
    )

    told = message_of([known, lost], [called])

    assert told is not None
    assert [(p["tool_name"], p["tool_call_id"]) for p in told["parts"]] == [
        ("f", "c"),
        ("unknown", "turn-3"),
    ]


def test_what_says_nothing_is_no_message() -> None:
    assert message_of(stored(TurnInput("item"), TurnInput("other", "x"))) is None
    assert message_of(stored(TurnInput("assistant"))) is None
