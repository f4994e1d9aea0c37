"""Rows of tables as conversations: sorted once, and read as they stream past. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import groupby, islice

from convstore.imports.material import Found, LeftOut, Row, Tables, Value
from convstore.imports.model import ImportedSession, Rejected
from convstore.vocabulary.errors import CorruptionError, InvalidInputError

MOST_ROWS = 100_000
"""Of one conversation: they are held in memory together."""


def table_with(tables: Tables, columns: str) -> str | None:
    """The first table, by name, that has these columns, as its name may be the
    user's own."""
    wanted = set(columns.split())
    names = sorted(tables.columns)
    return next((n for n in names if wanted <= set(tables.columns[n])), None)


def other_columns(
    tables: Tables, read: Mapping[str, Container[str]]
) -> Iterator[LeftOut]:
    """The columns of tables that are not `read` of them, where there are rows."""
    for table, known in read.items():
        others = [c for c in tables.columns.get(table, ()) if c not in known]
        if others and next(tables.rows(table), None) is not None:
            yield from (LeftOut(f"{table}.{column}") for column in others)


def by_key(
    tables: Tables, table: str, key: Sequence[str], order: Sequence[str] = ()
) -> Iterator[tuple[tuple[Value, ...], Iterator[Row]]]:
    """The rows of each key, which is sorted as `joined` expects."""
    rows = tables.rows(table, order=[*key, *order])
    yield from groupby(rows, lambda row: tuple(row.get(name) for name in key))


def joined(
    owners: Iterator[Row],
    key: Sequence[str],
    groups: Iterator[tuple[tuple[Value, ...], Iterator[Row]]],
) -> Iterator[tuple[tuple[Value, ...], Row | None, Iterator[Row]]]:
    """Each owner, in the order of its key, with its rows; and rows without owner."""
    waiting = next(groups, None)
    for owner in owners:
        values = tuple(owner.get(name) for name in key)
        while waiting is not None and _order(waiting[0]) < _order(values):
            yield waiting[0], None, waiting[1]
            waiting = next(groups, None)
        if waiting is not None and waiting[0] == values:
            yield values, owner, waiting[1]
            waiting = next(groups, None)
        else:
            yield values, owner, iter(())
    while waiting is not None:
        yield waiting[0], None, waiting[1]
        waiting = next(groups, None)


def _order(values: tuple[Value, ...]) -> tuple[tuple[int, object], ...]:
    """As SQLite sorts: nothing, numbers, text by its bytes, bytes."""
    return tuple(
        (0, 0)
        if value is None
        else (1, value)
        if isinstance(value, int | float)
        else (2, value.encode("utf-8", "surrogatepass"))
        if isinstance(value, str)
        else (3, value)
        for value in values
    )


def bounded(rows: Iterator[Row]) -> list[Row]:
    """The rows of one conversation.

    Raises:
        InvalidInputError: There are more than `MOST_ROWS`.
    """
    some = list(islice(rows, MOST_ROWS + 1))
    if len(some) > MOST_ROWS:
        raise InvalidInputError("rows", f"are more than {MOST_ROWS}")
    return some


def made(number: int, make: Callable[[], ImportedSession]) -> Found:
    """What a conversation becomes, or why it cannot be read."""
    try:
        return make()
    except (InvalidInputError, CorruptionError) as error:
        return Rejected(number, error.code, str(error), None)
