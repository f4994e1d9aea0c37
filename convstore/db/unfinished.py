"""What the archive's ledger says is still to be finished: purges that a crash cut
short, copies that must not be kept, segments that are of no use any more."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, or_, select

from convstore.db import models
from convstore.db.segments import SEGMENT_COLUMNS, StoredSegment
from convstore.db.unit import Key

E = models.archive_entries.c
G = models.archive_segments.c
S = models.sessions.c


def with_pending_entries(connection: Connection) -> list[StoredSegment]:
    """Sealed segments with sessions that were not purged yet: a run died there."""
    pending = select(E.segment_id).where(E.state == "sealed").distinct()
    return [
        StoredSegment(*row)
        for row in connection.execute(
            select(*SEGMENT_COLUMNS)
            .where(G.segment_id.in_(pending), G.state == "sealed")
            .order_by(G.segment_id)
        )
    ]


def unwanted(
    connection: Connection, keys: Sequence[Key] | None = None
) -> list[tuple[str, Key]]:
    """Segment and session of each copy that must not be kept: of sessions erased, or
    deleted without an archive. With `keys`, only theirs."""
    statement = (
        select(E.segment_id, E.tenant_id, E.session_id)
        .join(
            models.sessions,
            and_(S.tenant_id == E.tenant_id, S.session_id == E.session_id),
        )
        .where(
            or_(
                S.state == "erased",
                and_(S.state == "deleted", S.segment_id.is_(None)),
            )
        )
        .order_by(E.segment_id)
    )
    if keys is None:
        rows = connection.execute(statement).all()
    else:
        rows = []
        for tenant in sorted({key[0] for key in keys}):
            ids = [session for owner, session in keys if owner == tenant]
            for start in range(0, len(ids), 500):
                rows += connection.execute(
                    statement.where(
                        E.tenant_id == tenant,
                        E.session_id.in_(ids[start : start + 500]),
                    )
                ).all()
    return [(segment_id, (tenant, session)) for segment_id, tenant, session in rows]


def without_use(connection: Connection, before: int) -> list[StoredSegment]:
    """Segments in which nothing has been the only copy since `before`.

    The state of the entries says so, and no stub names the segment either. A session
    that was restored counts from its last change, which cannot be earlier: a backup of
    the database from before the restore still names this file.
    """
    used = select(E.segment_id).where(E.state.in_(("sealed", "committed", "newer")))
    named = (
        select(E.segment_id)
        .join(
            models.sessions,
            and_(S.tenant_id == E.tenant_id, S.session_id == E.session_id),
        )
        .where(
            or_(
                S.segment_id == E.segment_id,
                and_(E.state == "restored", S.updated_at >= before),
            )
        )
    )
    return [
        StoredSegment(*row)
        for row in connection.execute(
            select(*SEGMENT_COLUMNS).where(
                G.state == "sealed",
                G.sealed_at < before,
                G.segment_id.not_in(used),
                G.segment_id.not_in(named),
            )
        )
    ]
