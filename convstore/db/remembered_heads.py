"""Heads that this process remembers, and appends on the strength of them.

Where every statement is a trip to a server, most of an append is trips: begin, lock
and read the heads, insert, update, commit. A process that wrote to a session last
knows its head already. So plain appends are worked out on remembered heads, by the
same operations as ever, and go down as one statement that compares the version of each
session and touches nothing of one that has moved on. Those that it left out take the
long way. Nothing depends on what is remembered being true.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Exists,
    FromClause,
    Select,
    bindparam,
    cast,
    insert,
    select,
    true,
    update,
)

from convstore.db import flush_hooks, models
from convstore.db.dialects.base import Dialect
from convstore.db.flushed import FlushHook
from convstore.db.given_rows import given_rows, text_of
from convstore.db.row_writes import HOT
from convstore.db.session_ids import KEY, same_session
from convstore.db.statements import Prepared
from convstore.db.turns import AppendTurns
from convstore.db.unit import Head, Key, Row, Unit
from convstore.vocabulary.codec import dumps

# Sessions, and characters of one head's texts: together some ten megabytes at most.
_MOST = 4_096
_LARGEST = 2_048
_TURN_COLUMNS = list(models.turns.c)
_HEAD_NAMES = (*KEY, *HOT)


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
            if head is not None and _is_worth_it(head.row):
                self._rows[key] = head.row.copy()
        while len(self._rows) > _MOST:
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


def suppose_new(unit: Unit, appends: Sequence[AppendTurns]) -> None:
    """Take external ids for not stored yet: the statement that writes makes sure."""
    for append in appends:
        for row in append.rows:
            if row["external_id"] is not None:
                unit.external[(*append.key, row["external_id"])] = None


def write_at_once(
    connection: Connection, unit: Unit, before: dict[Key, Row]
) -> set[Key]:
    """Write the turns and heads of `unit` for the sessions that are as `before`, and
    that have none of the turns' external ids yet.

    One statement, which is a transaction of its own, with what flush hooks add to it.

    Returns:
        The sessions that were written; nothing of the others was.
    """
    turns, heads = unit.taken()
    versions = [before[row["tenant_id"], row["session_id"]]["version"] for row in heads]
    named = any(row["external_id"] is not None for row in turns)
    values: dict[str, Any]
    if one := len(turns) == len(heads) == 1:
        alone = [*_turn_of(turns[0]), *_head_of(heads[0]), *versions]
        values = dict(zip(_VALUES, alone, strict=True))
    else:
        told = [
            {**{name: head[name] for name in _HEAD_NAMES}, "before": version}
            for head, version in zip(heads, versions, strict=True)
        ]
        values = {"t_in": text_of(turns), "h_in": text_of(told)}
    statement = _prepared(flush_hooks.hooks_of(connection), one=one, named=named)
    found = statement.all(connection, values)
    return {(tenant_id, session_id) for tenant_id, session_id in found}


def _is_worth_it(row: Row) -> bool:
    # Its other texts are ids, at most 255 characters each, and counts by label.
    size = len(row["metadata"]) + len(row["current_slots"]) + len(row["tags"])
    return size <= _LARGEST and row["state"] == "active"


def _given(prefix: str, columns: Sequence[Column[Any]], *, one: bool) -> FromClause:
    """Rows that are bound as one text, or one row as its values.

    The server has the values of one row at once, and need not take them from a text.
    """
    if one:
        values = (
            cast(bindparam(f"{prefix}{column.name}"), column.type).label(column.name)
            for column in columns
        )
        return select(*values).subquery(f"{prefix}in")
    return given_rows(f"{prefix}in", columns)


def _repeated(rows: FromClause, heads: FromClause) -> Exists:
    """Whether an external id of a head's rows is stored already."""
    turns = models.turns
    found = select(rows.c.seq).join_from(rows, turns, same_session(rows.c, turns.c))
    found = found.where(
        turns.c.external_id == rows.c.external_id, same_session(rows.c, heads.c)
    )
    return found.correlate(heads).exists()


def _at_once(hooks: Sequence[FlushHook], *, one: bool, named: bool) -> Select[Any]:
    sessions, turns = models.sessions, models.turns
    columns = [sessions.c[name] for name in _HEAD_NAMES]
    heads = _given("h_", [*columns, Column("before", BigInteger)], one=one)
    rows = _given("t_", _TURN_COLUMNS, one=one)
    # Whoever holds a lock now is about to raise the version. To pass over those
    # sessions, and not to wait, is also what keeps two statements that share
    # sessions from waiting for each other.
    # One look at the key for each head, in a lateral subquery, by the version alone:
    # a planner that knows nothing yet of a young table would rather walk all of it, or
    # the index of active sessions.
    unmoved = (
        select(sessions.c.version)
        .where(same_session(sessions.c, heads.c), sessions.c.version == heads.c.before)
        .with_for_update(skip_locked=True, key_share=True)
        .lateral("unmoved")
    )
    found = select(*(heads.c[column.name] for column in columns))
    found = found.join_from(heads, unmoved, true())
    ours = (found.where(~_repeated(rows, heads)) if named else found).cte("ours")
    changed = (
        update(sessions)
        .where(same_session(sessions.c, ours.c))
        .values({name: ours.c[name] for name in HOT})
        .returning(sessions.c.tenant_id, sessions.c.session_id, sessions.c.version)
        .cte("changed")
    )
    added = (
        insert(turns)
        .from_select(
            [column.name for column in _TURN_COLUMNS],
            select(*rows.c).join_from(rows, changed, same_session(rows.c, changed.c)),
        )
        .cte("added")
    )
    more = [cte for hook in hooks for cte in hook.at_once(rows, changed)]
    return select(changed.c.tenant_id, changed.c.session_id).add_cte(added, *more)


def _versions(dialect: Dialect) -> Select[Any]:
    bound, sessions = dialect.bound_rows(*KEY), models.sessions.c
    return select(sessions.tenant_id, sessions.session_id, sessions.version).join_from(
        bound, models.sessions, same_session(sessions, bound.c)
    )


_VERSIONS = Prepared(_versions)


@lru_cache
def _prepared(hooks: tuple[FlushHook, ...], *, one: bool, named: bool) -> Prepared:
    return Prepared(lambda _: _at_once(hooks, one=one, named=named))


_turn_of = itemgetter(*(column.name for column in _TURN_COLUMNS))
_head_of = itemgetter(*_HEAD_NAMES)
_VALUES = [
    *(f"t_{column.name}" for column in _TURN_COLUMNS),
    *(f"h_{name}" for name in (*_HEAD_NAMES, "before")),
]
