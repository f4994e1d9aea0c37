"""What retention did, run by run; the newest is what `stats` shows."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from convstore.db import models
from convstore.vocabulary.record import Value, names_of

R = models.retention_runs.c

KEPT = 1_000
"""Runs that are remembered: three days at one every five minutes."""


class StoredRun(Value, frozen=True):
    """One run of retention."""

    run_id: str
    started_at: int
    finished_at: int | None
    archived: int
    purged: int
    failed: int
    problem: str | None


def begin(connection: Connection, run_id: str, now: int) -> None:
    """Note that a run has begun, and forget those of long ago."""
    connection.execute(
        insert(models.retention_runs),
        {
            "run_id": run_id,
            "started_at": now,
            "finished_at": None,
            "archived": 0,
            "purged": 0,
            "failed": 0,
            "problem": None,
        },
    )
    old = (
        select(R.run_id).order_by(R.run_id.desc()).offset(KEPT).limit(1)
    ).scalar_subquery()
    connection.execute(delete(models.retention_runs).where(R.run_id <= old))


def finish(connection: Connection, run: StoredRun) -> None:
    """Note how a run ended."""
    connection.execute(
        update(models.retention_runs)
        .where(R.run_id == run.run_id)
        .values(
            finished_at=run.finished_at,
            archived=run.archived,
            purged=run.purged,
            failed=run.failed,
            problem=run.problem,
        )
    )


def last(connection: Connection) -> StoredRun | None:
    """The newest run."""
    columns = [models.retention_runs.c[name] for name in names_of(StoredRun)]
    row = connection.execute(
        select(*columns).order_by(R.run_id.desc()).limit(1)
    ).one_or_none()
    return None if row is None else StoredRun(*row)


def page(
    connection: Connection, place: str | None, limit: int, *, back: bool = False
) -> list[StoredRun]:
    """Runs, the newest first, older than a place; `back`, those newer than it, the
    oldest first."""
    columns = [models.retention_runs.c[name] for name in names_of(StoredRun)]
    order = R.run_id if back else R.run_id.desc()
    wanted = select(*columns).order_by(order).limit(limit)
    if place is not None:
        wanted = wanted.where(R.run_id > place if back else R.run_id < place)
    return [StoredRun(*row) for row in connection.execute(wanted)]


def last_sound(connection: Connection) -> int | None:
    """When the newest run began that ended without a problem; None if none did."""
    ended_well = R.finished_at.is_not(None) & R.problem.is_(None)
    newest = select(R.started_at).where(ended_well).order_by(R.run_id.desc()).limit(1)
    return connection.execute(newest).scalar_one_or_none()
