"""Lists over the whole of a store: its users, its tenants, the archive's files."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, and_, func, select, tuple_

from convstore.db import models

S = models.sessions.c
G = models.archive_segments.c
C = models.session_counts.c


class SegmentSummary(NamedTuple):
    """One segment as its row tells of it."""

    segment_id: str
    state: str
    size_bytes: int
    raw_bytes: int
    entry_count: int
    problem: str | None
    created_at: int
    sealed_at: int | None
    verified_at: int | None


def users(
    connection: Connection, tenant: str, after: str, limit: int, *, back: bool = False
) -> list[tuple[str, int, int]]:
    """User, sessions and last activity, by user; reads the sessions of those alone.
    `back`, those before `after`, the last one first."""
    found = connection.execute(
        select(S.user_id, func.count(), func.max(S.last_activity_at))
        .where(
            S.tenant_id == tenant,
            S.user_id.is_not(None),
            S.user_id < after if back else S.user_id > after,
            models.LISTED,
        )
        .group_by(S.user_id)
        .order_by(S.user_id.desc() if back else S.user_id)
        .limit(limit)
    )
    return [(str(user), int(count), int(at)) for user, count, at in found]


def tenants(
    connection: Connection, after: str, limit: int
) -> list[tuple[str, dict[str, int], int | None]]:
    """Tenant, sessions by state and last activity, by tenant."""
    names = connection.scalars(
        select(C.tenant_id)
        .where(C.tenant_id > after)
        .distinct()
        .order_by(C.tenant_id)
        .limit(limit)
    ).all()
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    rows = connection.execute(
        select(C.tenant_id, C.state, func.sum(C.sessions))
        .where(C.tenant_id > after, C.tenant_id <= (names[-1] if names else after))
        .group_by(C.tenant_id, C.state)
    )
    for tenant, state, count in rows:
        if count:
            counts[tenant][state] = int(count)
    return [(name, counts[name], _last_active(connection, name)) for name in names]


def _last_active(connection: Connection, tenant: str) -> int | None:
    """When a listed session of the tenant was last active: that of the last quarter of
    an hour in which one was, which the index has first."""
    # In the words of the index, which a database compares with a statement's.
    listed = and_(S.tenant_id == tenant, models.LISTED)
    newest = (
        select(S.activity_bucket)
        .where(listed)
        .order_by(S.activity_bucket.desc())
        .limit(1)
        .scalar_subquery()
    )
    found: int | None = connection.scalar(
        select(func.max(S.last_activity_at)).where(listed, S.activity_bucket == newest)
    )
    return found


def segments(
    connection: Connection,
    place: tuple[int, str] | None,
    limit: int,
    *,
    back: bool = False,
) -> list[SegmentSummary]:
    """Segments that have a file, or should, the newest first, older than a place;
    `back`, those newer than it, the oldest first."""
    columns = [models.archive_segments.c[name] for name in SegmentSummary._fields]
    wanted = select(*columns).where(G.state != "deleted")
    key = tuple_(G.created_at, G.segment_id)
    if place is not None:
        wanted = wanted.where(key > place if back else key < place)
    order = [G.created_at, G.segment_id]
    wanted = wanted.order_by(*(order if back else [c.desc() for c in order]))
    return [SegmentSummary(*row) for row in connection.execute(wanted.limit(limit))]
