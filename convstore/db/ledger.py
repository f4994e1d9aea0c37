"""The session ledger: routing, strikes and cost, under the session's lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from convstore.clock import to_micros
from convstore.codec import dumps
from convstore.db import models
from convstore.db.dialects import dialect_of
from convstore.db.rows import LEDGER_COLUMNS, ledger_from_row
from convstore.db.unit import Head, Key, Row, Unit
from convstore.records import LedgerEntry

L = models.session_ledger.c
C = models.cost_totals.c
_OF_SESSION = (L.tenant_id == bindparam("tenant"), L.session_id == bindparam("id"))
_ONE = select(*LEDGER_COLUMNS).where(*_OF_SESSION)
_DELETE = delete(models.session_ledger).where(*_OF_SESSION)
NOBODY = ""
"""Stands for the user of sessions without one in the totals."""

Change = Callable[[LedgerEntry | None], LedgerEntry | None]
"""From the entry as it is, None when absent, to the entry as it shall be."""


@dataclass(slots=True)
class ChangeLedger:
    """Apply a change to a session's entry; gives back what is there afterwards.

    The session's row is locked, so changes of many processes follow one another.
    """

    key: Key
    change: Change
    now: int
    cost_micros: int = 0
    activity: bool = True
    user_id: str | None = None
    size: int = 0

    def apply(self, unit: Unit) -> LedgerEntry | None:
        head = unit.active(self.key, self.user_id)
        unit.flush()
        before = find(unit.connection, self.key)
        after = self.change(before)
        if after == before:
            return before
        given = {"tenant": self.key[0], "id": self.key[1]}
        unit.connection.execute(_DELETE, given)
        if after is not None:
            unit.connection.execute(
                insert(models.session_ledger), _row(self.key, head, after)
            )
        if self.cost_micros:
            owner = head.row["user_id"] or NOBODY
            _add_cost(unit.connection, self.key[0], owner, self.cost_micros)
        head.touch(self.now, activity=self.activity)
        return after


def find(connection: Connection, key: Key) -> LedgerEntry | None:
    """The entry of a session, expired or not."""
    row = connection.execute(_ONE, {"tenant": key[0], "id": key[1]}).one_or_none()
    return None if row is None else ledger_from_row(key[1], row)


def forget_user(connection: Connection, tenant: str, user_id: str) -> None:
    """Remove a user from the totals; the tenant's total keeps the sum."""
    spent = total_cost(connection, tenant, user_id)
    connection.execute(
        delete(models.cost_totals).where(C.tenant_id == tenant, C.user_id == user_id)
    )
    if spent:
        _add_cost(connection, tenant, NOBODY, spent)


def page(
    connection: Connection, tenant: str, *, after: str, used_since: int, limit: int
) -> list[LedgerEntry]:
    """Entries of a tenant used since then, by session id beyond `after`."""
    rows = connection.execute(
        select(L.session_id, *LEDGER_COLUMNS)
        .where(
            L.tenant_id == tenant, L.session_id > after, L.last_used_at >= used_since
        )
        .order_by(L.session_id)
        .limit(limit)
    )
    return [ledger_from_row(row[0], row[1:]) for row in rows]


def total_cost(connection: Connection, tenant: str, user_id: str | None) -> int:
    """What a user's sessions, or all of a tenant, have cost; archived ones included."""
    statement = select(func.coalesce(func.sum(C.cost_micros), 0)).where(
        C.tenant_id == tenant
    )
    if user_id is not None:
        statement = statement.where(C.user_id == user_id)
    return int(connection.execute(statement).scalar_one())


def keys_of(connection: Connection, tenant: str, after: str, limit: int) -> list[Key]:
    """Sessions of a tenant that have an entry, beyond `after`."""
    rows = connection.execute(
        select(L.session_id)
        .where(L.tenant_id == tenant, L.session_id > after)
        .order_by(L.session_id)
        .limit(limit)
    )
    return [(tenant, session_id) for session_id in rows.scalars()]


def _add_cost(connection: Connection, tenant: str, owner: str, micros: int) -> None:
    row = {"tenant_id": tenant, "user_id": owner, "cost_micros": 0}
    connection.execute(dialect_of(connection).insert_ignore(models.cost_totals), row)
    connection.execute(
        update(models.cost_totals)
        .where(C.tenant_id == tenant, C.user_id == owner)
        .values(cost_micros=C.cost_micros + micros)
    )


def _row(key: Key, head: Head, entry: LedgerEntry) -> Row:
    sticky = entry.cache_sticky_until
    return {
        "tenant_id": key[0],
        "session_id": key[1],
        "user_id": head.row["user_id"],
        "model": entry.model,
        "tier": entry.tier,
        "user_explicit": entry.user_explicit,
        "request_count": entry.request_count,
        "strikes": entry.strikes,
        "recent_hashes": dumps(list(entry.recent_hashes)).decode(),
        "cost_micros": entry.cost_micros,
        "cache_provider": entry.cache_provider,
        "cache_sticky_until": None if sticky is None else to_micros(sticky),
        "created_at": to_micros(entry.created_at),
        "last_used_at": to_micros(entry.last_used_at),
    }
