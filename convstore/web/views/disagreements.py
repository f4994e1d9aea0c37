"""Conversations of which people said both good and bad."""

from __future__ import annotations

from typing import Any

from convstore.web.views.sessions import row, ways
from convstore.web.visit import View, Visit

LIMIT = 50


async def show(visit: Visit) -> View:
    """The page: newest activity first."""
    page = await visit.store.sessions.list(
        disagreed=True, limit=LIMIT, cursor=visit.query.get("cursor")
    )
    shown: dict[str, Any] = {
        "rows": [row(visit, session) for session in page.items],
        "complete": page.complete,
        **ways(visit, page, "/disagreements", {}),
    }
    json = {
        "items": page.items,
        "next_cursor": page.next_cursor,
        "previous_cursor": page.previous_cursor,
        "complete": page.complete,
    }
    return View("disagreements.html", "Disagreements", shown, json, "/disagreements")
