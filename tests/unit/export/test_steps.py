"""Rules over the reasoning graph: R11 to R15."""

from __future__ import annotations

from typing import Any

import pytest

from convstore.export.options import ExportOptions
from convstore.export.reading.graph import path_to, read_graph
from convstore.vocabulary.records import GraphState
from tests.unit.export.samples import START, Chat, reasons, rows

GRAPH = {
    "nodes": [
        {"id": "a", "text": "0.8 is the fraction of 9.8."},
        {"id": "b", "text": "0.11 > 0.8, so 9.11.", "parent": "a"},
        {"id": "c", "text": "0.8 > 0.11, so 9.8.", "parent": "a"},
    ]
}


def reasoning() -> Chat:
    chat = Chat()
    question = chat.user("Which is larger, 9.8 or 9.11?")
    chat.assistant("9.11")
    chat.graph(GRAPH, turn_seq=question)
    return chat


def judge(chat: Chat, **labels: str) -> None:
    for node, label in labels.items():
        chat.act("feedback", node_id=node, feedback=label)


def told(chat: Chat, rule: str) -> list[tuple[int, tuple[bool, ...]]]:
    return [(len(row.steps), row.step_labels) for row in rows(chat, rule)]


def test_steps_along_the_path_carry_their_labels() -> None:
    chat = reasoning()
    judge(chat, a="correct", b="incorrect", c="correct")

    found = rows(chat, "R11")

    assert [row.step_labels for row in found] == [(True, False), (True, True)]
    assert found[0].prompt[0]["content"] == "Which is larger, 9.8 or 9.11?"
    assert found[0].steps[1] == "0.11 > 0.8, so 9.11."


def test_a_wrong_step_ends_the_row() -> None:
    chat = reasoning()
    judge(chat, a="incorrect", b="correct")

    assert told(chat, "R11") == [(1, (False,))]


def test_a_doubtful_step_ends_the_row_before_it() -> None:
    chat = reasoning()
    judge(chat, a="correct", b="partial")

    assert told(chat, "R11") == [(1, (True,))]


def test_steps_that_nobody_judged_go_before_the_first_judged_one_as_prompt() -> None:
    chat = reasoning()
    judge(chat, b="incorrect")

    (row,) = rows(chat, "R11")

    assert row.prompt[0]["content"].endswith("\n0.8 is the fraction of 9.8.")
    assert row.step_labels == (False,)


def test_people_who_disagree_evenly_decide_nothing() -> None:
    chat = reasoning()
    chat.act("feedback", node_id="a", feedback="correct", actor_id="u-1")
    chat.act("feedback", node_id="a", feedback="incorrect", actor_id="u-2")

    assert rows(chat, "R11") == []
    assert reasons(chat, "R11") == ["steps-undecided"]


def test_a_pruned_step_is_wrong_only_if_the_reason_says_so() -> None:
    chat = reasoning()
    chat.act("prune", node_id="b", reason="irrelevant")
    assert told(chat, "R12") == []

    chat.act("prune", node_id="b", reason="wrong")

    assert told(chat, "R12") == [(1, (False,))]


def test_a_resurrected_step_is_not_wrong_any_more() -> None:
    chat = reasoning()
    chat.act("prune", node_id="b", reason="wrong", actor_id="u-1")
    chat.act("resurrect", node_id="b", actor_id="u-2")
    without = ExportOptions(rules=("R12",))

    assert told(chat, "R12") == []
    assert rows(chat, "R14") == []
    assert len(rows(chat, "R12", without)) == 1


@pytest.mark.parametrize("where", ["under-its-parent", "as-a-node-of-its-own"])
def test_an_injected_step_is_preferred_to_its_wrong_sibling(where: str) -> None:
    chat = reasoning()
    judge(chat, b="incorrect")
    step = "Compare the tenths: 8 > 1."
    if where == "under-its-parent":
        chat.act("inject", node_id="a", content=step)
    else:
        node = {"id": "d", "text": step, "parent": "a"}
        chat.graph({"nodes": [*GRAPH["nodes"], node]}, turn_seq=1)
        chat.act("inject", node_id="d", content=step)

    pair, demonstration = rows(chat, "R13")

    first = "0.8 is the fraction of 9.8.\n"
    assert pair.answer[0]["content"] == first + step
    assert pair.rejected[0]["content"] == first + "0.11 > 0.8, so 9.11."
    assert demonstration.answer == pair.answer


def test_an_injected_step_without_a_wrong_sibling_is_no_pair() -> None:
    chat = reasoning()
    chat.act("inject", node_id="a", content="Compare the tenths.")

    assert reasons(chat, "R13") == ["no-wrong-sibling"]


def test_a_path_is_good_only_if_each_step_is() -> None:
    chat = reasoning()
    judge(chat, a="correct", b="incorrect", c="correct")

    assert [row.label for row in rows(chat, "R15")] == [False, True]


def test_a_judged_node_that_no_graph_shows_is_counted() -> None:
    chat = reasoning()
    judge(chat, z="correct")

    assert reasons(chat, "R11") == ["unknown-node"]


@pytest.mark.parametrize(
    "state",
    [
        {"nodes": {"a": {"content": "A"}, "b": {"content": "B", "parent_id": "a"}}},
        {"nodes": {"a": "A", "b": "B"}, "edges": [{"source": "a", "target": "b"}]},
        {
            "nodes": [{"node_id": "a", "thought": "A"}, {"node_id": "b", "label": "B"}],
            "edges": [["a", "b"]],
        },
        {
            "nodes": [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}],
            "edges": [{"from": "a", "to": "b", "weight": 1}],
        },
    ],
)
def test_graphs_are_read_in_the_shapes_that_applications_keep(state: Any) -> None:
    nodes = read_graph([GraphState("s", "default", 1, state, 1, {}, None, START)])

    assert [node.text for node in path_to(nodes, "b")] == ["A", "B"]


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {"nodes": [1, None, {}, []], "edges": [1, {}, ["a"], [None, None]]},
        {"nodes": {"a": {"parent": "b"}, "b": {"parent": "a"}}},
    ],
)
def test_graphs_that_make_no_sense_give_no_path(state: Any) -> None:
    nodes = read_graph([GraphState("s", "default", 1, state, 1, {}, None, START)])

    assert path_to(nodes, "a") == []


def test_a_node_pruned_from_the_latest_snapshot_is_still_known() -> None:
    chat = reasoning()
    chat.graph({"nodes": [GRAPH["nodes"][0], GRAPH["nodes"][2]]}, turn_seq=1)
    judge(chat, a="correct", b="incorrect")

    assert told(chat, "R11") == [(2, (True, False))]
