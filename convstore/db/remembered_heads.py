"""Heads that this process remembers, for writes on the strength of them.

A process that wrote to a session last knows its head already, and need not read it to
write again: see `one_statement`. Nothing depends on what is remembered being true.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Select, select

from convstore.db import models
from convstore.db.dialects.base import Dialect
from convstore.db.session_ids import KEY, same_session
from convstore.db.statements import Prepared
from convstore.db.unit import Head, Key, Row
from convstore.vocabulary.codec import dumps

# Sessions, and characters of one head's texts: together some ten megabytes at most.
MOST = 4_096
_LARGEST = 2_048


class RememberedHeads:
    """The heads of the sessions that were written to last."""

    def __init__(self) -> None:
        self._rows: OrderedDict[Key, Row] = OrderedDict()

    def recall(self, keys: Collection[Key]) -> dict[Key, Row]:
        """The heads that are remembered of `keys`."""
        return {key: self._rows[key] for key in keys if key in self._rows}

    def remember(self, heads: Iterable[tuple[Key, Head | None]]) -> None:
        """Keep heads as they are now in the database."""
        for key, head in heads:
            self._rows.pop(key, None)
            if head is not None and is_worth_it(head.row):
                self._rows[key] = head.row.copy()
        while len(self._rows) > MOST:
            self._rows.popitem(last=False)

    def forget(self, keys: Iterable[Key]) -> None:
        """Keep these no more."""
        for key in keys:
            self._rows.pop(key, None)


def is_connected(connection: Connection) -> bool:
    """Whether the driver has not noticed yet that its server is gone.

    One that was lost while it lay in the pool has not carried anything out.
    """
    driver: Any = connection.connection.driver_connection
    # As asyncpg asks, or psycopg.
    is_closed = getattr(driver, "is_closed", None)
    return not (driver.closed if is_closed is None else is_closed())


def have_moved(connection: Connection, before: dict[Key, Row]) -> bool:
    """Whether any of the sessions is at another version than `before`."""
    bound = {"bound": dumps(list(before)).decode()}
    now = {(row[0], row[1]): row[2] for row in _VERSIONS.all(connection, bound)}
    return now != {key: row["version"] for key, row in before.items()}


def is_worth_it(row: Row) -> bool:
    """Whether a head is kept: that of a live session, and not a large one."""
    # Its other texts are ids, at most 255 characters each, and counts by label.
    size = len(row["metadata"]) + len(row["current_slots"]) + len(row["tags"])
    return size <= _LARGEST and row["state"] == "active"


def _versions(dialect: Dialect) -> Select[Any]:
    bound, sessions = dialect.bound_rows(*KEY), models.sessions.c
    return select(sessions.tenant_id, sessions.session_id, sessions.version).join_from(
        bound, models.sessions, same_session(sessions, bound.c)
    )


_VERSIONS = Prepared(_versions)
