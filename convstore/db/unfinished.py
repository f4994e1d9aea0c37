"""What the archive's ledger says is still to be finished: purges that a crash cut
short, copies that must not be kept, segments that are of no use any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, and_, literal_column, or_, select

from convstore.db import models
from convstore.db.segments import SEGMENT_COLUMNS, StoredSegment
from convstore.db.session_ids import about_keys, of_sessions
from convstore.db.statements import Prepared
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


def with_unwanted(
    connection: Connection, keys: Collection[Key] | None = None
) -> list[str]:
    """Segments with a copy that must not be kept: of a session that is erased, or
    deleted without an archive. With `keys`, those with one of theirs."""
    if keys is None:
        return list(connection.execute(_unwanted(E.segment_id).distinct()).scalars())
    return [row[0] for row in _WITH_UNWANTED.all(connection, about_keys(keys))]


def unwanted(connection: Connection, segment_id: str) -> set[Key]:
    """The sessions of a segment whose copies must not be kept."""
    rows = connection.execute(
        _unwanted(E.tenant_id, E.session_id).where(E.segment_id == segment_id)
    )
    return {(tenant, session_id) for tenant, session_id in rows}


def _unwanted(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .join(
            models.sessions,
            and_(S.tenant_id == E.tenant_id, S.session_id == E.session_id),
        )
        .where(
            or_(
                S.state == literal_column("'erased'"),
                and_(S.state == literal_column("'deleted'"), S.segment_id.is_(None)),
            )
        )
    )


_WITH_UNWANTED = Prepared(
    lambda dialect: (
        _unwanted(E.segment_id)
        .where(of_sessions(dialect, models.archive_entries))
        .distinct()
    )
)


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
