"""Which sessions a statement is about: any number of them, bound as one text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, select, tuple_

from convstore.db.dialects.base import Dialect
from convstore.db.unit import Key
from convstore.vocabulary.codec import dumps


def of_sessions(dialect: Dialect, table: Table) -> Any:
    """The condition that a row is of one of the sessions that `about` names."""
    # Both columns of the key are asked for: with a tenant that is bound by itself,
    # SQLite may read all rows of the tenant and look each of them up among the asked.
    asked = dialect.asked("tenant_id", "session_id")
    key = tuple_(table.c.tenant_id, table.c.session_id)
    return key.in_(select(asked.c.tenant_id, asked.c.session_id))


def about(tenant: str, session_ids: Iterable[str]) -> dict[str, str]:
    """What is bound to name sessions of a tenant."""
    return about_keys((tenant, session_id) for session_id in session_ids)


def about_keys(keys: Iterable[Key]) -> dict[str, str]:
    """What is bound to name sessions of any tenant."""
    return {"asked": dumps(list(keys)).decode()}


def by_session(rows: Iterable[Sequence[Any]]) -> dict[str, list[Sequence[Any]]]:
    """Rows by the session that leads each."""
    groups: dict[str, list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        groups[row[0]].append(row)
    return groups
