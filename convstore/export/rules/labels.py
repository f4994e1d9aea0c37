"""Rules over one judged answer: thumbs, scores, and the weak signals of use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from convstore.export.example import Candidate, Dropped, Example, Kind
from convstore.export.reading.conversation import Conversation
from convstore.export.rules.base import Rule, demonstration, judged_row
from convstore.export.rules.checks import language_problem, stale
from convstore.export.rules.verdict import (
    RATING_ACTIONS,
    scored,
    verdict_of,
)
from convstore.vocabulary.records import Interaction, Meaning

WEAK = 0.3
_COPIED = ("copy", "insert", "share")
_SATISFIED = {"satisfied": True, "dissatisfied": False}


def judged_turns(
    conversation: Conversation,
    wanted: Callable[[Interaction], bool],
    actions: tuple[str, ...] = RATING_ACTIONS,
) -> Iterator[tuple[int, list[Interaction]] | Dropped]:
    """The turns that some wanted act is about, with those acts; stale ones as drops."""
    found: dict[int, list[Interaction]] = {}
    for action in actions:
        for act in conversation.acts.get(action, ()):
            if act.turn_seq is None or not wanted(act):
                continue
            if stale(conversation, act):
                yield Dropped("stale-feedback")
            elif _filtered(conversation, act):
                yield Dropped("filter-label", fault=False)
            else:
                found.setdefault(act.turn_seq, []).append(act)
    yield from sorted(found.items())


def in_bounds(conversation: Conversation, score: float) -> bool:
    """Whether the score passes the filters on scores."""
    filters = conversation.options.filters
    above = filters.min_score is None or score >= filters.min_score
    return above and (filters.max_score is None or score <= filters.max_score)


def _filtered(conversation: Conversation, act: Interaction) -> bool:
    wanted = conversation.options.filters.labels
    return bool(wanted) and act.feedback is not None and act.feedback not in wanted


def _saying(
    conversation: Conversation, meaning: Meaning
) -> Callable[[Interaction], bool]:
    return lambda act: conversation.meaning(act) == meaning


def _thumbs_up(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    disliked = verdict_of(conversation).disliked
    for found in judged_turns(conversation, _saying(conversation, "good")):
        if isinstance(found, Dropped):
            yield found
            continue
        row = judged_row(conversation, rule, *found, label=True)
        yield row
        if isinstance(row, Example):
            yield demonstration(row, disliked)


def _thumbs_down(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    for found in judged_turns(conversation, _saying(conversation, "bad")):
        if isinstance(found, Dropped):
            yield found
        else:
            yield judged_row(conversation, rule, *found, label=False)


def _partial(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    for found in judged_turns(conversation, _saying(conversation, "neutral")):
        if isinstance(found, Dropped):
            yield found
            continue
        seq, acts = found
        first = conversation.message(seq)[0]
        path = conversation.path(conversation.turns[first].parent_seq)
        messages = conversation.messages(path)
        problem = (
            messages
            if isinstance(messages, Dropped)
            else conversation.problem(path) or language_problem(conversation, seq)
        )
        if problem or isinstance(messages, Dropped) or not messages:
            yield problem or Dropped("no-prompt")
            continue
        context = conversation.context(first)
        origin = conversation.origin(rule, [seq], acts, context=context)
        yield Example("prompt", origin, messages)


def _scores(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    judging = conversation.options.judging
    for found in judged_turns(conversation, partial(scored, conversation)):
        if isinstance(found, Dropped):
            yield found
            continue
        seq, acts = found
        sides: dict[bool, list[Interaction]] = {}
        for act in acts:
            score = conversation.stars(act) or 0.0
            if not in_bounds(conversation, score):
                yield Dropped("filter-score", fault=False)
            elif judging.score_low < score < judging.score_high:
                yield Dropped("middle-score", fault=False)
            else:
                sides.setdefault(score >= judging.score_high, []).append(act)
        for label, agreeing in sides.items():
            yield judged_row(conversation, rule, seq, agreeing, label=label)


def _use(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    for found in judged_turns(conversation, lambda act: True, _COPIED):
        if isinstance(found, Dropped):
            yield found
        else:
            yield judged_row(conversation, rule, *found, label=True, weight=WEAK)


def _satisfaction(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    for act in conversation.acts.get("satisfaction", ()):
        turn = conversation.turns.get(act.turn_seq or 0)
        label = _SATISFIED.get(act.feedback or "")
        if label is None or turn is None or turn.parent_seq not in conversation.turns:
            yield Dropped("satisfaction-unclear")
        elif stale(conversation, act):
            yield Dropped("stale-feedback")
        else:
            yield judged_row(
                conversation, rule, turn.parent_seq, [act], label=label, weight=WEAK
            )


_LABEL: frozenset[Kind] = frozenset({"label"})
_DEMO: frozenset[Kind] = frozenset({"label", "demonstration"})

R1 = Rule("R1", 2, _DEMO, "thumbs up on an answer", _thumbs_up)
R2 = Rule("R2", 2, _LABEL, "thumbs down on an answer", _thumbs_down)
R3 = Rule(
    "R3",
    2,
    frozenset({"prompt"}),
    "partly right: the prompt, to be answered or judged again",
    _partial,
    default=False,
)
R4 = Rule("R4", 2, _LABEL, "a high or a low score on an answer", _scores)
R9 = Rule("R9", 2, _LABEL, "copied, inserted or shared (weak)", _use, default=False)
R10 = Rule(
    "R10",
    2,
    _LABEL,
    "the next user turn is content or not, as a classifier recorded it (weak)",
    _satisfaction,
    default=False,
)
