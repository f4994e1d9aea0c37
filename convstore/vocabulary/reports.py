"""What the jobs say when they are done: frozen values, without any content."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

IndexState: TypeAlias = Literal["cleared", "pending", "absent"]


@dataclass(frozen=True, slots=True)
class SessionProblem:
    """A session that a job had to leave as it is, and the code of the error."""

    tenant_id: str
    session_id: str
    code: str


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What one run of retention did.

    Attributes:
        run_id: Of the run; empty for a dry run.
        dry_run: Nothing was changed: the counts say what would be.
        skipped: Why nothing was tried: another worker holds the lease.
        halted: Why the run stopped itself; see `RetentionHaltedError`.
        finished: False when the time budget or the batch limit ended the run early.
        examined: Sessions that the plan decided about.
        archived: Sessions written to segments.
        purged: Sessions whose rows are gone; the archive holds them.
        changed: Sessions that somebody wrote to meanwhile; they come round again.
        held: Sessions, archived ones too, that another transaction held; the next run
            takes them.
        recovered: Sessions whose purge an earlier run had begun.
        archives_expired: Archived sessions destroyed by `keep_archive_for_s`.
        reasons: How many sessions were decided for which reason.
        segments: Ids of the segments written.
        problems: Sessions that could not be archived; kept, and reported.
    """

    run_id: str = ""
    dry_run: bool = False
    skipped: str | None = None
    halted: str | None = None
    finished: bool = True
    examined: int = 0
    archived: int = 0
    purged: int = 0
    changed: int = 0
    held: int = 0
    recovered: int = 0
    archives_expired: int = 0
    archived_bytes: int = 0
    duration_s: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    problems: tuple[SessionProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class ArchivedSession:
    """One archived session as the index knows it."""

    tenant_id: str
    session_id: str
    user_id: str | None
    title: str
    turn_count: int
    archived_at: datetime
    segment_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ArchiveFault:
    """Something wrong with a segment, and the session concerned if it is one."""

    segment_id: str
    tenant_id: str | None
    session_id: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What verification read and found; `sessions_at_risk` have no other copy.

    `newer` are segments of a newer format, which only a later version can look at:
    nothing is said of them, and nothing was changed.
    """

    segments: int
    sessions: int
    size_bytes: int
    faults: tuple[ArchiveFault, ...]
    sessions_at_risk: tuple[SessionProblem, ...]
    newer: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup has, all of it read back.

    Attributes:
        folder: Where it is, absolute.
        created_at: When it was begun; the database is of a moment after that.
        revision: Of the database.
        database_bytes: Of the copied database.
        segments: Sealed segments of the archive.
        archive_files: All files of the archive, manifests and receipts too.
        archive_bytes: Of those.
        faults: What was missing or damaged in the archive before, and is so here.
    """

    folder: str
    created_at: datetime
    revision: str | None
    database_bytes: int
    segments: int
    archive_files: int
    archive_bytes: int
    faults: tuple[ArchiveFault, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was missing or damaged."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What recovery put in order. Running it again finds nothing to do."""

    segments_removed: int = 0
    segments_kept: tuple[str, ...] = ()
    staged_removed: int = 0
    purges_finished: int = 0
    entries_stale: int = 0
    erasures_finished: int = 0


@dataclass(frozen=True, slots=True)
class CompactionReport:
    """What became of the small segments of an archive.

    Attributes:
        dry_run: Nothing was changed: the counts say what would be.
        skipped: Why nothing was tried: another worker holds the lease.
        finished: False when the time budget ended it early.
        joined: Segments that went into larger ones and are gone.
        made: Segments that they went into.
        sessions: Copies of sessions that these hold.
        dropped: Copies left out, which rows or a later copy had superseded.
        bytes_before: Of the segments that are gone.
        bytes_after: Of those that they went into.
        segments: Ids of the new ones; none of a dry run.
        left: Ids of segments that could not be joined: damaged, not as the database
            knows them, of a newer format, or with a session that another transaction
            held. `convstore archive verify` says more.
        resumed: Larger segments that an earlier compaction had made, and that this one
            let take the place of what was left of the small ones.
    """

    dry_run: bool = False
    skipped: str | None = None
    finished: bool = True
    joined: int = 0
    made: int = 0
    sessions: int = 0
    dropped: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    segments: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What the archive folder gave back to the database."""

    segments: int
    sessions: int
    superseded: int
    already_present: int
    erased_left_out: int
    newer_in_archive: tuple[SessionProblem, ...]
    faults: tuple[ArchiveFault, ...]


@dataclass(frozen=True, slots=True)
class TablesReport:
    """What was written of the archive as tables.

    Attributes:
        segments_written: Segments whose files are new.
        segments_kept: Those whose files were right already.
        segments_removed: Files of sessions that are not archived there any more:
            restored, deleted or erased, or in a segment that was written again.
        sessions: Rows written now; so are `turns` and `interactions`.
        faults: Sessions that are damaged, and left out.
    """

    segments_written: int = 0
    segments_kept: int = 0
    segments_removed: int = 0
    sessions: int = 0
    turns: int = 0
    interactions: int = 0
    faults: tuple[ArchiveFault, ...] = ()


@dataclass(frozen=True, slots=True)
class AdoptionReport:
    """What a database loses that goes on with the archive folder that is there.

    Attributes:
        folder_id: Of that folder; None where it has no mark yet.
        segments_found: Segments of the database that are there.
        segments_lost: Ids of those that are not.
        sessions_lost: Archived sessions whose only copy was in one of these.
        segments_unknown: Segments that are there and that the database does not know;
            `convstore archive rebuild` takes them up.
        dry_run: Nothing was changed: this is what would be.
    """

    folder_id: str | None
    segments_found: int
    segments_lost: tuple[str, ...]
    sessions_lost: int
    segments_unknown: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """Proof of an erasure: what, how many, where, when; nothing of what was said.

    Attributes:
        done_at: When nothing was left; None while it waits for the archive folder. Its
            rows are gone then all the same, and it goes on by itself.
        rows_deleted: Rows by table. Of an archived session there are none.
        segments_damaged: New names of those in which another session's frame was
            damaged, and still is.
        found: What was there to destroy, by kind: sessions, turns, interactions and
            graph states, live and archived alike. All are 0 where nothing was found.
        renamed: What an erased user did in other people's sessions, and goes on under a
            name that says nothing: rows of `interactions` and `legal_holds`, and
            `archived_sessions`, whose copies were written anew.
        residue: Where the bytes of deleted rows may lie until the database's server
            writes over them: `table_pages`, `index_pages`, `write_ahead_log`. The
            manual says what to do.
        index: Whether words of it are left in the files of the index of words:
            `cleared`, `pending` (it is made anew by the next worker that indexes) or
            `absent`, where there never was one.
        segments_missing: Those that hold a copy, as far as the ledger knows, and have
            no file.
        segments_unread: Those with copies that could not be read, of which nobody had
            noted whom they name: what the user did there may name them yet.
        segments_waiting: Those that hold a copy which is still to be destroyed.
        waits_for: Code of the error that is in the way: `archive_away`,
            `archive_taken`, or, over several databases, that of the shard's.
        databases_waiting: Of a store over several databases, the shards that have
            something left; they are asked again until it is done.
    """

    erasure_id: str
    tenant_id: str
    subject: str
    requested_at: datetime
    done_at: datetime | None
    session_ids: tuple[str, ...]
    rows_deleted: dict[str, int]
    segments_rewritten: tuple[str, ...]
    shards_rewritten: int
    segments_damaged: tuple[str, ...] = ()
    found: dict[str, int] = field(default_factory=dict)
    residue: tuple[str, ...] = ()
    segments_missing: tuple[str, ...] = ()
    segments_waiting: tuple[str, ...] = ()
    waits_for: str | None = None
    index: IndexState = "absent"
    databases_waiting: tuple[int, ...] = ()
    renamed: dict[str, int] = field(default_factory=dict)
    segments_unread: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found under the id: no session, row, copy or total, and
        no act in the sessions of others."""
        counts = (
            *(*self.found.values(), *self.rows_deleted.values()),
            *self.renamed.values(),
        )
        return not any(counts) and not self.segments_rewritten


@dataclass(frozen=True, slots=True)
class TierStats:
    """Numbers of the hot tier in one process, since the store was opened.

    Attributes:
        active: Entries that are warm in this process now: sessions, and ids that are
            known to have none; with a server, those of which it keeps a decoded copy.
        available: Whether the cache's server answered when it was last asked; always,
            where there is none.
        hits: Reads that were answered from the tier.
        misses: Reads that went to the database.
        validations: Entries compared with the session's version in the database; those
            that were still good are hits, the others misses.
        expired: Entries that went because nobody used them.
        evicted: Entries that made way for others.
        errors: Times that the server was away or too slow.
    """

    active: int
    available: bool
    hits: int
    misses: int
    validations: int
    expired: int
    evicted: int
    errors: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a health check: what was looked at, how it is, what to do."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Numbers of a store: its tenant's sessions, and the whole archive and database.

    Attributes:
        sessions: Sessions of the tenant by state; together, all that were ever
            created.
        turns: Of the tenant's sessions.
        interactions: Of the tenant's sessions.
        feedback: Effective feedback of the tenant's live and archived sessions by
            label.
        oldest_stale_at: Last activity of the least recently active live session that
            the policy would archive now; None when there is none.
        retention_lag_s: How long that session has been overdue.
        unreadable: Live sessions that could not be archived, kept and waiting for a
            person.
        log_bytes: Of `database_bytes`, those of SQLite's write-ahead log: it grows
            while somebody holds a read open.
        complete: False where `turns`, `interactions` or `feedback` are of a part:
            20,000 sessions and as many labels are read, the sessions last active.
            Turns and interactions of archived and deleted ones are always in them, and
            `sessions` and `unreadable` always exact.
    """

    tenant_id: str
    sessions: dict[str, int]
    turns: int
    interactions: int
    feedback: dict[str, int]
    database_bytes: int
    archive_segments: int
    archive_bytes: int
    quarantined_segments: int
    oldest_stale_at: datetime | None
    retention_lag_s: float
    last_run_at: datetime | None
    last_run_problem: str | None
    unreadable: int
    writes: int
    commits: int
    queued: int
    log_bytes: int = 0
    complete: bool = True


@dataclass(slots=True)
class UndoReport:
    """What became of the sessions that an import had made, and of the items that it
    had brought along outside sessions.

    Attributes:
        deleted: Sessions that are gone.
        changed: Those that went on since, and are left alone.
        held: Those under legal hold.
        items: Items that are as they were before the import.
        items_left: Those that were changed since, or are of an owner of whom a session
            stays.
        left: The first 100 of these, each as `namespace/key`.
    """

    deleted: int = 0
    changed: int = 0
    held: int = 0
    items: int = 0
    items_left: int = 0
    left: list[str] = field(default_factory=list)
