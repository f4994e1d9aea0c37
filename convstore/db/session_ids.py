"""Which sessions, or other rows, a statement is about: any number, bound as one text.

A list that is bound as so many values has an end (32,767 of them on PostgreSQL), and
each length is another statement to think about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, or_, select, tuple_

from convstore.db.dialects.base import Dialect
from convstore.db.session_locks import Key
from convstore.vocabulary.codec import dumps

KEY = ("tenant_id", "session_id")


def same_session(one: Any, other: Any) -> ColumnElement[bool]:
    """The condition that rows of two tables, given by their columns, are of one
    session."""
    return and_(*(one[name] == other[name] for name in KEY))


def of_sessions(dialect: Dialect, table: Table) -> Any:
    """The condition that a row is of one of the sessions that `about` names."""
    # Both columns of the key are asked for: with a tenant that is bound by itself,
    # SQLite may read all rows of the tenant and look each of them up among the asked.
    bound = dialect.bound_rows(*KEY)
    key = tuple_(table.c.tenant_id, table.c.session_id)
    return key.in_(select(bound.c.tenant_id, bound.c.session_id))


def among(dialect: Dialect, column: Column[str]) -> ColumnElement[bool]:
    """The condition that a text column has one of the values that `naming` names."""
    bound = dialect.bound_rows("value")
    return column.in_(select(bound.c.value))


def naming(values: Iterable[str]) -> dict[str, str]:
    """What is bound to name values of one column."""
    return {"bound": dumps([(value,) for value in values]).decode()}


def one_of(column: Column[str], few: Iterable[str]) -> ColumnElement[bool]:
    """The condition that a column has one of some words of ours, such as states."""
    return or_(*(column == word for word in few))


def about(tenant: str, session_ids: Iterable[str]) -> dict[str, str]:
    """What is bound to name sessions of a tenant."""
    return about_keys((tenant, session_id) for session_id in session_ids)


def about_keys(keys: Iterable[Key]) -> dict[str, str]:
    """What is bound to name sessions of any tenant."""
    return {"bound": dumps(list(keys)).decode()}


def by_session(rows: Iterable[Sequence[Any]]) -> dict[str, list[Sequence[Any]]]:
    """Rows by the session that leads each."""
    groups: dict[str, list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        groups[row[0]].append(row)
    return groups
