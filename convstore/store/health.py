"""Whether what should run by itself runs: retention, the indexer, the archive's files.

A few statements by an index, so that a page can ask with every look.
"""

from __future__ import annotations

from datetime import datetime

from convstore.archive.context import Context
from convstore.archive.documents import Pages
from convstore.archive.indexer import Indexer
from convstore.db import statistics
from convstore.db.retention_runs import StoredRun
from convstore.retention.plan import oldest_cutoff
from convstore.vocabulary.clock import from_micros, to_micros
from convstore.vocabulary.reports import Finding

MOST_WAITING = 1_000
"""Sessions that wait to be indexed where a worker comes by."""

_AGAIN = "then run `convstore archive run`"
# By the code that a run leaves behind.
_PROBLEMS = {
    "retention_halted": (
        "it stopped itself, because the clock or its plan looked wrong",
        "see the clock, and what `convstore archive plan --older-than` AGE says",
    ),
    "storage_full": ("a disk was full", f"make room, {_AGAIN}"),
    "config": (
        "the archive folder or a setting could not be used",
        f"let the archive be a folder that this user may write to, {_AGAIN}",
    ),
    "database_access": (
        "it lacked rights on the database",
        f"give the rights that `convstore archive run` names, {_AGAIN}",
    ),
    "database_busy": ("the database was busy", "run `convstore archive run`"),
    "database_unavailable": (
        "the database was away",
        f"see that the server runs, {_AGAIN}",
    ),
    "unavailable": ("the archive was away", f"see that its disk is there, {_AGAIN}"),
    "archive_away": (
        "the archive folder was away",
        f"see that its volume is mounted, {_AGAIN}",
    ),
    "archive_taken": (
        "another database works on the archive folder",
        "give a copy of a database a copy of the folder, or `convstore archive adopt`",
    ),
    "segment_corrupt": (
        "what it had written to the archive read back differently",
        f"see the disk of the archive, {_AGAIN}",
    ),
}


async def health(
    context: Context, read: Pages, tenant: str, indexer: Indexer | None
) -> list[Finding]:
    """The findings, in this order: segments, sessions, retention, index."""
    cutoff = to_micros(oldest_cutoff(context.policy, context.clock.now()))

    now = await read(lambda c: statistics.standing(c, tenant, cutoff))
    oldest = now.oldest_stale
    found = [
        _segments(now.segments),
        Finding(
            "sessions that cannot be archived",
            not now.unreadable,
            str(now.unreadable),
            "their rows are damaged: restore a backup of the database",
        ),
        _last_run(now.last_run, None if oldest is None else from_micros(oldest)),
    ]
    if indexer is not None and indexer.is_on:
        found.append(await _indexing(indexer, tenant, now.live))
    return found


def _segments(totals: dict[str, tuple[int, int]]) -> Finding:
    sealed, quarantined = (
        totals.get(state, (0, 0))[0] for state in ("sealed", "quarantined")
    )
    return Finding(
        "segments",
        not quarantined,
        f"{sealed + quarantined}, of which {quarantined} damaged",
        "run `convstore archive verify`, and restore those files from a backup",
    )


def _last_run(last: StoredRun | None, due_since: datetime | None) -> Finding:
    check = "last run of retention"
    if last is None and due_since is not None:
        return Finding(
            check,
            False,
            f"it never ran, and sessions not active since {_told(due_since)} are due",
            "run `convstore worker`, or `convstore archive run` by the hour",
        )
    when = "none yet" if last is None else _told(from_micros(last.started_at))
    if last is None or last.problem is None:
        return Finding(check, True, when)
    told, remedy = _PROBLEMS.get(
        last.problem,
        (f"it failed ({last.problem})", "run `convstore archive run`: it says why"),
    )
    return Finding(check, False, f"{told}; it began {when}", remedy)


async def _indexing(indexer: Indexer, tenant: str, live_count: int) -> Finding:
    waiting, _ = await indexer.waiting(tenant)
    known = waiting.usable and waiting.looked_through
    detail = f"{waiting.marks:,} sessions wait"
    if waiting.marks >= MOST_WAITING:
        detail = f"{MOST_WAITING:,} sessions wait, or more"
    if not known:
        detail = "no worker has looked through all sessions yet"
    return Finding(
        "indexing of words",
        waiting.marks < MOST_WAITING and (known or live_count < MOST_WAITING),
        detail,
        "run `convstore worker`, or `convstore search index`",
    )


def _told(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")
