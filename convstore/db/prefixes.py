"""Prefix entries of gateways as rows; see `gateway.stored_prefixes`."""

from __future__ import annotations

from sqlalchemy import Connection, Select, delete, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from convstore.db import models
from convstore.db.dialects import dialect_of

P = models.prefix_entries.c


def find(
    connection: Connection, tenant: str, key: str
) -> tuple[str, str | None, int, int] | None:
    """Upstream session, instance, expiry and last use of an entry."""
    row = connection.execute(
        select(P.upstream_session_id, P.instance, P.expires_at, P.used_at).where(
            P.tenant_id == tenant, P.prefix_key == key
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1], row[2], row[3])


def use(
    connection: Connection, tenant: str, key: str, now: int, expires_at: int | None
) -> None:
    """Count an entry as used, and extend its life if `expires_at` is given."""
    values = {"used_at": now}
    if expires_at is not None:
        values["expires_at"] = expires_at
    connection.execute(
        update(models.prefix_entries)
        .where(P.tenant_id == tenant, P.prefix_key == key, P.expires_at > now)
        .values(values)
    )


def expire(connection: Connection, tenant: str, key: str, now: int) -> int:
    """Remove an entry if it is due; 1 or 0."""
    return connection.execute(
        delete(models.prefix_entries).where(
            P.tenant_id == tenant, P.prefix_key == key, P.expires_at <= now
        )
    ).rowcount


def put(
    connection: Connection,
    tenant: str,
    key: str,
    entry: tuple[str, str | None],
    now: int,
    expires_at: int,
) -> None:
    """Insert or replace an entry."""
    values = {
        "upstream_session_id": entry[0],
        "instance": entry[1],
        "used_at": now,
        "expires_at": expires_at,
    }
    mine = (P.tenant_id == tenant, P.prefix_key == key)
    replace = update(models.prefix_entries).where(*mine).values(values)
    if connection.execute(replace).rowcount:
        return
    row = {"tenant_id": tenant, "prefix_key": key, **values}
    add = dialect_of(connection).insert_ignore(models.prefix_entries)
    if not connection.execute(add, row).rowcount:
        connection.execute(replace)  # another worker was first


def trim(
    connection: Connection, tenant: str, now: int, max_entries: int
) -> tuple[int, int]:
    """Remove what is due, then the least recently used over the bound; how many each.

    Rows that another worker is using are passed by: it trims too.
    """
    of_tenant = P.tenant_id == tenant
    expired = _remove(
        connection, tenant, select(P.prefix_key).where(of_tenant, P.expires_at <= now)
    )
    count = select(func.count()).select_from(models.prefix_entries).where(of_tenant)
    over = connection.execute(count).scalar_one() - max_entries
    if over <= 0:
        return expired, 0
    oldest = (
        select(P.prefix_key)
        .where(of_tenant)
        .order_by(P.used_at, P.prefix_key)
        .limit(over)
    )
    return expired, _remove(connection, tenant, oldest)


def remove(
    connection: Connection,
    tenant: str,
    *,
    key: str | None,
    upstream_session_id: str | None,
    instance: str | None,
) -> int:
    """Remove the entries that fit the one thing given; how many."""
    fits: ColumnElement[bool] = P.prefix_key == key
    if upstream_session_id is not None:
        fits = P.upstream_session_id == upstream_session_id
    elif instance is not None:
        fits = P.instance == instance
    return _remove(
        connection, tenant, select(P.prefix_key).where(P.tenant_id == tenant, fits)
    )


def count(connection: Connection, tenant: str, now: int) -> int:
    """Entries that have not expired."""
    statement = select(func.count()).select_from(models.prefix_entries)
    return int(
        connection.execute(
            statement.where(P.tenant_id == tenant, P.expires_at > now)
        ).scalar_one()
    )


def _remove(connection: Connection, tenant: str, chosen: Select[tuple[str]]) -> int:
    # Chosen first, past locked rows, so that two workers never wait for each other.
    keys = connection.execute(dialect_of(connection).skip_locked(chosen)).scalars()
    found = list(keys)
    if not found:
        return 0
    return connection.execute(
        delete(models.prefix_entries).where(
            P.tenant_id == tenant, P.prefix_key.in_(found)
        )
    ).rowcount
