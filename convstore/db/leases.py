"""Leases: a worker's time-limited right to run a job. They save work, and no more:
what is safe is decided by versions, not by who holds a lease."""

from __future__ import annotations

from sqlalchemy import Connection, delete, or_, select, update

from convstore.db import models, schema
from convstore.db.dialects import dialect_of

L = models.leases.c


def acquire(
    connection: Connection, name: str, holder: str, now: int, ttl: int
) -> int | None:
    """The lease's epoch, taken or renewed until `now + ttl`; None if another holds it.

    A lease that ends further ahead than its term was given by a clock that has gone
    back since, and is taken over.

    Raises:
        SchemaMismatchError: The database has been migrated since this store was opened:
            what a job would destroy may have more to it than this code knows.
    """
    schema.hold(connection)
    taken = connection.execute(
        update(models.leases)
        .where(
            L.name == name,
            or_(L.expires_at <= now, L.holder == holder, L.expires_at > now + 2 * ttl),
        )
        .values(holder=holder, epoch=L.epoch + 1, expires_at=now + ttl)
    )
    if taken.rowcount != 1:
        row = {"name": name, "holder": holder, "epoch": 1, "expires_at": now + ttl}
        added = connection.execute(
            dialect_of(connection).insert_ignore(models.leases), row
        )
        if added.rowcount != 1:
            return None
    return int(connection.execute(select(L.epoch).where(L.name == name)).scalar_one())


def release(connection: Connection, name: str, holder: str) -> None:
    """Give the lease back, if it is still the holder's."""
    connection.execute(delete(models.leases).where(L.name == name, L.holder == holder))
