"""Fields by path: found, and taken out of a record without changing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convstore.vocabulary.records import Json


def locate(record: Json, path: str) -> list[str | int] | None:
    """The keys and places that lead to the value at `path`; None when there is none.

    Dots go down, numbers count the items of a list from 0. A key that holds the dots
    itself goes before the way down by them.
    """
    if isinstance(record, dict) and path in record:
        return [path]
    head, _, rest = path.partition(".")
    key: str | int = head
    if isinstance(record, list) and head.isascii() and head.isdigit():
        key = int(head)
        if key >= len(record):
            return None
    elif not isinstance(record, dict) or head not in record:
        return None
    if not rest:
        return [key]
    below = locate(record[key], rest)
    return None if below is None else [key, *below]


def find(record: Json, path: str) -> Json:
    """The value at `path`; None when there is none."""
    keys = locate(record, path)
    for key in keys or ():
        record = record[key]
    return None if keys is None else record


def take(record: Any, keys: Sequence[str | int]) -> Any:
    """The record without the value that the keys lead to; the other stays whole.

    The item of a list leaves null in its place.
    """
    head, *rest = keys
    if isinstance(head, int):
        item = take(record[head], rest) if rest else None
        return [*record[:head], item, *record[head + 1 :]]
    if rest:
        return {**record, head: take(record[head], rest)}
    return {key: value for key, value in record.items() if key != head}
