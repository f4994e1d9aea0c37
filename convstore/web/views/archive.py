"""The archive: how much it has, whether it is whole, and which sessions lie there."""

from __future__ import annotations

from typing import Any

from convstore.web.views.sessions import ways
from convstore.web.views.warning import warnings_of
from convstore.web.visit import View, Visit

LIMIT = 50
SEGMENTS = 10
"""Files, and runs, that are shown; the command line has all."""


async def show(visit: Visit) -> View:
    """The page."""
    asked = {"user": visit.query["user"]} if "user" in visit.query else {}
    page = await visit.store.archive.list(
        user_id=asked.get("user"),
        limit=LIMIT,
        cursor=visit.query.get("cursor"),
    )
    stats = await visit.store.stats()
    segments = await visit.store.archive.segments(limit=SEGMENTS)
    runs = await visit.store.archive.runs(limit=SEGMENTS)
    warnings = await warnings_of(visit)
    shown: dict[str, Any] = {
        "warnings": warnings,
        "stats": stats,
        "segments": segments,
        "runs": runs,
        "rows": [
            {"archived": one, "url": visit.url("/conversation", id=one.session_id)}
            for one in page.items
        ],
        **ways(visit, page, "/archive", asked),
    }
    json = {
        "warnings": warnings,
        "stats": stats,
        "segments": segments.items,
        "runs": runs.items,
        "items": page.items,
        "next_cursor": page.next_cursor,
        "previous_cursor": page.previous_cursor,
    }
    return View("archive.html", "Archive", shown, json, "/archive")
