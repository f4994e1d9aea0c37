"""Who judges: how much, how fast, and how far they agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from convstore.vocabulary.agreement import counted, units_of
from convstore.vocabulary.feedback import RETRACT, is_judgement, place_of
from convstore.vocabulary.records import Interaction
from convstore.web.visit import View, Visit

DAYS = 30
_MOST_ACTS = 10_000
_PAUSE_S = 600
"""A longer time between two judgements is a pause, and no time of judging."""


async def show(visit: Visit) -> View:
    """The page, of the last thirty days."""
    since = visit.now - timedelta(days=DAYS)
    acts: list[Interaction] = []
    cursor, complete = None, True
    while True:
        page = await visit.store.interactions.search(
            since=since, limit=1_000, cursor=cursor
        )
        acts += page.items
        cursor, complete = page.next_cursor, complete and page.complete
        if cursor is None or len(acts) >= _MOST_ACTS:
            break
    complete = complete and cursor is None
    standing = _standing(acts)
    together = counted(units_of(standing, visit.reading))
    found = together.agreement()
    people = _people(standing)
    pairs = [
        {"one": one, "other": other, "kappa": kappa}
        for (one, other), kappa in together.kappas().items()
    ]
    shown: dict[str, Any] = {
        "people": people,
        "days": _days(standing, visit.now),
        "agreement": found,
        "pairs": pairs[:50],
        "complete": complete,
        "period": DAYS,
    }
    json = {"people": people, "agreement": found, "pairs": pairs, "complete": complete}
    return View("people.html", "People", shown, json, "/people")


def _standing(acts: Iterable[Interaction]) -> list[Interaction]:
    """Judgements by people, the last one of each on each thing; oldest first."""
    last: dict[object, Interaction] = {}
    removed = {
        (act.session_id, act.supersedes) for act in acts if act.supersedes is not None
    }
    for act in sorted(acts, key=lambda act: (act.created_at, act.seq)):
        taken_back = (act.session_id, act.seq) in removed or act.action == RETRACT
        if act.actor_kind == "human" and is_judgement(act) and not taken_back:
            last[act.session_id, place_of(act)] = act
    return sorted(last.values(), key=lambda act: act.created_at)


def _people(standing: Iterable[Interaction]) -> list[dict[str, Any]]:
    by: defaultdict[str, list[Interaction]] = defaultdict(list)
    for act in standing:
        by[act.actor_id or "unnamed"].append(act)
    found = []
    for name, acts in by.items():
        times = [act.created_at for act in acts]
        gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
        working = [gap for gap in gaps if 0 < gap < _PAUSE_S]
        found.append(
            {
                "name": name,
                "judgements": len(acts),
                "sessions": len({act.session_id for act in acts}),
                "seconds_each": round(median(working)) if working else None,
                "last_at": times[-1],
            }
        )
    return sorted(found, key=lambda one: (-one["judgements"], one["name"]))


def _days(standing: Iterable[Interaction], now: datetime) -> list[dict[str, Any]]:
    """Judgements of each day, oldest first; the busiest is a hundred percent."""
    counts = Counter(act.created_at.date() for act in standing)
    most = max(counts.values(), default=0)
    days = [(now - timedelta(days=n)).date() for n in range(DAYS - 1, -1, -1)]
    return [
        {
            "place": place,
            "day": day.isoformat(),
            "count": counts[day],
            "share": round(100 * counts[day] / most) if most else 0,
        }
        for place, day in enumerate(days)
    ]
