"""Whether what a session document says in several places is the same."""

from __future__ import annotations

from collections.abc import Iterable

from convstore.vocabulary.checkpoints import agrees
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import SessionDocument

# Where versions end: each change raises one, and the sum must fit 64 bits.
_MAX_VERSION = 2**62


def check_agreement(document: SessionDocument) -> None:
    """Check that the counts and numbers of a document agree with each other.

    A document that this library wrote does; one may have been made by hand.

    Raises:
        InvalidInputError: They do not; names what.
    """
    session, turns = document.session, document.turns
    acts, graphs = document.interactions, document.graph_states
    last = len(turns)
    owners: set[str | None] = {session.id}
    for part in (turns, acts, graphs, document.items, document.holds):
        owners |= {item.session_id for item in part}
    chosen = {
        seq
        for act in acts
        if act.choice is not None
        for seq in (act.choice.chosen, *act.choice.rejected)
    }
    targets = {session.head_seq, *chosen, *(act.turn_seq for act in acts)} - {None}
    states = [(graph.namespace, graph.version) for graph in graphs]
    items = [(item.namespace, item.key) for item in document.items]
    hashes = {turn.tools_hash for turn in turns} - {None}
    held = sum(hold.released_at is None for hold in document.holds)
    agreed = {
        "session.version": 1 <= session.version <= _MAX_VERSION,
        "session_id": owners == {session.id},
        "turns.seq": _counted(turn.seq for turn in turns),
        "turns.parent_seq": all(
            turn.parent_seq is None or 1 <= turn.parent_seq < turn.seq for turn in turns
        ),
        "turns.tools_hash": hashes <= document.tool_sets.keys(),
        "interactions.seq": _counted(act.seq for act in acts),
        "turn_seq": targets <= set(range(1, last + 1)),
        "graph_states.version": len(set(states)) == len(states),
        "items.key": len(set(items)) == len(items),
        "checkpoints": agrees(document.checkpoints, session.id),
        "holds.number": _counted(hold.number for hold in document.holds),
        "session.turn_count": session.turn_count == last,
        "session.interaction_count": session.interaction_count == len(acts),
        "session.graph_state_count": session.graph_state_count == len(graphs),
        "session.hold_count": session.hold_count == held,
    }
    for where, fine in agreed.items():
        if not fine:
            raise InvalidInputError(f"document.{where}", "does not agree with the rest")


def _counted(numbers: Iterable[int]) -> bool:
    """Whether they count from 1 without a gap."""
    return all(number == place for place, number in enumerate(numbers, 1))
