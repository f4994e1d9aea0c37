"""Search over several databases: the newest hits of all, and where each goes on."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from convstore.repositories.cursors import check_limit
from convstore.shards.reach import Reach
from convstore.shards.reports import oldest
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.hits import Hit, SearchOrder, SearchPage

_MOST_CHARS = 1 << 20
_END = ""
"""In place of the cursor of a shard that has no more."""

Cursors = list[str | None]


async def search(
    reach: Reach,
    text: str,
    *,
    limit: int,
    cursor: str | None,
    order: SearchOrder,
    given: dict[str, Any],
) -> SearchPage:
    """See `Store.search`: `newest` is in the order of time over all shards; of `best`
    each shard gives its own best in turn.

    Raises:
        ShardUnavailableError: A shard is away: no hits would not mean that there are
            none.
    """
    check_limit(reach.scope.limits, limit)
    begun = _begun(cursor, len(reach.shards))
    asked = [n for n, each in enumerate(begun) if each != _END]
    session_id = given.get("session_id")
    if session_id is not None:
        asked = [n for n in asked if n == reach.number(session_id)]

    async def ask(number: int, most: int) -> SearchPage:
        page: SearchPage = await reach.at(
            number,
            lambda face: face.search(
                text, limit=most, cursor=begun[number], order=order, **given
            ),
        )
        return page

    pages = dict(
        zip(asked, await reach.each(asked, lambda n: ask(n, limit)), strict=True)
    )
    taken = _newest(pages, limit) if order == "newest" else _in_turn(pages, limit)
    following: Cursors = [_END] * len(begun)
    for number, page in pages.items():
        count = sum(1 for of, _ in taken if of == number)
        if count == len(page.items):
            following[number] = page.next_cursor or _END
        elif not count:
            following[number] = begun[number]
        else:
            # Where it goes on behind so many, only itself can say.
            following[number] = (await ask(number, count)).next_cursor or _END
    return SearchPage(
        tuple(hit for _, hit in taken),
        None if all(each == _END for each in following) else _cursor(following),
        all(page.complete for page in pages.values()),
        _until(pages),
    )


def _newest(pages: dict[int, SearchPage], limit: int) -> list[tuple[int, Hit]]:
    """The newest hits. Of a shard none is passed over, whatever its clock said, and
    none is behind where a shard that has more has come to."""
    found: list[tuple[int, Hit]] = []
    places = dict.fromkeys(pages, 0)
    while len(found) < limit:
        fronts = []
        for number, page in pages.items():
            if places[number] < len(page.items):
                fronts.append((page.items[places[number]].at, -number))
            elif page.next_cursor is not None:
                return found
        if not fronts:
            return found
        number = -max(fronts)[1]
        found.append((number, pages[number].items[places[number]]))
        places[number] += 1
    return found


def _in_turn(pages: dict[int, SearchPage], limit: int) -> list[tuple[int, Hit]]:
    ranked = [
        (rank, number, hit)
        for number, page in pages.items()
        for rank, hit in enumerate(page.items)
    ]
    ranked.sort(key=lambda each: each[:2])
    return [(number, hit) for _, number, hit in ranked[:limit]]


def _until(pages: dict[int, SearchPage]) -> Any:
    told = [page.indexed_until for page in pages.values()]
    return None if None in told else oldest(told)


def _cursor(following: Cursors) -> str:
    return base64.urlsafe_b64encode(dumps(following)).decode().rstrip("=")


def _begun(cursor: str | None, shards: int) -> Cursors:
    """Where each shard goes on."""
    if cursor is None:
        return [None] * shards
    problem = InvalidInputError("cursor", "is not a cursor of this list")
    if not isinstance(cursor, str) or len(cursor) > _MOST_CHARS:
        raise problem
    try:
        told = decode_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, CorruptionError, ValueError):
        raise problem from None
    if not isinstance(told, list) or len(told) != shards:
        raise problem
    if not all(each is None or isinstance(each, str) for each in told):
        raise problem
    return told
