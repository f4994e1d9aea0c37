"""Counts for `stats`: what is kept, and a bounded look at what is not."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, Select, func, select

from convstore.db import models, retention_runs, segments, session_counts
from convstore.db.retention_runs import StoredRun
from convstore.db.staleness import imported_by
from convstore.vocabulary.record import Value

S = models.sessions.c
L = models.session_labels.c

MOST_READ = 20_000
"""Sessions, and labels of sessions, that one look reads: some hundredths of a second.
Of a larger tenant it counts what it read and says so."""


class Counts(Value, frozen=True):
    """Sessions by state with their turns and interactions, and effective feedback.

    `complete` says whether all live sessions and all labels were read.
    """

    sessions: dict[str, int]
    turns: int
    interactions: int
    feedback: dict[str, int]
    unreadable: int
    complete: bool


def of_tenant(connection: Connection, tenant: str, most: int = MOST_READ) -> Counts:
    """Count what a tenant has. To be run in one snapshot.

    Sessions, and turns and interactions of those that are not live, are kept; of live
    ones they are added up over the tenant's most recent `most` sessions, and labels
    over as many of its labels.
    """
    kept = session_counts.of_tenant(connection, tenant)
    found, turns, interactions = connection.execute(live_statement(tenant, most)).one()
    feedback: Counter[str] = Counter()
    labels = connection.execute(labels_statement(tenant, most + 1)).all()
    for label, count in labels[:most]:
        feedback[label] += count
    live = kept.get("active")
    return Counts(
        sessions={state: of.sessions for state, of in sorted(kept.items())},
        turns=int(turns) + sum(of.turns for of in kept.values()),
        interactions=int(interactions) + sum(of.interactions for of in kept.values()),
        feedback=dict(sorted(feedback.items())),
        unreadable=0 if live is None else live.unreadable,
        complete=found == (0 if live is None else live.sessions)
        and len(labels) <= most,
    )


def live_statement(tenant: str, most: int) -> Select[Any]:
    """The live ones among a tenant's `most` recent sessions: how many, with how many
    turns and interactions."""
    recent = (
        select(S.state, S.turn_count, S.interaction_count)
        .where(S.tenant_id == tenant, models.LISTED)
        .order_by(S.activity_bucket.desc())
        .limit(most)
        .subquery()
    )
    return select(
        func.count(),
        func.coalesce(func.sum(recent.c.turn_count), 0),
        func.coalesce(func.sum(recent.c.interaction_count), 0),
    ).where(recent.c.state == "active")


def labels_statement(tenant: str, most: int) -> Select[Any]:
    """Labels of a tenant's sessions with how often each is given, in order of key."""
    return (
        select(L.label, L.count)
        .where(L.tenant_id == tenant)
        .order_by(L.session_id, L.label)
        .limit(most)
    )


def oldest_stale(connection: Connection, cutoff: int) -> int | None:
    """Last activity of the least recently active live session at or before `cutoff`."""
    oldest: int | None = connection.execute(
        select(S.last_activity_at)
        .where(
            S.state == "active",
            S.last_activity_at <= cutoff,
            imported_by(cutoff),
            S.hold_count == 0,
        )
        .order_by(S.activity_bucket, S.last_activity_at)
        .limit(1)
    ).scalar_one_or_none()
    return oldest


class Standing(Value, frozen=True):
    """What tells whether jobs run: segments by state with number and bytes, a tenant's
    live and unreadable sessions, the newest run of retention, and what is overdue."""

    segments: dict[str, tuple[int, int]]
    live: int
    unreadable: int
    last_run: StoredRun | None
    oldest_stale: int | None


def standing(connection: Connection, tenant: str, cutoff: int) -> Standing:
    """As of now, by indexes and what is kept alone."""
    live = session_counts.of_tenant(connection, tenant).get("active")
    return Standing(
        segments.totals(connection),
        0 if live is None else live.sessions,
        0 if live is None else live.unreadable,
        retention_runs.last(connection),
        oldest_stale(connection, cutoff),
    )
