"""What a search found, in live and archived conversations."""

from __future__ import annotations

from typing import Any

from convstore.web.visit import View, Visit

LIMIT = 30


async def show(visit: Visit) -> View:
    """The page; without words it asks for some."""
    words = visit.query.get("q", "")
    shown: dict[str, Any] = {"words": words, "hits": (), "more": None, "complete": True}
    if not words.strip():
        return View("found.html", "Search", shown, {"items": []})
    page = await visit.store.search(
        words, limit=LIMIT, cursor=visit.query.get("cursor")
    )
    visit.seen.extend(dict.fromkeys(hit.session.id for hit in page.items))
    shown["hits"] = [
        {
            "hit": hit,
            "url": visit.url("/conversation", id=hit.session.id, at=hit.turn_seq)
            + (f"#turn-{hit.turn_seq}" if hit.turn_seq else ""),
        }
        for hit in page.items
    ]
    shown["complete"] = page.complete
    if page.next_cursor:
        shown["more"] = visit.url("/search", q=words, cursor=page.next_cursor)
    json = {
        "items": page.items,
        "next_cursor": page.next_cursor,
        "complete": page.complete,
    }
    return View("found.html", "Search", shown, json)
