"""Finds by reading through what there is, newest activity first: without an index."""

from __future__ import annotations

import heapq
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeAlias

from convstore.db import search_reading
from convstore.db.search_contents import Said, said_in
from convstore.db.search_reading import Wanted
from convstore.repositories.scope import Scope
from convstore.repositories.search_matches import Below, Looked, Match, Place, Spot
from convstore.search.contents import own_title
from convstore.search.query import Query
from convstore.search.words import words_of
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.records import Session

_SESSIONS = 8
"""Sessions that are read together: archived ones are whole documents."""
_TURNS = 1_000
"""Turns of live sessions that are read together."""

Texts: TypeAlias = list[tuple[Said, int | None]]


async def by_reading(
    scope: Scope,
    query: Query,
    wanted: Wanted,
    place: Place | None,
    most: int,
    until: float,
) -> Looked:
    """The newest behind a place, `most` at most, or what is found until then."""
    kept = _Newest(most, None if place is None else place.spot)
    began = None if place is None else place.below
    below, complete = began, True
    while True:
        sessions = await scope.runner.read(
            lambda c, b=below: search_reading.next_sessions(  # type: ignore[misc]
                c, scope.tenant, wanted, b, _SESSIONS
            )
        )
        if not sessions or kept.is_full_before(to_micros(sessions[0].last_activity_at)):
            return Looked(kept.matches(began), complete)
        read: set[str] = set()
        async for session, texts in _texts(scope, sessions):
            read.add(session.id)
            kept.add(session, _matching(session, texts, query, wanted))
        complete = complete and len(read) == len(sessions)
        last = sessions[-1]
        below = (to_micros(last.last_activity_at), last.id)
        if time.monotonic() >= until:
            matches = kept.matches(began)
            following = None if len(matches) == most else Place(below=below)
            return Looked(matches, False, following)


class _Newest:
    """The newest matches of those given, so many at most, behind a spot."""

    def __init__(self, most: int, behind: Spot | None) -> None:
        self._most, self._behind = most, behind
        self._heap: list[tuple[Spot, int, Session, Said, int | None]] = []
        self._number = 0

    def add(self, session: Session, texts: Iterable[tuple[Said, int | None]]) -> None:
        for said, turn_seq in texts:
            spot: Spot = (said.at, session.id, said.kind, said.seq)
            if self._behind is not None and spot >= self._behind:
                continue
            self._number += 1
            item = (spot, self._number, session, said, turn_seq)
            if len(self._heap) < self._most:
                heapq.heappush(self._heap, item)
            else:
                heapq.heappushpop(self._heap, item)

    def is_full_before(self, at: int) -> bool:
        """Whether nothing that was said until a time can be among them any more."""
        return len(self._heap) == self._most and self._heap[0][0][0] > at

    def matches(self, below: Below | None) -> list[Match]:
        return [
            Match(session, said, turn_seq, Place(spot=spot, below=below))
            for spot, _, session, said, turn_seq in sorted(self._heap, reverse=True)
        ]


def _matching(
    session: Session, texts: Texts, query: Query, wanted: Wanted
) -> Iterable[tuple[Said, int | None]]:
    first = next((said.text for said, _ in texts if said.sort == "user"), None)
    title = own_title(session.title, first)
    if title is not None:
        at = to_micros(session.created_at)
        texts = [*texts, (Said("title", 0, at, "title", title), None)]
    for said, turn_seq in texts:
        text = said.text
        if text is None or not wanted.takes(said):
            continue
        if query.matches(words_of(text), text):
            yield said, turn_seq


async def _texts(
    scope: Scope, sessions: list[Session]
) -> AsyncIterator[tuple[Session, Texts]]:
    """What was said in sessions, of those that can be read."""
    live = [s.id for s in sessions if s.state == "active"]
    whole: dict[str, Texts] = {}
    if live:
        whole, all_read = await scope.runner.read(
            lambda c: search_reading.texts_of(c, scope.tenant, live, _TURNS)
        )
        if not all_read:
            whole = {}
    away = [s.id for s in sessions if s.state == "archived"]
    read = scope.lifecycle.read_many
    documents = await read(scope.runner, scope.tenant, away) if away else {}
    for session in sessions:
        if session.id in whole:
            yield session, whole[session.id]
        elif session.id in documents:
            yield session, list(said_in(documents.pop(session.id)))
        elif session.state == "active":
            yield session, await _long(scope, session.id)


async def _long(scope: Scope, session_id: str) -> Texts:
    """What was said in a session of many turns, or one of a crowd of such."""
    found: Texts = []
    after = 0
    while True:
        some, act_too = await scope.runner.read(
            lambda c, a=after: search_reading.texts_beyond(  # type: ignore[misc]
                c, (scope.tenant, session_id), a, _TURNS
            )
        )
        found += some
        if not act_too:
            return found
        after = max(said.seq for said, _ in some if said.kind == "turn")
