"""Cursors: where a page ended, as text that callers pass back unread."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from convstore.vocabulary.codec import INT64_MAX, decode_json, dumps
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import Json, Page

T = TypeVar("T")

_BACK = "back"
"""Begins a cursor that leads to what comes before a place."""


def encode_cursor(*parts: Json) -> str:
    """Text for `parts`, safe in a URL."""
    return base64.urlsafe_b64encode(dumps(parts)).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> list[Json]:
    """The parts of a cursor, each of its kind.

    Raises:
        InvalidInputError: Not one of our cursors for this list.
    """
    problem = InvalidInputError("cursor", "is not a cursor of this list")
    if not isinstance(cursor, str) or len(cursor) > 4096:
        raise problem
    try:
        parts = decode_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, CorruptionError, ValueError):
        raise problem from None
    if not isinstance(parts, list) or len(parts) != len(types):
        raise problem
    for part, kind in zip(parts, types, strict=True):
        if type(part) is not kind or (type(part) is int and not 0 <= part <= INT64_MAX):
            raise problem
        if kind is str:
            check_id("cursor", part)
    return parts


def check_limit(limits: Limits, limit: int) -> int:
    """A page size that may be asked for."""
    if type(limit) is not int or not 1 <= limit <= limits.max_page:
        raise InvalidInputError("limit", f"must be from 1 to {limits.max_page}")
    return limit


async def keyed_page(
    cursor: str | None,
    types: tuple[type, ...],
    limit: int,
    read: Callable[[tuple[Any, ...] | None, bool, int], Awaitable[Sequence[T]]],
    key: Callable[[T], tuple[Json, ...]],
) -> Page[T]:
    """A page of a list that is in the order of a key, with a way on and a way back.

    Args:
        cursor: Of the page before, or of the one behind.
        types: Of the parts of the key.
        limit: Entries of the page.
        read: Gives so many entries at most, beyond a key: those that follow, or,
            turned around, those that come before.
        key: Of an entry.
    """
    place, back = (None, False) if cursor is None else _keyed(cursor, types)
    found = await read(place, back, limit + 1)
    more, items = len(found) > limit, list(found[:limit])
    if back:
        items.reverse()
    if not items and back:
        # What came before is gone: the list begins behind it now.
        return await keyed_page(None, types, limit, read, key)
    if not items:
        return Page((), None)
    before, behind = (more, True) if back else (place is not None, more)
    return Page(
        tuple(items),
        encode_cursor(*key(items[-1])) if behind else None,
        previous_cursor=encode_cursor(_BACK, *key(items[0])) if before else None,
    )


def _keyed(cursor: str, types: tuple[type, ...]) -> tuple[tuple[Any, ...], bool]:
    try:
        return tuple(decode_cursor(cursor, *types)), False
    except InvalidInputError:
        back, *place = decode_cursor(cursor, str, *types)
        if back != _BACK:
            raise
        return tuple(place), True
