"""The archive: how much it has, whether it is whole, and which sessions lie there."""

from __future__ import annotations

from typing import Any

from convstore.web.visit import View, Visit

LIMIT = 50
SEGMENTS = 10
"""Files, and runs, that are shown; the command line has all."""


async def show(visit: Visit) -> View:
    """The page."""
    page = await visit.store.archive.list(
        user_id=visit.query.get("user"),
        limit=LIMIT,
        cursor=visit.query.get("cursor"),
    )
    stats = await visit.store.stats()
    segments = await visit.store.archive.segments(limit=SEGMENTS)
    runs = await visit.store.archive.runs(limit=SEGMENTS)
    shown: dict[str, Any] = {
        "stats": stats,
        "segments": segments,
        "runs": runs,
        "rows": [
            {"archived": one, "url": visit.url("/conversation", id=one.session_id)}
            for one in page.items
        ],
        "more": page.next_cursor
        and visit.url(
            "/archive", user=visit.query.get("user"), cursor=page.next_cursor
        ),
        "first": "cursor" in visit.query and visit.url("/archive"),
    }
    json = {
        "stats": stats,
        "segments": segments.items,
        "runs": runs.items,
        "items": page.items,
        "next_cursor": page.next_cursor,
    }
    return View("archive.html", "Archive", shown, json, "/archive")
