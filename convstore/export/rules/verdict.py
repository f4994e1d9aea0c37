"""What people made of the answers of a session: which are not to be imitated.

And how single acts are read, which the other rules do alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from convstore.export.reading.conversation import Conversation
from convstore.export.rules.checks import stale
from convstore.vocabulary.feedback import EDIT_ACTIONS, RATING_ACTIONS
from convstore.vocabulary.records import Interaction, Meaning

__all__ = [
    "EDIT_ACTIONS",
    "RATING_ACTIONS",
    "Verdict",
    "both_bad",
    "scored",
    "verdict_of",
]

_BOTH_BAD = frozenset({"both_bad", "bothbad"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What people made of the answers of a session.

    Attributes:
        won: How often an answer was preferred to others.
        liked: How many liked an answer, or rated it high.
        disliked: Answers that somebody disliked, rated low or corrected.
        unwanted: Those, and the ones that were beaten and never preferred.
    """

    won: Counter[int]
    liked: Counter[int]
    disliked: frozenset[int]
    unwanted: frozenset[int]


def scored(conversation: Conversation, act: Interaction) -> bool:
    """Whether the act says good or bad by its score: a word goes before it."""
    said = conversation.meaning(act) in ("good", "bad")
    return not said and conversation.stars(act) is not None


def both_bad(conversation: Conversation, act: Interaction) -> bool:
    """Whether the act says of all the answers offered that they are bad."""
    nobody = act.choice is not None and act.choice.chosen is None
    bad = act.feedback in _BOTH_BAD or conversation.meaning(act) == "bad"
    return nobody and bad


def verdict_of(conversation: Conversation) -> Verdict:
    """The verdict of all acts that still stand."""
    bad: set[int] = set()
    lost: set[int] = set()
    won: Counter[int] = Counter()
    liked: Counter[int] = Counter()
    for act in conversation.feedback:
        if stale(conversation, act):
            continue
        choice = act.choice
        if choice is not None and choice.chosen is not None:
            won[choice.chosen] += len(choice.rejected)
            lost.update(choice.rejected)
        elif choice is not None:
            bad.update(choice.rejected if both_bad(conversation, act) else ())
        elif act.turn_seq is not None:
            leaning = _leaning(conversation, act)
            if leaning == "bad":
                bad.add(act.turn_seq)
            elif leaning == "good":
                liked[act.turn_seq] += 1
    # A judgement is about the whole message that its turn is a part of.
    bad, lost = _whole(conversation, bad), _whole(conversation, lost)
    won, liked = _whole_counts(conversation, won), _whole_counts(conversation, liked)
    return Verdict(won, liked, frozenset(bad), frozenset(bad | (lost - won.keys())))


def _whole(conversation: Conversation, turns: set[int]) -> set[int]:
    known = turns & conversation.turns.keys()
    return turns | {seq for turn in known for seq in conversation.message(turn)}


def _whole_counts(conversation: Conversation, counts: Counter[int]) -> Counter[int]:
    whole: Counter[int] = Counter()
    for turn, count in counts.items():
        known = turn in conversation.turns
        for seq in conversation.message(turn) if known else (turn,):
            whole[seq] += count
    return whole


def _leaning(conversation: Conversation, act: Interaction) -> Meaning | None:
    """Whether an act finds its turn good or bad, if it says so."""
    if act.action in EDIT_ACTIONS:
        return "bad" if act.content else None
    if act.action not in RATING_ACTIONS:
        return None
    said = conversation.meaning(act)
    if said in ("good", "bad"):
        return said
    stars = conversation.stars(act)
    if stars is None:
        return None
    judging = conversation.options.judging
    if stars <= judging.score_low:
        return "bad"
    return "good" if stars >= judging.score_high else None
