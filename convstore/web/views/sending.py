"""Files for operators: one conversation, or everything of one person."""

from __future__ import annotations

from collections.abc import AsyncIterator

from convstore.vocabulary.errors import InvalidInputError
from convstore.web.visit import Sent, Visit, begun

FORMS = {
    "markdown": ("md", "text/markdown; charset=utf-8"),
    "text": ("txt", "text/plain; charset=utf-8"),
    "html": ("html", "text/html; charset=utf-8"),
    "json": ("json", "application/json"),
}
"""How a conversation is written, with the end of the file's name, and its kind."""


async def export(visit: Visit) -> Sent:
    """A conversation in one of `FORMS`, or a person's data, confirmed by its id."""
    if "user" in visit.query:
        user_id = visit.query["user"]
        visit.confirmed(user_id)
        pieces = await begun(visit.store.personal_data(user_id))
        return Sent("user.json", "application/json", pieces)
    session_id = visit.needed("id")
    visit.confirmed(session_id)
    form = visit.form.get("as", "markdown")
    if form not in FORMS:
        raise InvalidInputError("as", f"must be one of {', '.join(FORMS)}")
    told = await visit.store.render(session_id, form, branches=True)
    end, media_type = FORMS[form]
    return Sent(f"conversation.{end}", media_type, _one(told.encode()))


async def _one(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
