"""Who spoke, and what was reported: what is told of one turn or act by itself."""

from __future__ import annotations

from collections.abc import Sequence

from convstore.messages.parts import ROLES, kind_of
from convstore.vocabulary.records import Interaction, Turn

REPORT_ACTIONS = frozenset({"report", "flag", "safety"})


def reported(acts: Sequence[Interaction]) -> frozenset[int]:
    """Turns that somebody reported; 0 stands for the whole session (rule R17)."""
    return frozenset(act.turn_seq or 0 for act in acts if act.action in REPORT_ACTIONS)


def role_of(turn: Turn) -> str:
    """`system`, `user`, `assistant`, `tool`, or the stored word if none of them."""
    role = ROLES.get(turn.role, turn.role)
    if role != "user" or turn.content or not turn.parts:
        return role
    # Some clients tell what tools gave back in messages of the user.
    results = all(kind_of(part) == "result" for part in turn.parts)
    return "tool" if results else role
