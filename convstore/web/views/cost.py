"""What conversations cost: the tenant, by day and model, and user by user."""

from __future__ import annotations

from typing import Any

from convstore.web.views.sessions import ways
from convstore.web.visit import View, Visit

LIMIT = 30
"""Users of one page: the cost of each is asked for by itself."""

DAYS, MODELS = 14, 10


async def show(visit: Visit) -> View:
    """The page."""
    page = await visit.store.users.list(limit=LIMIT, cursor=visit.query.get("cursor"))
    rows = [
        {
            "user": one,
            "cost_micros": await visit.store.ledger.cost(user_id=one.user_id),
            "url": visit.url("/", user=one.user_id),
        }
        for one in page.items
    ]
    total = await visit.store.ledger.cost()
    days = await visit.store.ledger.report("day", limit=DAYS)
    models = await visit.store.ledger.report("model", limit=MODELS)
    shown: dict[str, Any] = {
        "rows": rows,
        "total": total,
        "days": days,
        "models": models,
        "policy": visit.store.config.ledger,
        **ways(visit, page, "/cost", {}),
    }
    json = {
        "total_micros": total,
        "days": days,
        "models": models,
        "items": rows,
        "next_cursor": page.next_cursor,
        "previous_cursor": page.previous_cursor,
    }
    return View("cost.html", "Cost", shown, json, "/cost")
