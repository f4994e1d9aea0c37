"""Turns across sessions, by external id: rows by their index, and archived ones."""

from __future__ import annotations

from contextlib import aclosing

from convstore.db import turns as rows
from convstore.repositories.cursors import decode_cursor, encode_cursor
from convstore.repositories.scope import MOST_ARCHIVED, Scope
from convstore.vocabulary.records import Page, Turn


async def find_all(
    scope: Scope, external_id: str, user_id: str | None, limit: int, cursor: str | None
) -> Page[Turn]:
    """A page of the turns with an external id; see `Turns.find_all`."""
    kind, after = "live", ""
    if cursor is not None:
        kind, after = decode_cursor(cursor, str, str)
    found: list[Turn] = []
    if kind == "live":
        found = await scope.runner.read(
            lambda c: rows.find_everywhere(
                c, scope.tenant, external_id, user_id, after, limit
            )
        )
        if len(found) == limit:  # whether there are more, the next call sees
            return Page(tuple(found), encode_cursor("live", found[-1].session_id))
        after = ""
    some, end = await scope.runner.read(
        lambda c: rows.archived_after(c, scope.tenant, user_id, after, MOST_ARCHIVED)
    )
    unread = len(some)
    async with aclosing(scope.archived(some)) as documents:
        async for document in documents:
            unread -= 1
            found += [t for t in document.turns if t.external_id == external_id]
            if len(found) == limit:
                more = encode_cursor("archived", document.session.id)
                return Page(tuple(found), more, complete=False)
    next_cursor = None if end is None else encode_cursor("archived", end)
    return Page(tuple(found), next_cursor, complete=not unread and end is None)
