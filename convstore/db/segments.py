"""The archive's ledger: which segment files there are, and which session is where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from convstore.db import models
from convstore.db.unit import Key

E = models.archive_entries.c
G = models.archive_segments.c
S = models.sessions.c

_ENTRY = (
    E.tenant_id,
    E.session_id,
    E.segment_id,
    E.ordinal,
    E.offset,
    E.length,
    E.raw_length,
    E.sha256,
    E.session_version,
    E.turn_count,
    E.state,
)


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """Where one session at one version lies; `state` says what it is worth.

    `sealed`: written, not yet purged. `committed`: the only copy. `restored`, `stale`:
    superseded by rows.
    """

    tenant_id: str
    session_id: str
    segment_id: str
    ordinal: int
    offset: int
    length: int
    raw_length: int
    sha256: str
    session_version: int
    turn_count: int
    state: str

    @property
    def key(self) -> Key:
        """Tenant and session."""
        return self.tenant_id, self.session_id


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """One segment file as the ledger knows it."""

    segment_id: str
    state: str
    key: str
    size_bytes: int
    raw_bytes: int
    sha256: str
    entry_count: int
    holder: str | None
    problem: str | None
    created_at: int
    sealed_at: int | None
    verified_at: int | None


def begin(
    connection: Connection, segment_id: str, key: str, holder: str, now: int
) -> None:
    """Announce a segment that `holder` is about to write."""
    connection.execute(
        insert(models.archive_segments),
        {
            "segment_id": segment_id,
            "state": "writing",
            "key": key,
            "size_bytes": 0,
            "raw_bytes": 0,
            "sha256": "",
            "entry_count": 0,
            "holder": holder,
            "problem": None,
            "created_at": now,
            "sealed_at": None,
            "verified_at": None,
        },
    )


def seal(
    connection: Connection, segment: StoredSegment, entries: Sequence[StoredEntry]
) -> bool:
    """Make a written segment known and final; False if it was given up meanwhile."""
    done = connection.execute(
        update(models.archive_segments)
        .where(G.segment_id == segment.segment_id, G.state == "writing")
        .values(
            state="sealed",
            size_bytes=segment.size_bytes,
            raw_bytes=segment.raw_bytes,
            sha256=segment.sha256,
            entry_count=len(entries),
            sealed_at=segment.sealed_at,
            verified_at=segment.sealed_at,
        )
    )
    if done.rowcount != 1:
        return False
    add_entries(connection, entries, segment.sealed_at or 0)
    return True


def add_sealed(
    connection: Connection, segment: StoredSegment, entries: Sequence[StoredEntry]
) -> None:
    """Take up a segment whose file is there already; for rebuilding and rewriting."""
    row = {name: getattr(segment, name) for name in StoredSegment.__slots__}
    connection.execute(insert(models.archive_segments), row)
    add_entries(connection, entries, segment.created_at)


def add_entries(
    connection: Connection, entries: Sequence[StoredEntry], now: int
) -> None:
    """Insert entries as they are."""
    if entries:
        connection.execute(
            insert(models.archive_entries),
            [
                {name: getattr(entry, name) for name in StoredEntry.__slots__}
                | {"created_at": now}
                for entry in entries
            ],
        )


def find(connection: Connection, segment_id: str) -> StoredSegment | None:
    """One segment of the ledger."""
    row = connection.execute(
        select(*_segment_columns()).where(G.segment_id == segment_id)
    ).one_or_none()
    return None if row is None else StoredSegment(*row)


def by_state(
    connection: Connection, *states: str, limit: int | None = None
) -> list[StoredSegment]:
    """Segments in one of the states, the longest unverified first."""
    statement = (
        select(*_segment_columns())
        .where(G.state.in_(states))
        .order_by(func.coalesce(G.verified_at, 0), G.segment_id)
    )
    if limit is not None:
        statement = statement.limit(limit)
    return [StoredSegment(*row) for row in connection.execute(statement)]


def set_state(
    connection: Connection,
    segment_id: str,
    state: str,
    *,
    problem: str | None = None,
    verified_at: int | None = None,
) -> None:
    """Note what has become of a segment."""
    values: dict[str, Any] = {"state": state, "problem": problem}
    if verified_at is not None:
        values["verified_at"] = verified_at
    connection.execute(
        update(models.archive_segments).where(G.segment_id == segment_id).values(values)
    )


def entries_of(
    connection: Connection, segment_id: str, *states: str
) -> list[StoredEntry]:
    """The entries of a segment in file order, all or those in the states."""
    statement = select(*_ENTRY).where(E.segment_id == segment_id).order_by(E.ordinal)
    if states:
        statement = statement.where(E.state.in_(states))
    return [StoredEntry(*row) for row in connection.execute(statement)]


def entry(connection: Connection, key: Key, segment_id: str) -> StoredEntry | None:
    """The entry of a session in a segment."""
    row = connection.execute(
        select(*_ENTRY).where(
            E.tenant_id == key[0], E.session_id == key[1], E.segment_id == segment_id
        )
    ).one_or_none()
    return None if row is None else StoredEntry(*row)


def set_entries(
    connection: Connection, segment_id: str, keys: Sequence[Key], state: str
) -> None:
    """Note what has become of entries of one segment."""
    if keys:
        connection.execute(
            update(models.archive_entries)
            .where(
                E.segment_id == segment_id,
                E.tenant_id == bindparam("b_tenant"),
                E.session_id == bindparam("b_session"),
            )
            .values(state=state),
            [{"b_tenant": tenant, "b_session": session} for tenant, session in keys],
        )


def with_pending_entries(connection: Connection) -> list[StoredSegment]:
    """Sealed segments with sessions that were not purged yet: a run died there."""
    pending = select(E.segment_id).where(E.state == "sealed").distinct()
    return [
        StoredSegment(*row)
        for row in connection.execute(
            select(*_segment_columns())
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
    """Sealed segments older than `before` in which nothing is the only copy."""
    used = select(E.segment_id).where(E.state.in_(("sealed", "committed")))
    return [
        StoredSegment(*row)
        for row in connection.execute(
            select(*_segment_columns()).where(
                G.state == "sealed",
                G.sealed_at < before,
                G.segment_id.not_in(used),
            )
        )
    ]


def replace_segment(
    connection: Connection,
    old_id: str,
    new: StoredSegment | None,
    entries: Sequence[StoredEntry],
) -> None:
    """Point everything at the rewritten segment; the old one may then be deleted."""
    connection.execute(delete(models.archive_entries).where(E.segment_id == old_id))
    if new is not None:
        add_sealed(connection, new, entries)
        connection.execute(
            update(models.sessions)
            .where(S.segment_id == old_id)
            .values(segment_id=new.segment_id)
        )
    set_state(connection, old_id, "deleting")


def forget(connection: Connection, segment_id: str) -> None:
    """Remove the entries of a segment whose file is gone, and say so."""
    connection.execute(delete(models.archive_entries).where(E.segment_id == segment_id))
    set_state(connection, segment_id, "deleted")


def drop(connection: Connection, segment_id: str) -> None:
    """Remove the row of a segment, so that it can be taken up anew."""
    connection.execute(
        delete(models.archive_segments).where(G.segment_id == segment_id)
    )


def archived_sessions(
    connection: Connection,
    tenant: str,
    *,
    after: str,
    limit: int,
    user_id: str | None = None,
) -> list[Any]:
    """Archived sessions of a tenant by id, beyond `after`, with their place and size."""
    statement = (
        select(
            S.session_id,
            S.user_id,
            S.title,
            S.turn_count,
            S.archived_at,
            S.segment_id,
            E.length,
        )
        .join(
            models.archive_entries,
            and_(
                E.tenant_id == S.tenant_id,
                E.session_id == S.session_id,
                E.segment_id == S.segment_id,
            ),
        )
        .where(S.tenant_id == tenant, S.session_id > after, S.state == "archived")
        .order_by(S.session_id)
        .limit(limit)
    )
    if user_id is not None:
        statement = statement.where(S.user_id == user_id)
    return list(connection.execute(statement).all())


def totals(connection: Connection) -> dict[str, tuple[int, int]]:
    """Number and bytes of segments by state."""
    rows = connection.execute(
        select(
            G.state, func.count(), func.coalesce(func.sum(G.size_bytes), 0)
        ).group_by(G.state)
    )
    return {state: (count, int(size)) for state, count, size in rows}


def _segment_columns() -> list[Any]:
    return [models.archive_segments.c[name] for name in StoredSegment.__slots__]
