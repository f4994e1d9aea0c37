"""One act upon all sessions of a filter: looked at first, then confirmed by number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from convstore.vocabulary.bulk import BulkReport
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.errors import InvalidInputError
from convstore.web.views.sessions import asked_of, filters_of, row
from convstore.web.visit import Sent, View, Visit, begun

ACTS = {
    "tag": ("Tag", "Tag them with"),
    "untag": ("Untag", "Take the tag away"),
    "hold": ("Hold", "Hold them, for the reason"),
    "delete": ("Delete", "Delete them: archived copies are kept"),
    "export": ("Export", "Export them, whole, as JSON Lines"),
}
_WITH_TEXT = ("tag", "untag", "hold")
_SHOWN = 20


async def show(visit: Visit) -> View:
    """The filter, and what may be done. Nothing is counted before it is asked for."""
    return await _page(visit, asked_of(visit), None)


async def act(visit: Visit) -> View | Sent:
    """A dry run, or the act itself where the number that it told was typed."""
    asked, name = asked_of(visit), visit.form.get("do", "")
    if name not in ACTS:
        raise InvalidInputError("do", f"must be one of {', '.join(ACTS)}")
    text = visit.form.get("text", "").strip() or None
    if name not in _WITH_TEXT:
        text = None
    elif text is None:
        raise InvalidInputError("text", f"{name} needs one")
    filters = filters_of(visit, asked)
    # The file of an export is the browser's: which sessions is the same question.
    given = ("delete", None) if name == "export" else (name, text)
    seen = await visit.store.bulk(*given, **filters, dry_run=True)  # type: ignore[arg-type]
    if "confirm" not in visit.form:
        return await _page(visit, asked, seen, name, text)
    # Who confirms a number has seen it: others may have come under the filter since.
    visit.confirmed(str(len(seen.matched)))
    visit.seen.extend(seen.matched)
    if name == "export":
        pieces = await begun(_documents(visit, seen.matched))
        return Sent("sessions.jsonl", "application/x-ndjson", pieces)
    done = await visit.store.bulk(
        name,  # type: ignore[arg-type]
        text,
        **filters,
        actor_id=visit.actor.id,
    )
    return await _page(visit, asked, done, name, text)


async def _documents(visit: Visit, session_ids: Sequence[str]) -> AsyncIterator[bytes]:
    async for document in visit.store.documents(session_ids=session_ids):
        yield encode_document(document) + b"\n"


async def _page(
    visit: Visit,
    asked: dict[str, str],
    report: BulkReport | None,
    name: str = "tag",
    text: str | None = None,
) -> View:
    page = None
    if report is None and asked:
        page = await visit.store.sessions.list(**filters_of(visit, asked), limit=_SHOWN)
    shown: dict[str, Any] = {
        "asked": asked,
        "acts": ACTS,
        "report": report,
        "name": name,
        "text": text,
        "ids": [] if report is None else report.matched[:_SHOWN],
        "rows": [] if page is None else [row(visit, one) for one in page.items],
        "more": page is not None and page.next_cursor is not None,
    }
    json = {"asked": asked, "report": report}
    return View("bulk.html", "All of a filter", shown, json, "/")
