"""Sessions: a list with filters, newest activity first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Page, Session
from convstore.web.views.warning import warnings_of
from convstore.web.visit import View, Visit, chips, disagreeing, said

LIMIT = 50
SINCE = {"1d": "Last day", "7d": "Last 7 days", "30d": "Last 30 days"}
STATES = {
    "active": "Live",
    "archived": "Archived",
    "deleted": "Bin",
    "erased": "Erased",
}
ONLY = {
    "judged": ("Judged", {"judged": True}),
    "unjudged": ("Not judged", {"judged": False}),
    "disagreed": ("Disagreed on", {"disagreed": True}),
    "held": ("Held", {"held": True}),
}
_FILTERS = ("title", "user", "label", "tag", "language", "only", "state", "since")


async def show(visit: Visit) -> View:
    """The page."""
    asked = asked_of(visit)
    page = await visit.store.sessions.list(
        **filters_of(visit, asked), limit=LIMIT, cursor=visit.query.get("cursor")
    )
    live = await visit.store.sessions.count(state="active")
    archived = await visit.store.sessions.count(state="archived")
    warnings = await warnings_of(visit)
    shown: dict[str, Any] = {
        "rows": [row(visit, session) for session in page.items],
        "asked": asked,
        "complete": page.complete,
        **ways(visit, page, "/", asked),
        "live": live,
        "archived": archived,
        "states": STATES,
        "only": {key: words for key, (words, _) in ONLY.items()},
        "kept_for": visit.store.config.retention.keep_archive_for_s,
        "periods": SINCE,
        "warnings": warnings,
        "bulk": asked and visit.url("/bulk", **asked),
        "person": asked.get("user") if set(asked) == {"user"} else None,
    }
    json = {
        "items": page.items,
        "next_cursor": page.next_cursor,
        "previous_cursor": page.previous_cursor,
        "complete": page.complete,
        "warnings": warnings,
    }
    return View("sessions.html", "Sessions", shown, json, "/")


def asked_of(visit: Visit) -> dict[str, str]:
    """The filters of an address."""
    return {name: visit.query[name] for name in _FILTERS if name in visit.query}


def filters_of(visit: Visit, asked: Mapping[str, str]) -> dict[str, Any]:
    """The filters as `sessions.list` and `bulk` take them.

    Raises:
        InvalidInputError: One cannot be meant; it is named.
    """
    state = asked.get("state")
    if state is not None and state not in STATES:
        raise InvalidInputError("state", "is not a state of a session")
    only = asked.get("only")
    if only is not None and only not in ONLY:
        raise InvalidInputError("only", f"must be one of {', '.join(ONLY)}")
    marks: dict[str, Any] = {} if only is None else ONLY[only][1]
    return {
        "title": asked.get("title"),
        "user_id": asked.get("user"),
        "label": asked.get("label"),
        "tag": asked.get("tag"),
        "language": asked.get("language"),
        "state": state,
        "updated_since": since(visit, asked.get("since")),
        **marks,
    }


def since(visit: Visit, period: str | None) -> datetime | None:
    """When a period of the filters began."""
    if period is None:
        return None
    if period not in SINCE:
        raise InvalidInputError("since", f"must be one of {', '.join(SINCE)}")
    return visit.now - timedelta(days=int(period[:-1]))


def ways(
    visit: Visit, page: Page[Any], path: str, asked: Mapping[str, str]
) -> dict[str, Any]:
    """Where a list goes on, and back; None where it does not."""
    return {
        "more": page.next_cursor and visit.url(path, **asked, cursor=page.next_cursor),
        "back": page.previous_cursor
        and visit.url(path, **asked, cursor=page.previous_cursor),
        "first": "cursor" in visit.query and visit.url(path, **asked),
    }


def row(visit: Visit, session: Session) -> dict[str, Any]:
    """A session as a line of a table."""
    counts = session.feedback_counts
    return {
        "session": session,
        "url": visit.url("/conversation", id=session.id),
        "chips": chips(counts, visit.reading),
        "said": said(counts, visit.reading),
        "disagree": disagreeing(counts, visit.reading),
    }
