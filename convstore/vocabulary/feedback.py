"""What stands of the acts upon a session: the one definition of effective feedback.

An act is in force while no other supersedes it and it is the last one of its actor,
target and action. Counts, lists, exports and pages ask here, or are held to it by a
test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from typing import Protocol, TypeVar

from convstore.vocabulary.records import (
    ActorKind,
    Choice,
    FeedbackSummary,
    Interaction,
)

RETRACT = "retract"
"""The action that only takes another act back."""
RATING_ACTIONS = ("feedback", "rate", "rating")
EDIT_ACTIONS = ("edit", "correction", "correct")
_EACH_COUNTS = frozenset({"inject"})
"""Acts of which one actor may do several on one target, each adding something."""


class Act(Protocol):
    """What must be known of an act to tell whether it stands."""

    @property
    def seq(self) -> int: ...
    @property
    def action(self) -> str: ...
    @property
    def actor_id(self) -> str | None: ...
    @property
    def actor_kind(self) -> ActorKind: ...
    @property
    def turn_seq(self) -> int | None: ...
    @property
    def node_id(self) -> str | None: ...
    @property
    def choice(self) -> Choice | None: ...
    @property
    def supersedes(self) -> int | None: ...


A = TypeVar("A", bound=Act)


def in_force(acts: Iterable[A]) -> tuple[A, ...]:
    """The acts of one session that stand, in `seq` order.

    The last one not retracted per actor, target and action, whatever it says: a score
    alone replaces a label. An act that supersedes another removes it, whatever its own
    action; one of action `retract` only removes, and taking it back brings nothing
    back. Acts that add something, such as `inject`, all stand unless retracted.
    """
    known = sorted(acts, key=lambda act: act.seq)
    removed = {act.supersedes for act in known if act.supersedes is not None}
    last: dict[Hashable, A] = {}
    for act in known:
        if act.seq not in removed and act.action != RETRACT:
            last[place_of(act)] = act
    return tuple(sorted(last.values(), key=lambda act: act.seq))


def place_of(act: Act) -> Hashable:
    """What an act replaces the earlier ones of: equal for acts of which one stands.

    No name is one actor of its kind; a choice is the same target whichever of the
    turns on offer is taken, and in whatever order they are named.
    """
    if act.action in _EACH_COUNTS:
        return act.seq
    return (
        act.actor_id,
        act.actor_kind,
        act.action,
        act.turn_seq,
        act.node_id,
        offered(act.choice),
    )


def offered(choice: Choice | None) -> tuple[int, ...] | None:
    """The turns that a choice was between, in `seq` order."""
    if choice is None:
        return None
    chosen = () if choice.chosen is None else (choice.chosen,)
    return tuple(sorted({*choice.rejected, *chosen}))


def is_judgement(act: Interaction) -> bool:
    """Whether an act says what somebody makes of its target.

    By a label, a score, a choice, a comment given as feedback, or a correction.
    """
    if act.feedback is not None or act.score is not None or act.choice is not None:
        return True
    says = act.content is not None or act.reason is not None
    return says and act.action in (*RATING_ACTIONS, *EDIT_ACTIONS)


def is_about(act: Interaction, turn_seq: int) -> bool:
    """Whether a turn is what the act is upon, or one of those it chose between."""
    return act.turn_seq == turn_seq or turn_seq in (offered(act.choice) or ())


def label_counts(standing: Collection[Interaction]) -> dict[str, int]:
    """How many of the acts in force say which label."""
    return dict(Counter(act.feedback for act in standing if act.feedback is not None))


def summary_of(acts: Iterable[Interaction]) -> FeedbackSummary:
    """The effective feedback among the acts of a session, by label, turn and node."""
    standing = in_force(acts)
    by_turn: dict[int, Counter[str]] = {}
    by_node: dict[str, Counter[str]] = {}
    for act in standing:
        if act.feedback is None:
            continue
        if act.turn_seq is not None:
            by_turn.setdefault(act.turn_seq, Counter())[act.feedback] += 1
        if act.node_id is not None:
            by_node.setdefault(act.node_id, Counter())[act.feedback] += 1
    counts = label_counts(standing)
    scores = [act.score for act in standing if act.score is not None]
    return FeedbackSummary(
        total=sum(counts.values()),
        by_label=counts,
        by_turn={seq: dict(labels) for seq, labels in by_turn.items()},
        by_node={node: dict(labels) for node, labels in by_node.items()},
        mean_score=sum(scores) / len(scores) if scores else None,
    )
