"""The rows of sessions, read and locked for a transaction: waiting for whoever holds
them, or passing over those that are held.

A session that another transaction is about to make has no row to lock. So whoever finds
none holds the key itself, as an advisory lock, until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    false,
    select,
    true,
)

from convstore.db import models
from convstore.db.dialects.base import Dialect
from convstore.db.rows import SESSION_COLUMNS
from convstore.db.statements import Prepared
from convstore.vocabulary.codec import dumps

Key = tuple[str, str]
Row = dict[str, Any]

NAMES = [column.name for column in SESSION_COLUMNS]
_KEY = ("tenant_id", "session_id")


def locked(
    connection: Connection, keys: Collection[Key], *, claims: bool = True
) -> dict[Key, Row]:
    """Lock and read the rows of `keys`; those that are held elsewhere are waited for.

    A key that is not given has no row; with `claims`, nobody else makes one before this
    transaction ends.
    """
    rows, held = _read(_WAITING, connection, keys, claims)
    if held:  # being made elsewhere: whether they are there is known when that ends
        _CLAIM.all(connection, _asked(held))
        made, _ = _read(_WAITING, connection, held, claims)
        rows |= made
    return rows


def free(
    connection: Connection, keys: Collection[Key]
) -> tuple[dict[Key, Row], set[Key]]:
    """Lock and read the rows of `keys` that nobody else holds, without waiting.

    Returns:
        The rows, and the keys that are held elsewhere. A key in neither is as with
        `locked` and `claims`.
    """
    return _read(_PASSING, connection, keys, claims=True)


def _read(
    statement: Prepared, connection: Connection, keys: Collection[Key], claims: bool
) -> tuple[dict[Key, Row], set[Key]]:
    rows: dict[Key, Row] = {}
    held: set[Key] = set()
    for row in statement.all(connection, {**_asked(keys), "claims": claims}):
        if row[2] is None:  # its state, which every session has
            held.add((row[0], row[1]))
        else:
            rows[row[0], row[1]] = dict(zip(NAMES, row, strict=True))
    return rows, held


def _asked(keys: Collection[Key]) -> dict[str, str]:
    # In order, so that two transactions never wait for each other.
    return {"asked": dumps(sorted(keys)).decode()}


def _same_key(asked: FromClause) -> Any:
    return and_(*(models.sessions.c[name] == asked.c[name] for name in _KEY))


def _statement(dialect: Dialect, *, waits: bool) -> Select[Any]:
    asked, sessions = dialect.asked(*_KEY), models.sessions
    if not dialect.has_row_locks:
        return select(*SESSION_COLUMNS).join_from(asked, sessions, _same_key(asked))
    # By key, one after the other, in a lateral subquery: whatever the planner knows of
    # the table, it locks in the order that was asked for.
    head = select(*SESSION_COLUMNS).where(_same_key(asked)).correlate(asked)
    head = dialect.locked(head, sessions) if waits else dialect.skip_locked(head)
    found = head.lateral("head")
    key = [asked.c[name] for name in _KEY]
    exists = select(true()).where(_same_key(asked)).correlate(asked).scalar_subquery()
    # A row that is there and was not locked is held. The order of a CASE is kept: only
    # the key of a row that is not there is claimed.
    told = case(
        (found.c.state.is_not(None), true()),
        (exists, true()),
        (~bindparam("claims", type_=Boolean), false()),
        else_=~dialect.claimed(*key),
    )
    columns = [*key, *(found.c[name] for name in NAMES[len(key) :])]
    return select(*columns).select_from(asked.outerjoin(found, true())).where(told)


def _claim(dialect: Dialect) -> Select[Any]:
    asked = dialect.asked(*_KEY)
    return select(dialect.claim(*(asked.c[name] for name in _KEY)))


_WAITING = Prepared(lambda dialect: _statement(dialect, waits=True))
_PASSING = Prepared(lambda dialect: _statement(dialect, waits=False))
_CLAIM = Prepared(_claim)
