"""Search across conversations, live and archived: by the index, or by reading through.

Both find the same, in the same order. What stopped early says so.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import datetime

from msgspec.structs import replace

from convstore.db.codec.inputs import encode_time
from convstore.db.search_marks import Waiting
from convstore.db.search_reading import Wanted
from convstore.repositories.cursors import check_limit
from convstore.repositories.scope import Scope
from convstore.repositories.search_by_index import by_index
from convstore.repositories.search_by_reading import by_reading
from convstore.repositories.search_matches import (
    Looked,
    Match,
    Place,
    place_of,
    ranked_cursor,
    ranked_place,
)
from convstore.search.query import Query, parse
from convstore.search.snippets import fitness, snippet
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.hits import Hit, SearchOrder, SearchPage
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.record import Value

BEST_OF = 2_000
"""Hits, the newest, among which the best are looked for."""


class _Start(Value, frozen=True):
    """Where a page begins: behind a place, or so far down a ranking of what was said
    until a time."""

    place: Place | None = None
    offset: int = 0
    until: int | None = None


async def search(
    scope: Scope,
    text: str,
    *,
    limit: int,
    cursor: str | None,
    order: SearchOrder,
    wanted: Wanted,
) -> SearchPage:
    """A page of hits; see `Store.search`.

    Raises:
        InvalidInputError: An argument cannot be meant; it is named.
    """
    check_limit(scope.limits, limit)
    if order not in ("newest", "best"):
        raise InvalidInputError("order", "must be newest or best")
    query = parse(text)
    start = _start(cursor, order)
    began = time.monotonic()
    until = began + scope.search.budget_s
    if query.is_empty:
        return SearchPage((), None)
    state, since = await _state(scope, began + scope.search.budget_s / 2)
    if start.until is not None:
        lower = min(start.until, wanted.until or start.until)
        wanted = replace(wanted, until=lower)
    most = BEST_OF if order == "best" else limit + 1
    indexed = state is not None and state.usable and not query.literals
    if start.place is not None and (start.place.number is None) == indexed:
        # The index was emptied meanwhile, or filled.
        raise InvalidInputError("cursor", "is of an index that has changed: begin anew")
    look = by_index if indexed else by_reading
    looked = await look(scope, query, wanted, start.place, most, until)
    page, following = _page(looked, query, start, order, limit)
    caught_up = not indexed or (state is not None and state.nothing)
    return SearchPage(
        tuple(_hit(find, query) for find in page),
        following,
        looked.complete and caught_up,
        indexed_until=_indexed_until(scope, state, since),
    )


def wanted_of(
    scope: Scope,
    *,
    user_id: str | None = None,
    session_id: str | None = None,
    role: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    language: str | None = None,
    label: str | None = None,
    include_archived: bool = True,
) -> Wanted:
    """The filters of a search, checked and as they are stored.

    Raises:
        InvalidInputError: One of them cannot be meant; it is named.
    """
    own = scope.user_id
    if own is not None and user_id not in (None, own):
        raise InvalidInputError("user_id", "is not the user of this handle")
    if role not in (None, "user", "assistant"):
        raise InvalidInputError("role", "must be user or assistant: no other is found")
    return Wanted(
        user_id=check_optional_id("user_id", own if user_id is None else user_id),
        session_id=None if session_id is None else check_id("session_id", session_id),
        role=role,
        since=None if since is None else encode_time("since", since),
        until=None if until is None else encode_time("until", until),
        language=check_optional_id("language", language),
        label=check_optional_id("label", label),
        include_archived=bool(include_archived),
    )


async def _state(scope: Scope, until: float) -> tuple[Waiting | None, int | None]:
    """How much is not in the index, once what can be is; None where there is none."""
    indexer = scope.indexer
    # What a transaction has said is in no index before its commit.
    if indexer is None or not indexer.is_on or scope.runner.in_transaction:
        return None, None
    limit_s = scope.search.budget_s
    if limit_s > 0:
        # It ends between two steps by itself; but a step may wait for whoever writes.
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                state = await indexer.catch_up(scope.tenant, until)
                if state is not None:
                    return state, None
    return await indexer.waiting(scope.tenant)


def _indexed_until(
    scope: Scope, state: Waiting | None, since: int | None
) -> datetime | None:
    if state is None or not (state.usable and state.looked_through):
        return None
    if state.nothing:
        return scope.clock.now()
    return None if since is None else from_micros(since)


def _page(
    looked: Looked, query: Query, start: _Start, order: SearchOrder, limit: int
) -> tuple[list[Match], str | None]:
    """The matches of the page, and where the next one begins."""
    matches = looked.matches
    if order == "best":
        until = start.until
        if until is None and matches:
            until = matches[0].said.at + 1
        ranked = sorted(matches, key=lambda find: -_fitness(find, query))
        page = ranked[start.offset : start.offset + limit]
        if start.offset + limit >= len(ranked) or until is None:
            return page, None
        return page, ranked_cursor(start.offset + limit, until)
    page = matches[:limit]
    if len(matches) > limit:
        return page, page[-1].place.cursor()
    return page, None if looked.next is None else looked.next.cursor()


def _fitness(find: Match, query: Query) -> float:
    return fitness(find.said.text or "", query, is_title=find.said.kind == "title")


def _hit(find: Match, query: Query) -> Hit:
    said = find.said
    return Hit(
        session=find.session,
        kind=said.kind,
        turn_seq=find.turn_seq,
        interaction_seq=said.seq if said.kind == "comment" else None,
        role=(said.sort or None) if said.kind == "turn" else None,
        at=from_micros(said.at),
        snippet=() if said.text is None else snippet(said.text, query),
    )


def _start(cursor: str | None, order: SearchOrder) -> _Start:
    """What a cursor says, for the same order as the page before."""
    if cursor is None:
        return _Start()
    if order == "best":
        offset, until = ranked_place(cursor)
        return _Start(offset=offset, until=until)
    return _Start(place_of(cursor))
