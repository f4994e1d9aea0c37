"""The steps that the life cycle announces to `open_store(on_step=…)`, just after each
happened. Crash tests kill the process at every one of them; a step that is announced
and not listed here, or listed and never reached, fails those tests.
"""

from __future__ import annotations

from convstore.segments.segment import STEPS as SEGMENT_STEPS

STEPS = (
    "folder.bound",
    "folder.marked",
    "generation.announced",
    "generation.published",
    "generation.settled",
    "lease.acquired",
    "claim.begin",
    "claim.after_commit",
    "read.snapshot_open",
    "read.end",
    *SEGMENT_STEPS,
    "export.done",
    "seal.begin",
    "seal.after_commit",
    "purge.begin",
    "purge.guard",
    "purge.deleted",
    "purge.compared",
    "purge.before_commit",
    "purge.after_commit",
    "restore.read_entry",
    "restore.after_commit",
    "erase.begin",
    "erase.before_commit",
    "erase.rows",
    "erase.items",
    "erase.actors_noted",
    "erase.rename",
    "erase.renamed",
    "erase.cancelled",
    "erase.tombstone_file",
    "erase.rewrite.published",
    "erase.rewrite.swapped",
    "erase.rewrite.done",
    "erase.after_commit",
    "erase.index",
    "index.before_commit",
    "index.after_commit",
    "recover.remove",
    "recover.purge",
    "gc.mark",
    "gc.unlink",
    "compact.published",
    "compact.sealed",
    "compact.resumed",
    "compact.moved",
    "compact.done",
    "adopt.marked",
    "adopt.published",
    "adopt.settled",
)

BACKUP_STEPS = ("backup.database", "backup.file", "backup.whole")
"""Those of a backup, which changes nothing that is there: what it leaves when it is
killed is no backup, and its own tests stop it there."""
