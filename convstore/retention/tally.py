"""The counts of a run of retention while it runs, and the report that they become."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from convstore.retention.plan import Decision
from convstore.vocabulary.progress import Progress
from convstore.vocabulary.reports import RetentionReport, SessionProblem


@dataclass(slots=True)
class Tally:
    """The counts of a run while it runs."""

    archived: int = 0
    purged: int = 0
    changed: int = 0
    held: int = 0
    recovered: int = 0
    archives_expired: int = 0
    archived_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    segments: list[str] = field(default_factory=list)
    problems: list[SessionProblem] = field(default_factory=list)
    halted: str | None = None
    finished: bool = True

    def count(self, decision: Decision) -> None:
        """Count what a dry run decided."""
        self.reasons[decision.reason] += 1
        self.archived += decision.action == "archive"
        self.archives_expired += decision.action == "expire_archive"

    def told(self) -> Progress:
        """How far the run is. How much there will be is known only at its end."""
        counts = {
            "archived": self.archived,
            "changed": self.changed,
            "archives_expired": self.archives_expired,
            "archived_bytes": self.archived_bytes,
        }
        return Progress("archive", "sessions", self.purged, None, counts)


def report_of(
    tally: Tally, run_id: str, dry_run: bool, started: float
) -> RetentionReport:
    """What the run says of itself; `started` as of `time.monotonic`."""
    return RetentionReport(
        run_id=run_id,
        dry_run=dry_run,
        halted=tally.halted,
        finished=tally.finished,
        examined=tally.reasons.total(),
        archived=tally.archived,
        purged=tally.purged,
        changed=tally.changed,
        held=tally.held,
        recovered=tally.recovered,
        archives_expired=tally.archives_expired,
        archived_bytes=tally.archived_bytes,
        duration_s=time.monotonic() - started,
        reasons=dict(tally.reasons),
        segments=tuple(tally.segments),
        problems=tuple(tally.problems),
    )
