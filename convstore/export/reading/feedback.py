"""Which acts upon a session still stand: the effective feedback."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from convstore.vocabulary.records import Interaction

RETRACT = "retract"
_EACH_COUNTS = frozenset({"inject"})
"""Acts of which one actor may do several on one target, each adding something."""


def effective(interactions: Iterable[Interaction]) -> tuple[Interaction, ...]:
    """The last not retracted interaction per actor, target and action, in `seq` order.

    An interaction that supersedes another removes it, whatever its action; one of
    action `retract` only removes. Acts that add something, such as `inject`, all stand
    unless retracted.
    """
    known = sorted(interactions, key=lambda act: act.seq)
    removed = {act.supersedes for act in known if act.supersedes is not None}
    last: dict[Hashable, Interaction] = {}
    for act in known:
        if act.seq in removed or act.action == RETRACT:
            continue
        last[_key(act)] = act
    return tuple(sorted(last.values(), key=lambda act: act.seq))


def _key(act: Interaction) -> Hashable:
    if act.action in _EACH_COUNTS:
        return act.seq
    choice = act.choice
    offered = None
    if choice is not None:
        offered = frozenset(
            (*choice.rejected, *([choice.chosen] * bool(choice.chosen)))
        )
    return act.actor_id, act.actor_kind, act.action, act.turn_seq, act.node_id, offered
