"""Forms that judge: each is an ordinary interaction of the store."""

from __future__ import annotations

from typing import Any

from convstore.vocabulary.errors import InteractionNotFoundError, InvalidInputError
from convstore.vocabulary.feedback import RETRACT
from convstore.vocabulary.records import Choice
from convstore.web.views.compare import dealt
from convstore.web.visit import ACTION, SURFACE, Go, Visit, whole


async def judge(visit: Visit) -> Go:
    """A label, a comment with it, or a correction, upon a turn or the session."""
    session_id, seq = visit.needed("id"), visit.number("turn")
    label, comment, correction = (
        _said(visit, name) for name in ("label", "comment", "correction")
    )
    if correction is not None and seq is None:
        raise InvalidInputError("correction", "is of a turn")
    acts: list[dict[str, Any]] = []
    if label is not None or comment is not None:
        acts.append({"action": ACTION, "feedback": label, "content": comment})
    if correction is not None:
        acts.append({"action": "edit", "content": correction})
    if not acts:
        raise InvalidInputError("label", "say a label, a comment or a correction")
    stored = await visit.store.interactions.record_many(
        [
            {
                **act,
                "turn_seq": seq,
                "actor_id": visit.actor.id,
                "surface": SURFACE,
                "external_id": _external(visit, f"{act['action']}-{label or ''}"),
            }
            for act in acts
        ],
        session_id=session_id,
    )
    return Go(
        await _next(visit, session_id, seq, stored[0].seq), {"interactions": stored}
    )


async def choose(visit: Visit) -> Go:
    """Which of two answers is better; 0 where neither is."""
    session_id = visit.needed("id")
    one, other = (whole(name, visit.needed(name)) for name in ("one", "other"))
    chosen = whole("chosen", visit.form.get("chosen", ""))
    if chosen not in (0, one, other):
        raise InvalidInputError("chosen", "is none of the two")
    choice = (
        Choice(chosen, (other if chosen == one else one,))
        if chosen
        else Choice(None, (one, other))
    )
    stored = await visit.store.interactions.record(
        session_id,
        action="choose",
        choice=choice,
        actor_id=visit.actor.id,
        shown={"order": list(dealt(visit.actor.id, session_id, one, other))},
        surface=SURFACE,
        external_id=_external(visit, f"choose-{chosen}"),
    )
    return Go(await _next(visit, session_id, one, stored.seq), {"interaction": stored})


async def retract(visit: Visit) -> Go:
    """Take back one's own judgement; nobody takes back another's."""
    session_id = visit.needed("id")
    number = whole("interaction", visit.needed("interaction"))
    standing = await visit.store.interactions.effective(session_id)
    found = next((act for act in standing if act.seq == number), None)
    if found is None:
        raise InteractionNotFoundError(session_id, number)
    if found.actor_kind != "human" or found.actor_id != visit.actor.id:
        raise InvalidInputError("interaction", "is another person's judgement")
    stored = await visit.store.interactions.record(
        session_id,
        action=RETRACT,
        turn_seq=found.turn_seq,
        supersedes=number,
        actor_id=visit.actor.id,
        surface=SURFACE,
        external_id=f"web-retract-{number}",
    )
    to = _back(visit, session_id, found.turn_seq)
    if "queue" in visit.query:
        to = visit.url("/judge", queue=visit.query["queue"])
    return Go(to, {"interaction": stored})


def _said(visit: Visit, name: str) -> str | None:
    """A field's text; a browser sends each line's end as two characters."""
    given = visit.form.get(name)
    if given is None or not given.strip():
        return None
    return given.replace("\r\n", "\n")


def _external(visit: Visit, what: str) -> str:
    """An id of this act: the same form sent twice is one judgement."""
    act = visit.form.get("act", "")
    if not act.isascii() or not act.isalnum() or not 8 <= len(act) <= 64:
        raise InvalidInputError("act", "is missing: load the page again")
    return f"web-{act}-{what}"[:255]


async def _next(visit: Visit, session_id: str, seq: int | None, number: int) -> str:
    """Where to go on: to what the queue gives next, or to what was judged."""
    name = visit.query.get("queue")
    if name is None:
        return _back(visit, session_id, seq)
    # After the judgement is stored: who looks now sees it, and not only no lease.
    await visit.store.queues.release(name, session_id, rater=visit.actor.id)
    return visit.url("/judge", queue=name, done=session_id, interaction=number)


def _back(visit: Visit, session_id: str, seq: int | None) -> str:
    """The conversation again, at the turn that was judged."""
    page = visit.url(
        "/conversation",
        id=session_id,
        head=visit.number("head"),
        before=visit.number("before"),
        at=seq,
    )
    return page + (f"#turn-{seq}" if seq else "")
