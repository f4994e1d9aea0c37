"""Conversations of which people said both good and bad."""

from __future__ import annotations

from typing import Any

from convstore.web.views.sessions import row
from convstore.web.visit import View, Visit, disagreeing

_PAGE = 200
_MOST_LOOKED_AT = 2_000
_MOST_SHOWN = 100


async def show(visit: Visit) -> View:
    """The page: from the counts that each session keeps, newest activity first."""
    reading, cursor = visit.reading, visit.query.get("cursor")
    found: list[Any] = []
    looked_at = 0
    while looked_at < _MOST_LOOKED_AT and len(found) < _MOST_SHOWN:
        page = await visit.store.sessions.list(limit=_PAGE, cursor=cursor)
        found += [
            one for one in page.items if disagreeing(one.feedback_counts, reading)
        ]
        looked_at += max(1, len(page.items))
        cursor = page.next_cursor
        if cursor is None:
            break
    shown: dict[str, Any] = {
        "rows": [row(visit, session) for session in found],
        "complete": cursor is None,
        "more": cursor and visit.url("/disagreements", cursor=cursor),
    }
    json = {"items": found, "next_cursor": cursor, "complete": cursor is None}
    return View("disagreements.html", "Disagreements", shown, json, "/disagreements")
