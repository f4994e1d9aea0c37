"""Rows that lie apart, as the conversations that they form by a mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from convstore.db.row_spool import RowSpool, row_spool
from convstore.imports.fields import time_or_none
from convstore.imports.mapping.file import Group, Mapping
from convstore.imports.mapping.nodes import word_of
from convstore.imports.mapping.paths import find
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

_BETWEEN = "/"
MOST_ROWS, MOST_BYTES = 100_000, 64 * 1024 * 1024
"""Of one conversation: its rows are held in memory together."""


def read_groups(
    mapping: Mapping, parse: Callable[[Json], ImportedSession], material: Material
) -> Iterator[Found]:
    """The sessions of all groups; rows that are of none are set aside."""
    group = mapping.group
    assert group is not None
    with row_spool() as spool:
        for name in material.names:
            yield from _put_aside(group, spool, material, name)
        for number, (key, rows) in enumerate(spool.groups(), 1):
            try:
                yield parse(_ordered(group, key, rows))
            except (InvalidInputError, CorruptionError) as error:
                yield Rejected(number, error.code, str(error), None)


def _put_aside(
    group: Group, spool: RowSpool, material: Material, name: str
) -> Iterator[Rejected]:
    by = [group.by] if isinstance(group.by, str) else group.by
    for place, record in enumerate(material.records(name)):
        if isinstance(record, Rejected):
            yield material.told(record, name)
            continue
        words = [word_of(find(record.value, path)) for path in by]
        if None in words or not isinstance(record.value, dict):
            told = f"record: has no {' and '.join(by)} that it is grouped by"
            yield material.rejected(name, record.number, told, record.data)
            continue
        key = _BETWEEN.join(word or "" for word in words)
        spool.add(key, place, dumps(record.value))


def _ordered(
    group: Group, key: str, rows: Iterator[tuple[int, bytes]]
) -> list[JsonObject]:
    held: list[JsonObject] = []
    size = 0
    for _, data in rows:
        size += len(data)
        if len(held) == MOST_ROWS or size > MOST_BYTES:
            raise InvalidInputError("group", "has too many rows or bytes")
        held.append(decode_json(data))
    order = [group.order] if isinstance(group.order, str) else group.order
    return _sorted(held, order) if order else held


def _sorted(rows: list[JsonObject], order: Sequence[str]) -> list[JsonObject]:
    """By the values of `order`; a row without one stays behind the row before it."""
    ranks: list[tuple[list[tuple[int, Any]], int]] = []
    last: list[tuple[int, Any]] = [(0, 0.0) for _ in order]
    for place, row in enumerate(rows):
        found = [_rank(find(row, path)) for path in order]
        last = [rank or before for rank, before in zip(found, last, strict=True)]
        ranks.append((last, place))
    return [rows[place] for _, place in sorted(ranks)]


def _rank(value: Json) -> tuple[int, Any] | None:
    """Numbers and times before text; None for what is neither."""
    if isinstance(value, int | float):
        return 1, float(value)
    if (at := time_or_none(value)) is not None:
        return 1, at.timestamp()
    word = word_of(value)
    return None if word is None else (2, word)
