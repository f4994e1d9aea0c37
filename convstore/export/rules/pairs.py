"""Rules that compare two answers to one context."""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import combinations

from msgspec.structs import replace

from convstore.export.example import Candidate, Dropped, Kind, Message, Side
from convstore.export.reading.conversation import Conversation
from convstore.export.rules.base import (
    Rule,
    demonstration,
    finished_pair,
    judged_row,
    open_problem,
    pair_row,
)
from convstore.export.rules.checks import answer_problem, stale, text_problem
from convstore.export.rules.distance import edit_distance
from convstore.export.rules.labels import WEAK, in_bounds
from convstore.export.rules.verdict import (
    EDIT_ACTIONS,
    RATING_ACTIONS,
    both_bad,
    verdict_of,
)
from convstore.vocabulary.records import Interaction

_CHOOSE_ACTIONS = ("choose", "choice", "rank")


def _edits(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    edits = _all(conversation, EDIT_ACTIONS)
    disliked = verdict_of(conversation).disliked if edits else frozenset()
    for act in edits:
        turn = conversation.turns.get(act.turn_seq or 0)
        if turn is None or conversation.role(turn.seq) != "assistant":
            continue  # People also edit their own words: that makes a branch, no pair.
        if stale(conversation, act):
            yield Dropped("stale-feedback")
        elif act.choice is not None and act.choice.chosen is not None:
            chosen = act.choice.chosen
            yield from _edited_turn(conversation, rule, turn.seq, chosen, act, disliked)
        elif act.content:
            yield from _edited_text(conversation, rule, turn.seq, act, act.content)
        else:
            yield Dropped("edit-without-text")


def _edited_turn(
    conversation: Conversation,
    rule: str,
    seq: int,
    edited: int,
    act: Interaction,
    disliked: Set[int],
) -> Iterator[Candidate]:
    if edited not in conversation.turns:
        yield Dropped("unknown-turn")
        return
    pair = pair_row(conversation, rule, edited, seq, [act])
    yield from _with_distance(pair, disliked)


def _edited_text(
    conversation: Conversation, rule: str, seq: int, act: Interaction, text: str
) -> Iterator[Candidate]:
    turns = conversation.message(seq)
    path = conversation.path(turns[-1])
    messages = conversation.messages(path)
    if isinstance(messages, Dropped):
        yield messages
        return
    prompt, original = messages[:-1], messages[-1]
    edited: Message = {"role": "assistant", "content": text}
    if len(turns) > 1 and "tool_calls" in original:
        # What was said before the calls was edited, and not the calls.
        edited["tool_calls"] = original["tool_calls"]
    problem = (
        answer_problem(conversation, seq, original, good=False)
        or conversation.problem(path)
        or open_problem(conversation, turns[-1])
        or text_problem(text, None, conversation.options.judging.drop_identity)
        or _edit_problem(prompt, original["content"], text)
    )
    if problem:
        yield problem
        return
    origin = conversation.origin(
        rule, [seq], [act], context=conversation.context(turns[0]), rejected=seq
    )
    sides = (prompt, (edited,), (original,))
    yield from _with_distance(finished_pair(conversation, origin, sides, seq, 0.0))


def _with_distance(
    pair: Candidate, disliked: Set[int] = frozenset()
) -> Iterator[Candidate]:
    """The pair with how far the edit went, and what was written as a demonstration."""
    if isinstance(pair, Dropped):
        yield pair
        return
    before, after = pair.rejected[-1]["content"], pair.answer[-1]["content"]
    origin = replace(pair.origin, edit_distance=edit_distance(before, after))
    pair = replace(pair, origin=origin)
    yield pair
    if len(pair.answer) == 1:
        yield demonstration(pair, disliked)


def _edit_problem(
    prompt: tuple[Message, ...], original: str, edited: str
) -> Dropped | None:
    if not edited.strip():
        return Dropped("empty-edit")
    if edited.split() == original.split():
        return Dropped("whitespace-edit")
    added = edited.strip().removeprefix(original.strip())
    if added != edited.strip() and added.rstrip().endswith(("?", "？", "؟")):
        return Dropped("edit-asks-a-question")
    if any(edited.strip() in message["content"] for message in prompt):
        return Dropped("correction-in-prompt")
    return None


def _choices(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    for act in _all(conversation, _CHOOSE_ACTIONS):
        choice = act.choice
        if choice is None:
            continue
        offered = [*choice.rejected]
        offered += [choice.chosen] if choice.chosen is not None else []
        if any(seq not in conversation.turns for seq in offered):
            yield Dropped("unknown-turn")
        elif stale(conversation, act):
            yield Dropped("stale-feedback")
        elif choice.chosen is None:
            if not both_bad(conversation, act):
                yield Dropped("tie", fault=False)
                continue
            for seq in choice.rejected:
                yield judged_row(conversation, rule, seq, [act], label=False)
        else:
            side = side_of(act, choice.chosen, choice.rejected)
            for seq in choice.rejected:
                yield pair_row(conversation, rule, choice.chosen, seq, [act], side=side)


def side_of(act: Interaction, chosen: int, rejected: tuple[int, ...]) -> Side:
    """Where the chosen answer of two stood, as `shown` has it.

    `shown` is a list of turns from left to right, or an object with such a list under
    `order`, or with turns under `left` and `right`.
    """
    shown = act.shown
    order = shown.get("order") if isinstance(shown, dict) else shown
    if isinstance(shown, dict) and not isinstance(order, list):
        order = [shown.get("left"), shown.get("right")]
    if len(rejected) != 1 or not isinstance(order, list) or len(order) != 2:
        return ""
    if order == [chosen, rejected[0]]:
        return "left"
    return "right" if order == [rejected[0], chosen] else ""


def _ratings(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    judging = conversation.options.judging
    for group in _rated_siblings(conversation):
        ranked = sorted(group, key=lambda seq: (-group[seq][0], seq))
        pairs = (
            list(combinations(ranked, 2))
            if judging.all_pairs
            else [(ranked[0], ranked[-1])]
        )
        for best, worst in pairs:
            gap = group[best][0] - group[worst][0]
            if gap <= 0 or gap < judging.min_gap:
                yield Dropped("small-gap", fault=False)
                continue
            acts = [*group[best][1], *group[worst][1]]
            row = pair_row(conversation, rule, best, worst, acts, margin=round(gap, 6))
            yield row


def _rated_siblings(
    conversation: Conversation,
) -> Iterator[dict[int, tuple[float, list[Interaction]]]]:
    """Mean ratings of answers to one context on one scale, of two answers at least."""
    scales: dict[tuple[str, str], dict[int, list[tuple[float, Interaction]]]] = {}
    for act in _all(conversation, RATING_ACTIONS):
        if act.turn_seq not in conversation.turns or stale(conversation, act):
            continue
        rating = _rating(conversation, act)
        if rating is None or conversation.role(act.turn_seq) != "assistant":
            continue
        scale, value = rating
        start = conversation.segment(act.turn_seq)[0]
        key = (conversation.context(start), scale)
        turns = scales.setdefault(key, {})
        turns.setdefault(act.turn_seq, []).append((value, act))
    for turns in scales.values():
        if len(turns) > 1:
            yield {
                seq: (sum(v for v, _ in rated) / len(rated), [act for _, act in rated])
                for seq, rated in turns.items()
            }


def _rating(conversation: Conversation, act: Interaction) -> tuple[str, float] | None:
    wanted, meaning = conversation.options.filters.labels, conversation.meaning(act)
    if wanted and act.feedback is not None and act.feedback not in wanted:
        return None
    # A word is coarser than a score and on a scale of its own.
    if meaning in ("good", "bad"):
        return "thumbs", 1.0 if meaning == "good" else -1.0
    score = conversation.stars(act)
    if score is None or not in_bounds(conversation, score):
        return None
    aspect = act.metadata.get("aspect")
    return f"score {aspect if isinstance(aspect, str) else ''}", score


def _regenerated(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    for act in conversation.acts.get("regenerate", ()):
        left = conversation.turns.get(act.turn_seq or 0)
        if left is None or stale(conversation, act):
            yield Dropped("stale-feedback")
            continue
        if conversation.taken_back(left.seq):
            yield Dropped("taken-back", fault=False)
            continue
        siblings = conversation.children.get(left.parent_seq, [])
        kept = [s for s in siblings if s > left.seq and s in conversation.children]
        if left.seq in conversation.children or not kept:
            yield Dropped("not-kept", fault=False)
        else:
            yield pair_row(conversation, rule, kept[-1], left.seq, [act], weight=WEAK)


def _all(conversation: Conversation, actions: tuple[str, ...]) -> list[Interaction]:
    return [act for action in actions for act in conversation.acts.get(action, ())]


_PAIR: frozenset[Kind] = frozenset({"pair"})

R5 = Rule(
    "R5",
    2,
    frozenset({"pair", "demonstration"}),
    "an answer edited by a person: edit over original",
    _edits,
)
R6 = Rule(
    "R6", 2, frozenset({"pair", "label"}), "a choice between shown answers", _choices
)
R7 = Rule("R7", 2, _PAIR, "ratings on answers to one context", _ratings)
R8 = Rule(
    "R8",
    2,
    _PAIR,
    "regenerated, then kept the new one (weak)",
    _regenerated,
    default=False,
)
