"""Counts of a store: its tenant's sessions, the archive, the database, retention."""

from __future__ import annotations

from convstore.archive.context import Context
from convstore.archive.documents import Pages
from convstore.commits.group_commit import CommitStats
from convstore.db import retention_runs, segments, statistics
from convstore.retention.plan import oldest_cutoff
from convstore.vocabulary.clock import from_micros, to_micros
from convstore.vocabulary.reports import StoreStats


async def count(
    context: Context, commits: CommitStats, tenant: str, read: Pages
) -> StoreStats:
    """What there is of a tenant, and of the whole, as `read` finds it; see
    `StoreStats`."""
    cutoff = to_micros(oldest_cutoff(context.policy, context.clock.now()))
    counts = await read(lambda c: statistics.of_tenant(c, tenant), snapshot=True)
    totals = await read(segments.totals)
    last = await read(retention_runs.last)
    oldest = await read(lambda c: statistics.oldest_stale(c, cutoff))
    sealed = totals.get("sealed", (0, 0))
    quarantined = totals.get("quarantined", (0, 0))
    return StoreStats(
        tenant_id=tenant,
        sessions=counts.sessions,
        turns=counts.turns,
        interactions=counts.interactions,
        feedback=counts.feedback,
        database_bytes=await context.backend.size_bytes(),
        archive_segments=sealed[0] + quarantined[0],
        archive_bytes=sealed[1] + quarantined[1],
        quarantined_segments=quarantined[0],
        oldest_stale_at=None if oldest is None else from_micros(oldest),
        retention_lag_s=0.0 if oldest is None else (cutoff - oldest) / 1_000_000,
        last_run_at=None if last is None else from_micros(last.started_at),
        last_run_problem=None if last is None else last.problem,
        unreadable=counts.unreadable,
        writes=commits.writes,
        commits=commits.commits,
        queued=commits.queued,
        log_bytes=await context.backend.log_bytes(),
        complete=counts.complete,
    )
