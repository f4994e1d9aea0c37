"""What was reported, by id: kept apart from the data, for those who look after it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from convstore.export.dataset.folder import write_file
from convstore.export.reading.roles import REPORT_ACTIONS
from convstore.export.stages.spool import Spool
from convstore.export.writers.base import FileRecord
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.feedback import in_force
from convstore.vocabulary.records import SessionDocument

QUARANTINE = "rejected_rows/quarantine.jsonl"


def reports_of(document: SessionDocument) -> Iterator[bytes]:
    """A line per standing report; no word of what was said."""
    session = document.session
    for act in in_force(document.interactions):
        if act.action in REPORT_ACTIONS:
            yield dumps(
                {
                    "tenant_id": session.tenant_id,
                    "session_id": session.id,
                    "turn_id": str(act.turn_seq or ""),
                    "feedback_id": str(act.seq),
                    "action": act.action,
                }
            )


def add_report(spool: Spool, line: bytes) -> None:
    """Put a line into the spool."""
    spool.add(hashlib.sha256(line).digest(), line + b"\n")


def write_reports(spool: Spool, root: Path) -> FileRecord | None:
    """Write the lines in the order of their hashes; None if there are none."""
    lines = [line for _, line in spool.sorted(_cut)]
    return write_file(root, QUARANTINE, b"".join(lines)) if lines else None


def _cut(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    start = 0
    while end := data.find(b"\n", start) + 1:
        yield hashlib.sha256(data[start : end - 1]).digest(), start, end
        start = end
