"""Pages of every shard as one page, with one cursor that goes on in all of them.

Lists are in an order that all shards share, so behind which entry a page ended means
the same in each: its cursor is that of a list of one database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from convstore.repositories.cursors import decode_cursor, encode_cursor
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.records import Json, Page

T = TypeVar("T")
Key = tuple[Any, ...]


def merged(
    pages: Sequence[Page[T]],
    limit: int,
    key: Callable[[T], Key],
    types: tuple[type, ...],
    *,
    newest_first: bool = False,
    combine: Callable[[T, T], T] | None = None,
) -> Page[T]:
    """One page of those of all shards, which were asked with one cursor and `limit`.

    Args:
        pages: Of each shard.
        limit: Entries of the page.
        key: What the list is ordered by, as it is in the cursor.
        types: Of the parts of the key.
        newest_first: The greatest key comes first.
        combine: Makes one of two entries of equal keys.
    """
    entries = sorted(
        (item for page in pages for item in page.items), key=key, reverse=newest_first
    )
    if combine is not None:
        entries = _combined(entries, key, combine)
    # Behind where one that has more ended, nobody knows what it holds.
    ends = [tuple(decode_cursor(p.next_cursor, *types)) for p in pages if p.next_cursor]
    end = None if not ends else (max if newest_first else min)(ends)
    if end is not None:
        entries = [e for e in entries if _reaches(key(e), end, newest_first)]
    complete = all(page.complete for page in pages)
    if len(entries) > limit:
        return Page(
            tuple(entries[:limit]), encode_cursor(*key(entries[limit - 1])), complete
        )
    return Page(tuple(entries), None if end is None else encode_cursor(*end), complete)


def _combined(
    entries: Iterable[T], key: Callable[[T], Key], combine: Callable[[T, T], T]
) -> list[T]:
    found: list[T] = []
    for entry in entries:
        if found and key(found[-1]) == key(entry):
            found[-1] = combine(found[-1], entry)
        else:
            found.append(entry)
    return found


def _reaches(key: Key, end: Key, newest_first: bool) -> bool:
    return key >= end if newest_first else key <= end


def by(*names: str) -> Callable[[Any], Key]:
    """The key of what is ordered by its attributes."""
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda entry: (get(entry),)


def by_time(time: str, *names: str) -> Callable[[Any], tuple[Json, ...]]:
    """As `by`, with a time first."""
    return lambda entry: (
        to_micros(getattr(entry, time)),
        *(getattr(entry, name) for name in names),
    )
