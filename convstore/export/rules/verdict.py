"""What people made of the answers of a session: which are not to be imitated.

And how single acts are read, which the other rules do alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from convstore.export.options import Judging
from convstore.export.reading.conversation import Conversation
from convstore.export.rules.checks import stale
from convstore.vocabulary.records import Interaction

RATING_ACTIONS = ("feedback", "rate", "rating")
EDIT_ACTIONS = ("edit", "correction", "correct")
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


def stars(act: Interaction) -> float | None:
    """The score, brought from the scale in `metadata["scale"] = [low, high]` to 1–5."""
    scale = act.metadata.get("scale")
    if act.score is None or not (isinstance(scale, list) and len(scale) == 2):
        return act.score
    if not all(type(end) in (int, float) for end in scale) or scale[0] == scale[1]:
        return act.score
    low, high = float(scale[0]), float(scale[1])
    return 1 + 4 * (act.score - low) / (high - low)


def scored(act: Interaction, judging: Judging) -> bool:
    """Whether the act says good or bad by its score: a word goes before it."""
    said = act.feedback in judging.positive or act.feedback in judging.negative
    return act.score is not None and not said


def both_bad(act: Interaction, judging: Judging) -> bool:
    """Whether the act says of all the answers offered that they are bad."""
    nobody = act.choice is not None and act.choice.chosen is None
    return nobody and (act.feedback in _BOTH_BAD or act.feedback in judging.negative)


def verdict_of(conversation: Conversation) -> Verdict:
    """The verdict of all acts that still stand."""
    judging = conversation.options.judging
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
            bad.update(choice.rejected if both_bad(act, judging) else ())
        elif act.turn_seq is not None:
            if _disapproves(act, judging):
                bad.add(act.turn_seq)
            elif _approves(act, judging):
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


def _approves(act: Interaction, judging: Judging) -> bool:
    if act.action not in RATING_ACTIONS:
        return False
    high = scored(act, judging) and (stars(act) or 0.0) >= judging.score_high
    return high or act.feedback in judging.positive


def _disapproves(act: Interaction, judging: Judging) -> bool:
    if act.action in EDIT_ACTIONS:
        return bool(act.content)
    if act.action not in RATING_ACTIONS:
        return False
    low = scored(act, judging) and (stars(act) or 0.0) <= judging.score_low
    return low or act.feedback in judging.negative
