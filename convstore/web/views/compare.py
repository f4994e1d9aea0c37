"""Two answers to one question side by side, to say which is better."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.feedback import offered
from convstore.web.pieces import pieces_of
from convstore.web.visit import View, Visit, whole


async def show(visit: Visit) -> View:
    """The page."""
    session_id = visit.needed("id")
    one, other = (whole(name, visit.needed(name)) for name in ("one", "other"))
    if one == other:
        raise InvalidInputError("other", "is the same turn")
    session = await visit.store.sessions.get(session_id)
    found = await visit.store.turns.siblings(session_id, [one])
    answers = {turn.seq: turn for turn in found[one]}
    if other not in answers:
        raise InvalidInputError("other", "answers another turn")
    order = dealt(visit.actor.id, session_id, one, other)
    asked = []
    if answers[one].parent_seq is not None:
        asked = await visit.store.turns.branch(
            session_id, head=answers[one].parent_seq, limit=4
        )
    acts = await visit.store.interactions.effective(session_id, one)
    mine = [
        act
        for act in acts
        if act.actor_id == visit.actor.id
        and offered(act.choice) == tuple(sorted((one, other)))
    ]
    shown: dict[str, Any] = {
        "session": session,
        "asked": [(turn, pieces_of(turn)) for turn in asked],
        "sides": [
            {"name": name, "turn": answers[seq], "pieces": pieces_of(answers[seq])}
            for name, seq in zip("AB", order, strict=True)
        ],
        "order": order,
        "mine": mine[-1] if mine else None,
        "act": secrets.token_hex(8),
        "back": visit.url("/conversation", id=session_id, at=one) + f"#turn-{one}",
    }
    json = {"asked": asked, "order": order, "answers": [answers[seq] for seq in order]}
    return View("compare.html", session.title, shown, json, "/")


def dealt(actor_id: str, session_id: str, one: int, other: int) -> tuple[int, int]:
    """Which answer stands left: at random, and always the same for one person."""
    low, high = sorted((one, other))
    said = "\0".join((actor_id, session_id, str(low), str(high)))
    odd = hashlib.sha256(said.encode()).digest()[0] & 1
    return (high, low) if odd else (low, high)
