"""Windows of a branch: never too long, never empty, never a result without its call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.errors import InvalidInputError
from convstore.messages.windows import (
    has_orphan_results,
    to_messages,
    turn_chars,
    window_by_chars,
    window_by_tokens,
    window_by_turns,
    window_since,
)
from convstore.vocabulary.clock import EPOCH
from convstore.vocabulary.records import Turn

BLANK = Turn(
    session_id="s",
    seq=1,
    parent_seq=None,
    role="user",
    content=None,
    parts=None,
    name=None,
    tool_call_id=None,
    model=None,
    finish_reason=None,
    tokens_in=None,
    tokens_out=None,
    cost_micros=None,
    language=None,
    resolved_question=None,
    template_id=None,
    slots=None,
    results=None,
    tools_hash=None,
    metadata={},
    external_id=None,
    created_at=EPOCH,
)


def branch(*specs: str | dict[str, Any]) -> list[Turn]:
    """Numbered turns of one branch; a text is a user turn."""
    turns: list[Turn] = []
    for seq, spec in enumerate(specs, start=1):
        fields = {"content": spec} if isinstance(spec, str) else spec
        parent = seq - 1 or None
        turns.append(dataclasses.replace(BLANK, seq=seq, parent_seq=parent, **fields))
    return turns


def call(*ids: str) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    parts = [{"id": i, "type": "function", "function": function} for i in ids]
    return {"role": "assistant", "parts": parts}


def result(call_id: str | None) -> dict[str, Any]:
    return {"role": "tool", "content": "5", "tool_call_id": call_id}


def seqs(turns: Sequence[Turn]) -> list[int]:
    return [turn.seq for turn in turns]


@st.composite
def branches(draw: st.DrawFn) -> list[Turn]:
    """Talk mixed with calls of one to three tools, answered in any order or not yet."""
    specs: list[str | dict[str, Any]] = []
    open_ids: list[str] = []
    with_ids = draw(st.booleans())
    for number in range(draw(st.integers(0, 30))):
        kind = draw(st.sampled_from(["user", "assistant", "call", "result", "result"]))
        if kind == "call":
            ids = [f"c{number}-{i}" for i in range(draw(st.integers(1, 3)))]
            open_ids = ids if not with_ids else open_ids + ids
            specs.append(call(*ids) if with_ids else {"role": "assistant"})
        elif kind == "result" and open_ids:
            chosen = open_ids.pop(draw(st.integers(0, len(open_ids) - 1)))
            specs.append(result(chosen if with_ids else None))
        else:
            if not with_ids and kind == "assistant":
                open_ids = []
            text = draw(st.text("aé日🎉", max_size=20))
            role = "user" if kind == "result" else kind
            specs.append({"role": role, "content": text})
    return branch(*specs)


Cutter = Callable[[Sequence[Turn], int, int], tuple[Turn, ...]]
CUTTERS: dict[str, tuple[Cutter, Callable[[Turn], int]]] = {
    "turns": (lambda t, n, s: window_by_turns(t, n, step=s), lambda _: 1),
    "chars": (lambda t, n, s: window_by_chars(t, n, step=s), turn_chars),
    "tokens": (
        lambda t, n, s: window_by_tokens(t, n, lambda turn: turn.seq % 7, step=s),
        lambda turn: turn.seq % 7,
    ),
}
every_cutter = pytest.mark.parametrize("cutter", CUTTERS)


@every_cutter
@given(turns=branches(), limit=st.integers(1, 60), step=st.integers(1, 12))
def test_a_window_is_the_newest_end_and_has_the_call_of_each_result(
    cutter: str, turns: list[Turn], limit: int, step: int
) -> None:
    window = CUTTERS[cutter][0](turns, limit, step)

    assert list(window) == turns[len(turns) - len(window) :]
    assert bool(window) == bool(turns)
    assert not has_orphan_results(window) or has_orphan_results(turns)


@every_cutter
@given(turns=branches(), limit=st.integers(1, 60), step=st.integers(1, 12))
def test_a_window_over_its_limit_is_one_exchange(
    cutter: str, turns: list[Turn], limit: int, step: int
) -> None:
    cut, cost = CUTTERS[cutter]

    window = cut(turns, limit, step)

    if sum(map(cost, window)) > limit:
        shortest = window_by_tokens(turns, 1, lambda _: 2)
        assert window == shortest


@every_cutter
@given(turns=branches(), limit=st.integers(1, 60))
def test_without_strides_nothing_more_would_have_fitted(
    cutter: str, turns: list[Turn], limit: int
) -> None:
    cut, cost = CUTTERS[cutter]

    window = cut(turns, limit, 1)

    for longer in range(len(window) + 1, len(turns) + 1):
        candidate = turns[len(turns) - longer :]
        splits = window_since(turns, candidate[0].seq) != tuple(candidate)
        assert splits or sum(map(cost, candidate)) > limit


@given(turns=branches(), start=st.integers(1, 40))
def test_with_a_fixed_start_a_window_only_grows(turns: list[Turn], start: int) -> None:
    """A result that comes late to a call before the start is the one exception."""
    first = window_since(turns, start)
    if not first:
        return
    more = [*turns, *branch(*["x"] * (len(turns) + 3))[len(turns) :]]

    later = window_since(more, start)

    assert later[: len(first)] == first
    assert len(later) == len(first) + 3


def test_strides_keep_the_start_while_turns_arrive() -> None:
    talk = branch(*["x"] * 60)

    starts = [window_by_turns(talk[:n], 20, step=8)[0].seq for n in range(1, 61)]

    assert starts == sorted(starts)
    assert all((start - 1) % 8 == 0 for start in starts)
    assert len(set(starts)) == 6


def test_between_two_jumps_each_window_begins_with_the_one_before() -> None:
    talk = branch(*["x"] * 60)
    windows = [window_by_turns(talk[:n], 20, step=8) for n in range(1, 61)]

    breaks = sum(new[: len(old)] != old for old, new in pairwise(windows))

    assert breaks == 5
    assert all(len(window) >= 13 for window in windows[20:])


def test_a_part_of_a_branch_gives_the_same_strides_as_the_whole() -> None:
    talk = branch(*["x"] * 60)

    window = window_by_turns(talk[35:], 20, step=8)

    assert window == window_by_turns(talk, 20, step=8)


def test_a_result_stays_with_its_call() -> None:
    talk = branch("a", call("c1", "c2"), result("c2"), result("c1"), "b")

    lengths = {n: seqs(window_by_turns(talk, n)) for n in (1, 2, 3, 4, 5)}

    assert lengths[1] == lengths[2] == lengths[3] == [5]
    assert lengths[4] == [2, 3, 4, 5]
    assert lengths[5] == [1, 2, 3, 4, 5]


def test_the_newest_exchange_comes_whole_even_over_the_limit() -> None:
    talk = branch("a", call("c1", "c2"), result("c1"), result("c2"))

    assert seqs(window_by_turns(talk, 1)) == [2, 3, 4]
    assert seqs(window_by_chars(talk, 1)) == [2, 3, 4]


def test_a_call_that_waits_for_its_result_may_end_a_window() -> None:
    talk = branch("a", "b", call("c1"))

    assert seqs(window_by_turns(talk, 1)) == [3]


def test_a_result_without_id_belongs_to_the_nearest_assistant_turn() -> None:
    talk = branch("a", {"role": "assistant"}, result(None), result(None))

    assert seqs(window_by_turns(talk, 2)) == [2, 3, 4]


@pytest.mark.parametrize(
    ("called", "returned"),
    [
        (
            {"type": "tool_use", "id": "t1"},
            {"type": "tool_result", "tool_use_id": "t1"},
        ),
        (
            {"type": "function_call", "id": "fc", "call_id": "t1"},
            {"type": "function_call_output", "call_id": "t1"},
        ),
    ],
)
def test_calls_and_results_among_the_parts_are_seen(
    called: dict[str, str], returned: dict[str, str]
) -> None:
    talk = branch(
        "a", {"role": "assistant", "parts": [called]}, "b", {"parts": [returned]}
    )

    assert seqs(window_by_turns(talk, 2)) == [2, 3, 4]


def test_an_id_used_twice_means_the_latest_call() -> None:
    talk = branch(call("c"), result("c"), call("c"), result("c"))

    assert seqs(window_by_turns(talk, 2)) == [3, 4]


def test_a_part_of_a_branch_tells_that_a_call_lies_before_it() -> None:
    talk = branch("a", call("c1"), result("c1"), {"role": "assistant", "content": "b"})

    assert has_orphan_results(talk[2:])
    assert not has_orphan_results(talk[1:])
    assert has_orphan_results(branch("a", result(None)))


def test_a_start_inside_an_exchange_moves_back_to_the_call() -> None:
    talk = branch("a", call("c1"), result("c1"), "b")

    assert seqs(window_since(talk, 3)) == [2, 3, 4]
    assert seqs(window_since(talk, 4)) == [4]
    assert seqs(window_since(talk, 5)) == []


def test_a_start_that_another_branch_holds_means_the_next_turn_of_this_one() -> None:
    talk = [turn for turn in branch("a", "b", "c", "d") if turn.seq != 3]

    assert seqs(window_since(talk, 3)) == [4]


def test_tokens_are_counted_no_further_back_than_needed() -> None:
    counted: list[int] = []

    def count(turn: Turn) -> int:
        counted.append(turn.seq)
        return 10

    window = window_by_tokens(branch(*["x"] * 50), 25, count)

    assert seqs(window) == [49, 50]
    assert counted == [50, 49, 48]


@pytest.mark.parametrize("arguments", [(0, 1), (5, 0)])
def test_a_limit_or_step_below_one_is_refused(arguments: tuple[int, int]) -> None:
    limit, step = arguments

    with pytest.raises(InvalidInputError):
        window_by_turns(branch("a"), limit, step=step)


def test_messages_have_the_shape_of_a_chat_api() -> None:
    talk = branch(
        {"content": "En daar?", "resolved_question": "Hoe is het weer daar?"},
        call("c1"),
        {**result("c1"), "name": "f"},
        {"role": "assistant", "content": "Zonnig ☀️"},
    )

    assert to_messages(talk) == [
        {"role": "user", "content": "Hoe is het weer daar?"},
        {"role": "assistant", "content": None, "tool_calls": talk[1].parts},
        {"role": "tool", "content": "5", "tool_call_id": "c1", "name": "f"},
        {"role": "assistant", "content": "Zonnig ☀️"},
    ]


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
TEXT = {"type": "text", "text": "What is it?"}


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"content": "What is it?", "parts": [IMAGE]}, [TEXT, IMAGE]),
        ({"content": "What is it?", "parts": [TEXT, IMAGE]}, [TEXT, IMAGE]),
        ({"content": None, "parts": [IMAGE]}, [IMAGE]),
        (
            {"content": "x", "parts": [IMAGE], "resolved_question": "What is it?"},
            [TEXT, IMAGE],
        ),
        ({"content": "x", "parts": [TEXT], "resolved_question": "y"}, "y"),
        ({"content": "x", "parts": []}, "x"),
    ],
)
def test_other_parts_become_content_parts(fields: dict[str, Any], content: Any) -> None:
    assert to_messages(branch(fields)) == [{"role": "user", "content": content}]


def test_characters_count_what_the_model_would_read() -> None:
    turn = branch({"content": "En?", "resolved_question": "日本?", "parts": [TEXT]})[0]

    assert turn_chars(turn) == 3 + len('{"type":"text","text":"What is it?"}') + 2
