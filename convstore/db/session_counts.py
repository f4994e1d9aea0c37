"""How many sessions there are: kept by the database, read without a walk.

Triggers keep the table, so no statement can forget to, and a process of an older
release that still runs counts as well. Of live sessions it has the number and nothing
that an append changes: no append touches it.

On SQLite, where one writes at a time, each tenant and state has one row. On PostgreSQL
each addition is a row of its own, so that nobody waits for another who makes a session
too; one addition in fifty, by chance, adds up those of its tenant and state. A count is
the sum of a few hundred rows at most, however many sessions there are.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from convstore.db import models
from convstore.vocabulary.record import Value

C = models.session_counts.c
_SUMS = (C.sessions, C.in_archive, C.unreadable, C.turns, C.interactions)


class OfState(Value, frozen=True):
    """Sessions of a tenant in one state; turns and interactions unless it is active."""

    sessions: int
    in_archive: int
    unreadable: int
    turns: int
    interactions: int


def of_tenant(connection: Connection, tenant: str) -> dict[str, OfState]:
    """The counts of a tenant by state, exact; of states that no session is in, none."""
    rows = connection.execute(
        select(C.state, *(func.sum(column) for column in _SUMS))
        .where(C.tenant_id == tenant)
        .group_by(C.state)
    )
    return {state: OfState(*map(int, sums)) for state, *sums in rows if sums[0]}


def live(connection: Connection) -> dict[str, int]:
    """Live sessions of each tenant that has some."""
    rows = connection.execute(
        select(C.tenant_id, func.sum(C.sessions))
        .where(C.state == "active")
        .group_by(C.tenant_id)
    )
    return {tenant: int(count) for tenant, count in rows if count}


def in_archive(connection: Connection, tenant: str | None) -> int:
    """Sessions that the archive holds, of a tenant or of all."""
    statement = select(func.coalesce(func.sum(C.in_archive), 0))
    if tenant is not None:
        statement = statement.where(C.tenant_id == tenant)
    return int(connection.execute(statement).scalar_one())
