"""Counts for `stats`: one walk over a tenant's sessions, and a few numbers of all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, Text, cast, func, select

from convstore.db import models
from convstore.db.staleness import imported_by
from convstore.vocabulary.codec import decode_json

S = models.sessions.c


@dataclass(frozen=True, slots=True)
class Counts:
    """Sessions by state with their turns and interactions, and effective feedback."""

    sessions: dict[str, int]
    turns: int
    interactions: int
    feedback: dict[str, int]
    unreadable: int


def of_tenant(connection: Connection, tenant: str) -> Counts:
    """Count a tenant's sessions. Time grows with their number; memory does not."""
    rows = connection.execute(
        select(
            S.state,
            func.count(),
            func.coalesce(func.sum(S.turn_count), 0),
            func.coalesce(func.sum(S.interaction_count), 0),
            func.count(S.problem),
        )
        .where(S.tenant_id == tenant)
        .group_by(S.state)
    ).all()
    feedback: Counter[str] = Counter()
    # Few different texts among many sessions: the database groups, Python adds up.
    text_of = cast(S.feedback_counts, Text)
    given = connection.execute(
        select(text_of, func.count())
        .where(S.tenant_id == tenant, S.interaction_count > 0)
        .group_by(text_of)
    )
    for text, times in given:
        for label, count in decode_json(text).items():
            feedback[label] += count * times
    return Counts(
        sessions={row[0]: row[1] for row in rows},
        turns=sum(int(row[2]) for row in rows),
        interactions=sum(int(row[3]) for row in rows),
        feedback=dict(sorted(feedback.items())),
        unreadable=sum(row[4] for row in rows if row[0] == "active"),
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
