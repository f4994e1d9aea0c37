"""Interactions across sessions: rows by their index, and archived ones."""

from __future__ import annotations

from convstore.db import interactions as rows
from convstore.db.interactions import ActFilter, Place
from convstore.repositories.cursors import decode_cursor, encode_cursor
from convstore.repositories.scope import MOST_ARCHIVED, Scope
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.records import Interaction, Page, SessionDocument


async def search(
    scope: Scope, wanted: ActFilter, limit: int, cursor: str | None
) -> Page[Interaction]:
    """A page of the acts of all sessions; see `Interactions.search`."""
    before = None if cursor is None else Place(*decode_cursor(cursor, int, str, int))
    found = await scope.runner.read(
        lambda c: rows.search(
            c, scope.tenant, wanted, before, limit + 1, MOST_ARCHIVED
        ),
        snapshot=True,
    )
    acts: dict[Place, Interaction] = dict(found.acts)
    unread = set(found.archived)
    async for document in scope.archived(found.archived):
        unread.discard(document.session.id)
        acts |= _among(document, wanted, before, found.end)
    order = sorted(acts, reverse=True)
    more = len(order) > limit
    after = order[limit - 1] if more else found.end
    return Page(
        tuple(acts[place] for place in order[:limit]),
        None if after is None else encode_cursor(*after),
        complete=not unread and found.all_archived and (more or found.end is None),
    )


def _among(
    document: SessionDocument,
    wanted: ActFilter,
    before: Place | None,
    end: Place | None,
) -> dict[Place, Interaction]:
    """The acts of a session that belong on the page."""
    found = {}
    for act in document.interactions:
        place = Place(to_micros(act.created_at), document.session.id, act.seq)
        if (
            wanted.takes(act)
            and (wanted.since is None or place.created_at >= wanted.since)
            and (before is None or place < before)
            and (end is None or place >= end)
        ):
            found[place] = act
    return found
