"""Queues, and the page that gives a rater one thing after the other."""

from __future__ import annotations

import secrets
from typing import Any

from convstore.vocabulary.queues import QueueItem
from convstore.vocabulary.records import Turn
from convstore.web.pieces import pieces_of
from convstore.web.views.compare import dealt
from convstore.web.visit import Go, View, Visit, whole

_CONTEXT = 8
"""Turns before the answer that a rater sees; the conversation has all."""
_FILTERS = {
    "user": "user_id",
    "tag": "tag",
    "label": "label",
    "language": "language",
    "title": "title",
}


async def queues(visit: Visit) -> View:
    """The queues there are, and a form for another one."""
    page = await visit.store.queues.list(cursor=visit.query.get("cursor"))
    shown: dict[str, Any] = {
        "rows": [
            {
                "queue": queue,
                "url": visit.url("/judge", queue=queue.name),
                "filters": [
                    f"{name} {getattr(queue, field)}"
                    for name, field in _FILTERS.items()
                    if getattr(queue, field) is not None
                ],
            }
            for queue in page.items
        ],
        "filters": list(_FILTERS),
        "more": page.next_cursor and visit.url("/queues", cursor=page.next_cursor),
    }
    json = {"items": page.items, "next_cursor": page.next_cursor}
    return View("queues.html", "Judge", shown, json, "/queues")


async def make(visit: Visit) -> Go:
    """Make a queue, or change it."""
    given = {
        field: visit.form.get(name, "").strip() or None
        for name, field in _FILTERS.items()
    }
    made = await visit.store.queues.put(
        visit.form.get("name", "").strip(),
        raters=whole("raters", visit.form.get("raters", "1")),
        question=visit.form.get("question", "").strip() or None,
        **given,
    )
    return Go(visit.url("/queues"), {"queue": made})


async def end(visit: Visit) -> Go:
    """End a queue; what was judged stays."""
    name = visit.needed("queue")
    visit.confirmed(name)
    return Go(visit.url("/queues"), {"deleted": await visit.store.queues.delete(name)})


async def show(visit: Visit) -> View:
    """What the visitor judges next. Others' judgements are not shown before theirs."""
    name = visit.needed("queue")
    queue = await visit.store.queues.get(name)
    turn = await visit.store.queues.next(name, rater=visit.actor.id)
    shown: dict[str, Any] = {
        "queue": queue,
        "item": turn.item,
        "complete": turn.complete,
        "act": secrets.token_hex(8),
        "again": visit.url("/judge", queue=name),
        "undo": _undo(visit, name),
        "context": (),
        "sides": (),
        "forms": {},
    }
    json: dict[str, Any] = {"queue": queue, "item": turn.item, "turns": ()}
    if turn.item is not None:
        visit.seen.append(turn.item.session.id)
        said = await visit.store.turns.branch(
            turn.item.session.id, head=turn.item.turn_seq, limit=_CONTEXT + 1
        )
        answers = await _answers(visit, turn.item, said)
        shown |= {
            "context": [(one, pieces_of(one)) for one in said[:-1]],
            "sides": [
                {"name": letter, "turn": one, "pieces": pieces_of(one)}
                for letter, one in zip("AB", answers, strict=False)
            ],
            "forms": _forms(visit, turn.item, answers),
        }
        json["turns"] = [*said[:-1], *answers]
    return View("judge.html", queue.question or name, shown, json, "/queues")


async def _answers(visit: Visit, item: QueueItem, said: list[Turn]) -> tuple[Turn, ...]:
    """The answer, or it and the newest other one in an order of chance."""
    if not item.others:
        return (said[-1],)
    other = item.others[-1]
    order = dealt(visit.actor.id, item.session.id, item.turn_seq, other)
    found = {
        item.turn_seq: said[-1],
        other: await visit.store.turns.get(item.session.id, other),
    }
    return tuple(found[seq] for seq in order)


def _forms(visit: Visit, item: QueueItem, answers: tuple[Turn, ...]) -> dict[str, str]:
    of = {"id": item.session.id, "queue": item.queue}
    forms = {
        "skip": visit.url("/skip", **of),
        "judge": visit.url("/judge", **of, turn=item.turn_seq),
        "conversation": visit.url(
            "/conversation", id=item.session.id, at=item.turn_seq
        ),
    }
    if len(answers) == 2:
        one, other = (turn.seq for turn in answers)
        forms["choose"] = visit.url("/choose", **of, one=one, other=other)
    return forms


def _undo(visit: Visit, name: str) -> str | None:
    """Where the last judgement of this visit is taken back."""
    session_id, number = visit.query.get("done"), visit.number("interaction")
    if session_id is None or number is None:
        return None
    return visit.url("/retract", id=session_id, interaction=number, queue=name)


async def skip(visit: Visit) -> Go:
    """Leave an item to others."""
    name = visit.needed("queue")
    await visit.store.queues.release(
        name, visit.needed("id"), rater=visit.actor.id, skip=True
    )
    return Go(visit.url("/judge", queue=name), {"skipped": visit.needed("id")})
