"""The numbers of entries in the index of words: by when it was said, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, Connection, Select, bindparam, cast, select

from convstore.db import models
from convstore.db.dialects.base import Dialect
from convstore.db.statements import Prepared
from convstore.vocabulary.codec import dumps

E = models.search_entries.c

_FAR = 9_000_000_000_000_000
_LEAST = -(2**63)
TIES = 1_024
"""Entries of one microsecond; more of them move into the next."""


def number_of(at: int) -> int:
    """The lowest number of an entry that was said then; numbers have an end in 2255."""
    return max(-_FAR, min(at, _FAR)) * TIES


def free_numbers(connection: Connection, times: Sequence[int]) -> list[int]:
    """Free numbers for entries that were said at these times, in order."""
    wanted, numbers, last = list(times), list[int](), _LEAST
    for at in wanted:
        last = max(number_of(at), last + 1)
        numbers.append(last)
    while numbers:
        taken = _taken(connection, numbers)
        if not taken:
            break
        last = _LEAST
        for place, number in enumerate(numbers):
            if number in taken:
                number = _free_after(connection, number)
            numbers[place] = last = max(number, last + 1)
    return numbers


def _free_after(connection: Connection, number: int) -> int:
    """A number behind those that are taken from this one on, in steps that grow."""
    width = TIES
    while True:
        found = _HIGHEST.all(connection, {"low": number, "high": number + width})
        if not found:
            return number
        number, width = found[0][0] + 1, width * 2


def _taken(connection: Connection, numbers: Iterable[int]) -> set[int]:
    bound = dumps([(str(number),) for number in numbers]).decode()
    return {row[0] for row in _TAKEN.all(connection, {"bound": bound})}


def _taken_of(dialect: Dialect) -> Select[tuple[int]]:
    bound = dialect.bound_rows("id")
    return select(E.id).select_from(
        bound.join(models.search_entries, E.id == cast(bound.c.id, BigInteger))
    )


_TAKEN = Prepared(_taken_of)
_HIGHEST = Prepared(
    lambda _: (
        select(E.id)
        .where(
            E.id >= bindparam("low", type_=BigInteger),
            E.id < bindparam("high", type_=BigInteger),
        )
        .order_by(E.id.desc())
        .limit(1)
    )
)
