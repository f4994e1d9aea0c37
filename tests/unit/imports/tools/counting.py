"""What is in imported conversations, counted as an independent reader counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from convstore.imports.model import ImportedSession
from convstore.messages.parts import kind_of
from convstore.vocabulary.records import TurnInput

ATTACHED = ("image", "audio", "file")


def counts(sessions: Iterable[ImportedSession]) -> dict[str, Any]:
    """A turn is one author's step; forks are turns, or the start, with several
    children; thinking counts the turns that have some."""
    found: Counter[str] = Counter()
    roles: Counter[str] = Counter()
    for session in sessions:
        found["conversations"] += 1
        found["empty"] += not session.turns
        found["titles"] += bool(session.title)
        found["feedback"] += sum(a.action == "feedback" for a in session.interactions)
        children: Counter[int] = Counter()
        for seq, turn in enumerate(session.turns, 1):
            children[seq - 1 if turn.parent_seq is None else turn.parent_seq] += 1
            roles[turn.role] += 1
            kinds = [kind_of(part) for part in turn.parts or ()]
            found["turns"] += 1
            found["tool_calls"] += kinds.count("call")
            found["thinking"] += "thought" in kinds
            found["attachments"] += sum(kind in ATTACHED for kind in kinds)
            found["attachments"] += len(_beside(turn))
            found["with_model"] += turn.model is not None
            found["chars"] += len(turn.content or "")
        found["forks"] += sum(count > 1 for count in children.values())
        found["branches"] += sum(
            seq not in children for seq in range(1, len(session.turns) + 1)
        )
    return {**found, "roles": dict(roles)}


def _beside(turn: TurnInput) -> list[Any]:
    """Attachments that ChatGPT lists beside the content: those that the content points
    to are listed again; of the others there are parts."""
    source = turn.metadata.get("source")
    given = source.get("attachments") if isinstance(source, dict) else None
    parts = [p.get("source") for p in turn.parts or () if isinstance(p, dict)]
    return [item for item in given or () if item not in parts]
