"""What lists over the whole of a store tell: users, tenants, segments, runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class UserSummary:
    """A user with live or archived sessions: how many, and when one was last active."""

    user_id: str
    session_count: int
    last_activity_at: datetime


@dataclass(frozen=True, slots=True)
class TenantSummary:
    """A tenant, its sessions by state, and when one was last active (None: none is
    live or archived)."""

    tenant_id: str
    sessions: dict[str, int]
    last_activity_at: datetime | None


@dataclass(frozen=True, slots=True)
class ArchiveSegment:
    """One file of the archive as the database knows it.

    Attributes:
        state: `writing`, `sealed`, `quarantined` (damaged) or `deleting`.
        size_bytes: Of the file; `raw_bytes` unpacked.
        session_count: Sessions that were written to it.
        problem: What verification found.
        verified_at: When the whole of it was last read back.
    """

    segment_id: str
    state: str
    size_bytes: int
    raw_bytes: int
    session_count: int
    problem: str | None
    created_at: datetime
    sealed_at: datetime | None
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class RetentionRun:
    """One run of retention that is remembered; `finished_at` None runs, or died.

    Attributes:
        archived: Sessions written to segments.
        purged: Sessions whose rows went.
        failed: Sessions set aside.
        problem: Code of the error that stopped it.
    """

    run_id: str
    started_at: datetime
    finished_at: datetime | None
    archived: int
    purged: int
    failed: int
    problem: str | None
