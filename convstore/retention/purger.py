"""Removes rows that are safely archived: the only way rows leave the database, apart
from deletion without an archive and erasure.

One transaction takes a few sessions. Each must still be at the version archived and
free of holds, and what the deletion gives back must be, column for column, the rows
that restoring the segment's document would make. Anything else rolls all of it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from convstore.archive.context import Context
from convstore.archive.ownership import guard
from convstore.db import (
    archive_entries,
    lifecycle,
    schema,
    search_removal,
    segments,
    sizes,
)
from convstore.db.archive_entries import StoredEntry
from convstore.db.engine import Connection
from convstore.db.session_rows import SessionRows
from convstore.db.unit import Head, Key, Unit
from convstore.vocabulary.errors import ConvstoreError, CorruptionError
from convstore.vocabulary.records import SessionState

AT_ONCE = 128
"""Sessions of one transaction: bounds how long the write lock is held. Twice as many
are a tenth faster where a commit takes milliseconds, and hold it twice as long."""


class _MismatchError(ConvstoreError):
    """Rows differ from the archived copy: roll back, and leave those sessions."""

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys
        super().__init__(f"{len(keys)} sessions differ from their archived copies")


@dataclass(slots=True)
class Purged:
    """What became of the entries."""

    purged: list[Key] = field(default_factory=list)
    changed: list[Key] = field(default_factory=list)
    mismatched: list[Key] = field(default_factory=list)
    held: list[Key] = field(default_factory=list)


async def purge(
    context: Context,
    entries: Sequence[StoredEntry],
    fingerprints: Mapping[Key, bytes],
    *,
    final_state: SessionState = "archived",
    waits: bool = False,
) -> Purged:
    """Purge the sessions of sealed entries of one segment and tenant.

    The segment must have been read back and verified since it was written, and
    `fingerprints` are `fingerprint_of` its documents. A session
    that was written to, held, restored or erased meanwhile keeps its rows; its entry
    becomes stale. Entries that another worker has dealt with are left alone, and so
    are all of them when the segment is sealed no more. One that another transaction
    holds is passed over, or waited for with `waits`; its entry stays as it is, so that
    the next recovery purges it. Idempotent.

    Raises:
        SchemaMismatchError: The database was migrated meanwhile; nothing is purged.
        ArchiveAwayError, ArchiveTakenError: The archive folder is not proven to be this
            database's; what was purged before that stays so.
    """
    result = Purged()
    lengths = (entry.raw_length for entry in entries)
    for left in sizes.portions(entries, lengths, AT_ONCE):
        # The copies must be where they were written, still.
        await guard(context)
        while left:
            try:
                await _purge_some(
                    context, left, fingerprints, final_state, result, waits
                )
                break
            except _MismatchError as error:
                await _mark_stale(context, left[0].segment_id, error.keys)
                result.mismatched += error.keys
                left = [entry for entry in left if entry.key not in error.keys]
    return result


async def _purge_some(
    context: Context,
    entries: Sequence[StoredEntry],
    fingerprints: Mapping[Key, bytes],
    final_state: SessionState,
    result: Purged,
    waits: bool,
) -> None:
    segment_id, now = entries[0].segment_id, context.now()

    def work(connection: Connection) -> tuple[list[Key], list[Key], set[Key]]:
        context.on_step("purge.begin")
        schema.hold(connection)
        unit = Unit(connection)
        waiting = _waiting(connection, entries)
        keys = [entry.key for entry in waiting]
        held = set() if waits else unit.load_free(keys)
        unit.load([key for key in keys if key not in held])
        waiting = [entry for entry in waiting if entry.key not in held]
        going = [(entry, head) for entry in waiting if (head := _guarded(unit, entry))]
        context.on_step("purge.guard")
        _take_and_compare(context, unit, going, fingerprints, final_state)
        for _, head in going:
            head.move(now, final_state, segment_id)
        unit.flush()
        gone = [entry.key for entry, _ in going]
        stale = sorted({entry.key for entry in waiting} - set(gone))
        archive_entries.set_state(connection, segment_id, gone, "committed")
        archive_entries.set_state(connection, segment_id, stale, "stale")
        lifecycle.forget_problems(connection, gone)
        context.on_step("purge.before_commit")
        return gone, stale, held

    gone, stale, held = await context.write(work)
    context.on_step("purge.after_commit")
    await context.on_changed(gone)
    result.purged += gone
    result.changed += stale
    result.held += sorted(held)


def _waiting(
    connection: Connection, entries: Sequence[StoredEntry]
) -> list[StoredEntry]:
    """Those of the entries that nobody has purged yet, in a segment that will stay.

    The lock keeps the segment from being rewritten or removed before the stubs that
    this transaction makes can be seen to name it.
    """
    segment = segments.lock(connection, entries[0].segment_id)
    if segment is None or segment.state != "sealed":
        return []
    keys = [entry.key for entry in entries]
    still = archive_entries.still_sealed(connection, segment.segment_id, keys)
    return [entry for entry in entries if entry.key in still]


def _guarded(unit: Unit, entry: StoredEntry) -> Head | None:
    """The head of a session that may go: unchanged since it was read, and not held."""
    head = unit.find(entry.key)
    if head is None:
        return None
    row = head.row
    unchanged = row["state"] == "active" and row["version"] == entry.session_version
    return head if unchanged and not row["hold_count"] else None


def _take_and_compare(
    context: Context,
    unit: Unit,
    going: Sequence[tuple[StoredEntry, Head]],
    fingerprints: Mapping[Key, bytes],
    final_state: SessionState,
) -> None:
    if not going:
        return
    if final_state == "deleted":
        # Archived sessions are found; deleted ones are not, restorable or not.
        search_removal.forget(unit.connection, [entry.key for entry, _ in going])
    taken = lifecycle.take(unit, going[0][0].tenant_id, [head for _, head in going])
    context.on_step("purge.deleted")
    wrong = [
        entry.key
        for (entry, _), rows in zip(going, taken, strict=True)
        if not _is(rows, fingerprints[entry.key])
    ]
    if wrong:
        raise _MismatchError(wrong)
    context.on_step("purge.compared")


def _is(rows: SessionRows, fingerprint: bytes) -> bool:
    try:
        return rows.fingerprint() == fingerprint
    except CorruptionError:
        return False


async def _mark_stale(context: Context, segment_id: str, keys: list[Key]) -> None:
    def work(connection: Connection) -> None:
        archive_entries.set_state(connection, segment_id, keys, "stale")
        lifecycle.note_problem(connection, keys, "purge_mismatch")

    await context.write(work)
