"""Finds by the index of words: it proposes, rows decide, and texts confirm."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from convstore.db import search_reading
from convstore.db.engine import Connection
from convstore.db.search_contents import Said, said_in
from convstore.db.search_reading import Entry, Item, Wanted
from convstore.db.session_locks import Key
from convstore.repositories.scope import Scope
from convstore.repositories.search_matches import Looked, Match, Place
from convstore.search.query import Query
from convstore.search.words import words_of
from convstore.vocabulary.clock import to_micros

_LEAST, _MOST = 10, 500
"""Entries of one step: as many as are asked for at first, as a rule all of them fit;
then more, where filters pass over many."""
_LEAST_S = 0.01
"""Seconds that the index has in any case: else nothing would ever be found."""
_AT_ONCE = 8
"""Archived sessions in memory together: one may have hundreds of megabytes."""
_EACH, _READ_FIRST = 5, 100
"""How many entries are read for each that is asked for, and how many at most, before an
index that would merge all words of a beginning is asked."""

Texts = dict[tuple[Key, Item], tuple[Said, int | None]]


async def by_index(
    scope: Scope,
    query: Query,
    wanted: Wanted,
    place: Place | None,
    most: int,
    until: float,
) -> Looked:
    """The newest behind a place, `most` at most, or what is found until then."""
    before = None if place is None else place.number
    matches: list[Match] = []
    step, is_first, complete = min(max(_LEAST, most), _MOST), True, True
    while True:
        left_s = max(_LEAST_S, until - time.monotonic())
        ask = _Asked(scope.tenant, query, wanted, before, step, left_s, is_first)
        proposed = await scope.runner.read(partial(_propose, ask), snapshot=True)
        if proposed is None:
            return Looked(matches, False, None if before is None else Place(before))
        texts = await _texts(scope, proposed.entries)
        for entry in proposed.entries:
            found = texts.get(((scope.tenant, entry.session.id), _item(entry)))
            if found is None:
                complete = False
                continue
            said, turn_seq = found
            if _fits(said, query, wanted):
                matches.append(
                    Match(entry.session, said, turn_seq, Place(entry.number))
                )
            if len(matches) == most:
                return Looked(matches, complete)
        if not proposed.more:
            return Looked(matches, complete)
        before = proposed.last
        if time.monotonic() >= until:
            return Looked(matches, False, None if before is None else Place(before))
        step, is_first = min(step * 2, _MOST), False


class _Asked(NamedTuple):
    tenant: str
    query: Query
    wanted: Wanted
    before: int | None
    limit: int
    budget_s: float
    is_first: bool


class _Proposed(NamedTuple):
    """Entries that may match; whether there may be more, below the number `last`."""

    entries: list[Entry]
    more: bool
    last: int | None


def _propose(asked: _Asked, connection: Connection) -> _Proposed | None:
    """What the index gives next; None if that takes longer.

    Where it would merge all the words of a beginning, the newest entries come first,
    whatever they say: what many words begin with is among them, if it is anywhere.
    """
    tenant, query, wanted, before, limit, budget_s, is_first = asked
    if reads := is_first and search_reading.merges_many(connection, query):
        limit = min(_EACH * limit, _READ_FIRST)
    found = search_reading.matching(
        connection, tenant, None if reads else query, wanted, before, limit, budget_s
    )
    if found is None:
        return None
    last = found[-1] if found else before
    entries = search_reading.entries(connection, tenant, found, wanted) if found else []
    if not reads:
        return _Proposed(entries, len(found) == limit, last)
    # Not those that have to be read from the archive, nor what is behind them.
    live = [*takewhile(lambda entry: entry.session.state == "active", entries)]
    if len(live) < len(entries):
        last = entries[len(live)].number + 1
    return _Proposed(live, True, last)


def _fits(said: Said, query: Query, wanted: Wanted) -> bool:
    if said.text is None:
        return not query.must_be_read
    return wanted.takes(said) and query.matches(words_of(said.text), said.text)


def _item(entry: Entry) -> Item:
    return entry.kind, entry.seq


async def _texts(scope: Scope, entries: Sequence[Entry]) -> Texts:
    """What the entries say, from rows, and from the archive what has none."""
    found: Texts = {}
    asked: dict[Key, list[Item]] = defaultdict(list)
    by_session: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_session[entry.session.id].append(entry)
        if entry.kind == "title":
            at, title = to_micros(entry.session.created_at), entry.session.title
            key = (scope.tenant, entry.session.id)
            found[key, _item(entry)] = Said("title", 0, at, "title", title), None
        elif entry.session.state == "active":
            asked[scope.tenant, entry.session.id].append(_item(entry))
    if asked:
        found |= await scope.runner.read(lambda c: search_reading.live_texts(c, asked))
    away = [
        session_id
        for session_id, some in by_session.items()
        if any(((scope.tenant, session_id), _item(e)) not in found for e in some)
    ]
    for start in range(0, len(away), _AT_ONCE):
        some = away[start : start + _AT_ONCE]
        wanted = {i: {_item(e) for e in by_session[i]} for i in some}
        found |= await _archived(scope, wanted)
    return found


async def _archived(scope: Scope, wanted: dict[str, set[Item]]) -> Texts:
    """As `_texts`, of archived sessions; or of rows, of those that came back."""
    documents = await scope.lifecycle.read_many(scope.runner, scope.tenant, [*wanted])
    found: Texts = {}
    for session_id, document in documents.items():
        for said, turn_seq in said_in(document):
            if (said.kind, said.seq) in wanted[session_id]:
                key = (scope.tenant, session_id)
                found[key, (said.kind, said.seq)] = said, turn_seq
    back = {(scope.tenant, i): wanted[i] for i in wanted if i not in documents}
    if back:
        rest = {k: {i for i in v if i[0] != "title"} for k, v in back.items()}
        found |= await scope.runner.read(lambda c: search_reading.live_texts(c, rest))
    return found
