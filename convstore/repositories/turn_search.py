"""Turns across sessions, by external id: rows by their index, and archived ones."""

from __future__ import annotations

from convstore.db import turns as rows
from convstore.repositories.cursors import decode_cursor, encode_cursor
from convstore.repositories.scope import Scope
from convstore.vocabulary.records import Page, Turn

_MOST_ARCHIVED = 64
"""Archived sessions that one call reads: each is a frame to unpack and verify."""
_AT_ONCE = 8
"""Of those in memory together: one may have hundreds of megabytes."""


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
        lambda c: rows.archived_after(c, scope.tenant, user_id, after, _MOST_ARCHIVED)
    )
    unread = 0
    for start in range(0, len(some), _AT_ONCE):
        part = some[start : start + _AT_ONCE]
        read = await scope.lifecycle.read_many(scope.runner, scope.tenant, part)
        for session_id in part:
            if (document := read.get(session_id)) is None:
                unread += 1
                continue
            found += [t for t in document.turns if t.external_id == external_id]
            if len(found) == limit:
                more = encode_cursor("archived", session_id)
                return Page(tuple(found), more, complete=False)
    next_cursor = None if end is None else encode_cursor("archived", end)
    return Page(tuple(found), next_cursor, complete=not unread and end is None)
