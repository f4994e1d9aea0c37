"""Rules over the reasoning graph: which steps were right, and what they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from convstore.export.example import Candidate, Dropped, Example, Kind, Message
from convstore.export.formats.pictures import IMAGES
from convstore.export.reading.conversation import Conversation
from convstore.export.reading.graph import Node, path_to, read_graph
from convstore.export.rules.base import Rule, finished_pair
from convstore.export.rules.checks import language_problem
from convstore.export.rules.verdict import RATING_ACTIONS
from convstore.vocabulary.records import Interaction

_WRONG = frozenset({"wrong", "incorrect", "false", "error"})


@dataclass(frozen=True, slots=True)
class _Judged:
    """What people said of one node; `label` None ends a row without a judgement."""

    label: bool | None
    acts: tuple[Interaction, ...]


def _judgements(conversation: Conversation) -> dict[str, _Judged]:
    votes: dict[str, list[Interaction]] = {}
    for action in RATING_ACTIONS:
        for act in conversation.acts.get(action, ()):
            if act.node_id is not None and conversation.meaning(act) is not None:
                votes.setdefault(act.node_id, []).append(act)
    judged: dict[str, _Judged] = {}
    for node_id, acts in votes.items():
        up = [act for act in acts if conversation.meaning(act) == "good"]
        down = [act for act in acts if conversation.meaning(act) == "bad"]
        label = None if len(up) == len(down) else len(up) > len(down)
        agreeing = up if label else down
        judged[node_id] = _Judged(label, tuple(acts if label is None else agreeing))
    return judged


def _wrongly_pruned(conversation: Conversation) -> dict[str, Interaction]:
    """The nodes that were pruned as wrong and not resurrected since, with that act."""
    heard = (
        ("prune", "resurrect") if "R14" in conversation.options.rules else ("prune",)
    )
    last: dict[str, Interaction] = {}
    acts = [act for action in heard for act in conversation.acts.get(action, ())]
    for act in sorted(acts, key=lambda act: act.seq):
        if act.node_id is not None:
            last[act.node_id] = act
    return {
        node_id: act
        for node_id, act in last.items()
        if act.action == "prune" and (act.reason in _WRONG or act.feedback in _WRONG)
    }


def _question(
    conversation: Conversation, node: Node
) -> tuple[tuple[int, ...], str] | Dropped:
    """The path to the user turn that the graph reasons about, and its words."""
    end = node.turn_seq if node.turn_seq in conversation.turns else conversation.head()
    path = conversation.path(end)
    while path and conversation.role(path[-1]) != "user":
        path = path[:-1]
    if not path:
        return Dropped("graph-without-question")
    messages = conversation.messages(path[-1:])
    if isinstance(messages, Dropped):
        return messages
    if IMAGES in messages[0]:
        return Dropped("images-are-lost")
    if conversation.reported & {0, *path}:
        return Dropped("reported", fault=False)
    if problem := language_problem(conversation, path[-1]):
        return problem
    text = str(messages[0]["content"])
    return (path, text) if text.strip() else Dropped("graph-without-question")


def _step_row(
    conversation: Conversation,
    rule: str,
    path: list[Node],
    judged: Mapping[str, _Judged],
) -> Candidate:
    """Steps from the first judged node: up to a wrong one, or before a doubtful one."""
    question = _question(conversation, path[-1])
    if isinstance(question, Dropped):
        return question
    turns, text = question
    first = next((i for i, node in enumerate(path) if node.id in judged), len(path))
    before = [n.text for n in path[:first] if n.text.strip() and n.text != text]
    steps: list[Node] = []
    labels: list[bool] = []
    for node in path[first:]:
        label = judged[node.id].label if node.id in judged else None
        if label is None:
            break
        if not node.text.strip():
            return Dropped("node-without-text")
        steps.append(node)
        labels.append(label)
        if not label:
            break
    if not steps:
        return Dropped("steps-undecided", fault=False)
    acts = [act for node in steps for act in judged[node.id].acts]
    origin = conversation.origin(
        rule, [turns[-1]], acts, context=conversation.context(turns[-1])
    )
    return Example(
        "steps",
        origin,
        prompt=({"role": "user", "content": "\n".join([text, *before])},),
        steps=tuple(node.text for node in steps),
        step_labels=tuple(labels),
    )


def _longest(rows: Iterator[Candidate]) -> Iterator[Candidate]:
    """Without rows that only begin another one: they would count its steps twice."""
    found = list(rows)
    kept = [row for row in found if isinstance(row, Example)]
    whole = {
        (row.prompt[0]["content"], row.steps[:cut], row.step_labels[:cut])
        for row in kept
        for cut in range(1, len(row.steps))
    }
    seen = set()
    for row in found:
        if isinstance(row, Dropped):
            yield row
            continue
        key = (row.prompt[0]["content"], row.steps, row.step_labels)
        if key not in whole and key not in seen:
            seen.add(key)
            yield row


def _feedback(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    judged = _judgements(conversation)
    if not judged:
        return
    nodes = read_graph(conversation.graph_states)

    def rows() -> Iterator[Candidate]:
        for node_id in judged:
            path = path_to(nodes, node_id)
            if path:
                yield _step_row(conversation, rule, path, judged)
            else:
                yield Dropped("unknown-node")

    yield from _longest(rows())


def _pruned(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    pruned = _wrongly_pruned(conversation)
    if not pruned:
        return
    nodes, judged = read_graph(conversation.graph_states), _judgements(conversation)
    for node_id, act in pruned.items():
        path = path_to(nodes, node_id)
        labels = {**judged, node_id: _Judged(False, (act,))}
        if path:
            yield _step_row(conversation, rule, path, labels)
        else:
            yield Dropped("unknown-node")


def _injected(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    injections = conversation.acts.get("inject", ())
    if not injections:
        return
    nodes, judged = read_graph(conversation.graph_states), _judgements(conversation)
    wrong = {i for i, j in judged.items() if j.label is False}
    wrong |= set(_wrongly_pruned(conversation))
    for act in injections:
        # Told with the new node's own id, or with that of the node it was put under.
        parent = act.metadata.get("parent_id")
        own = nodes.get(act.node_id or "")
        if own is not None and own.text == act.content:
            parent = own.parent
        elif not isinstance(parent, str):
            parent = act.node_id
        siblings = [n for n in nodes.values() if n.parent == parent and n.id in wrong]
        if not act.content or parent is None or not siblings:
            yield Dropped("no-wrong-sibling", fault=False)
            continue
        for sibling in siblings:
            yield from _step_pair(conversation, rule, act, path_to(nodes, sibling.id))


def _step_pair(
    conversation: Conversation, rule: str, act: Interaction, path: list[Node]
) -> Iterator[Candidate]:
    question = _question(conversation, path[-1]) if path else Dropped("unknown-node")
    if isinstance(question, Dropped):
        yield question
        return
    turns, text = question
    messages = conversation.messages(turns)
    if isinstance(messages, Dropped):
        yield messages
        return
    before = [n.text for n in path[:-1] if n.text.strip() and n.text != text]
    good: Message = {
        "role": "assistant",
        "content": "\n".join([*before, act.content or ""]),
    }
    bad: Message = {"role": "assistant", "content": "\n".join([*before, path[-1].text])}
    problem = conversation.problem(turns, then=bad)
    if problem:
        yield problem
        return
    origin = conversation.origin(
        rule, [turns[-1]], [act], context=conversation.context(turns[-1])
    )
    row = finished_pair(
        conversation, origin, (messages, (good,), (bad,)), turns[-1], 0.0
    )
    yield row
    if isinstance(row, Example):
        yield Example("demonstration", origin, messages, (good,), tools=row.tools)


def _resurrected(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    # An undo, not praise: it only takes labels away, in `_wrongly_pruned`.
    yield from ()


def _outcome(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    for row in _feedback(conversation, rule):
        if isinstance(row, Dropped):
            yield row
            continue
        answer: Message = {"role": "assistant", "content": "\n".join(row.steps)}
        yield Example(
            "label", row.origin, row.prompt, (answer,), label=all(row.step_labels)
        )


_STEPS: frozenset[Kind] = frozenset({"steps"})

R11 = Rule("R11", 2, _STEPS, "steps judged right or wrong", _feedback)
R12 = Rule("R12", 1, _STEPS, "steps pruned because they are wrong", _pruned)
R13 = Rule(
    "R13",
    1,
    frozenset({"pair", "demonstration"}),
    "a step written by a person over a wrong one",
    _injected,
)
R14 = Rule("R14", 1, _STEPS, "a resurrected step is not wrong any more", _resurrected)
R15 = Rule(
    "R15",
    1,
    frozenset({"label"}),
    "a whole path of steps is good if each step is",
    _outcome,
    default=False,
)
