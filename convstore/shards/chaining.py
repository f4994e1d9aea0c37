"""Pages of lists that have no order across shards: one shard after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from convstore.shards.reach import Reach
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Page

T = TypeVar("T")

_MOST_CHARS = 8_192


async def chained(
    reach: Reach,
    ask: Callable[[Any, str | None, int], Awaitable[Page[T]]],
    cursor: str | None,
    limit: int,
) -> Page[T]:
    """A page from the shard that a cursor has come to, and those behind it.

    Args:
        reach: The databases.
        ask: For so much of one of them, behind a cursor of that one.
        cursor: Of the page before, None for the first shard.
        limit: Entries of the page.
    """
    number, inner = _begun(cursor, len(reach.shards))
    found: list[T] = []
    complete = True
    while True:
        left = limit - len(found)
        page = await reach.at(
            number,
            lambda face, inner=inner, left=left: ask(face, inner, left),  # type: ignore[misc]
        )
        found += page.items
        complete = complete and page.complete
        if page.next_cursor is not None:
            return Page(tuple(found), f"{number}.{page.next_cursor}", complete)
        number, inner = number + 1, None
        if number == len(reach.shards):
            return Page(tuple(found), None, complete)
        if len(found) >= limit:
            return Page(tuple(found), f"{number}.", complete)


def _begun(cursor: str | None, shards: int) -> tuple[int, str | None]:
    if cursor is None:
        return 0, None
    number, _, inner = str(cursor)[:_MOST_CHARS].partition(".")
    if not (number.isascii() and number.isdecimal() and int(number) < shards):
        raise InvalidInputError("cursor", "is not a cursor of this list")
    return int(number), inner or None
