"""Which sessions may be stale, and which archives due: candidates in pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, or_, select

from convstore.db import models
from convstore.db.unit import Key, Row

S = models.sessions.c
_SUMMARY = (
    S.tenant_id,
    S.session_id,
    S.version,
    S.last_activity_at,
    S.expires_at,
    S.tags,
    S.hold_count,
    S.state,
    S.archived_at,
    S.turn_count,
)


def candidates(
    connection: Connection,
    *,
    cutoff: int | None,
    after: tuple[int, str, str],
    limit: int,
    tenant: str | None = None,
) -> list[Row]:
    """Live sessions that may be stale, least recently active first, beyond `after`.

    Without a cutoff every live session is one. One walk along the index of live
    sessions; sessions with an expiry of their own come by `expired`.
    """
    statement = candidates_statement(cutoff, after, tenant).limit(limit)
    return [dict(row) for row in connection.execute(statement).mappings()]


def candidates_statement(
    cutoff: int | None, after: tuple[int, str, str], tenant: str | None = None
) -> Select[Any]:
    """The statement of `candidates`, without its limit."""
    at, owner, session_id = after
    statement = (
        select(*_SUMMARY)
        .where(
            S.state == "active",
            S.last_activity_at >= at,
            or_(
                S.last_activity_at > at,
                S.tenant_id > owner,
                (S.tenant_id == owner) & (S.session_id > session_id),
            ),
        )
        .order_by(S.last_activity_at, S.tenant_id, S.session_id)
    )
    if cutoff is not None:
        statement = statement.where(S.last_activity_at <= cutoff)
    if tenant is not None:
        # What the state says already: it lets the planner walk the index of the list.
        # By the key it would read and sort all of the tenant's sessions for each page.
        statement = statement.where(S.tenant_id == tenant, models.LISTED)
    return statement


def expired(
    connection: Connection, *, now: int, after: tuple[int, str, str], limit: int
) -> list[Row]:
    """Live sessions past their own expiry, earliest first, beyond `after`."""
    at, owner, session_id = after
    statement = (
        select(*_SUMMARY)
        .where(
            S.state == "active",
            S.expires_at.is_not(None),
            S.expires_at <= now,
            S.expires_at >= at,
            or_(
                S.expires_at > at,
                S.tenant_id > owner,
                (S.tenant_id == owner) & (S.session_id > session_id),
            ),
        )
        .order_by(S.expires_at, S.tenant_id, S.session_id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]


def archived_before(
    connection: Connection, *, cutoff: int, after: Key, limit: int
) -> list[Row]:
    """Archived and deleted sessions whose archive may be due, by key beyond `after`."""
    statement = (
        select(*_SUMMARY)
        .where(
            S.state.in_(("archived", "deleted")),
            S.segment_id.is_not(None),
            S.archived_at <= cutoff,
            S.tenant_id >= after[0],
            or_(S.tenant_id > after[0], S.session_id > after[1]),
        )
        .order_by(S.tenant_id, S.session_id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]


def live_counts(connection: Connection) -> dict[str, int]:
    """Live sessions of each tenant."""
    rows = connection.execute(
        select(S.tenant_id, func.count())
        .where(S.state == "active")
        .group_by(S.tenant_id)
    )
    return {tenant: count for tenant, count in rows}  # noqa: C416


def archived_count(connection: Connection, tenant: str | None) -> int:
    """Sessions that the archive holds, of a tenant or of all."""
    statement = (
        select(func.count())
        .select_from(models.sessions)
        .where(S.state.in_(("archived", "deleted")), S.segment_id.is_not(None))
    )
    if tenant is not None:
        statement = statement.where(S.tenant_id == tenant)
    return int(connection.execute(statement).scalar_one())


def newest_activity(connection: Connection) -> int | None:
    """When the most recently active live session was active."""
    newest: int | None = connection.execute(
        select(func.max(S.last_activity_at)).where(S.state == "active")
    ).scalar_one()
    return newest
