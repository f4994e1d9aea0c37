"""Sessions into a sealed segment: read, write, verify, publish, export, seal.

Changes no session. A crash at any instant leaves a segment that recovery removes, or a
sealed one whose purge recovery finishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from convstore.archive.context import WRITER, Context
from convstore.archive.data_sets import delete_shards, write_shards
from convstore.archive.ownership import claim, guard, renew
from convstore.archive.session_reads import read_large, read_small
from convstore.db import archived_actors, segments, session_locks
from convstore.db.archive_entries import StoredEntry
from convstore.db.codec.documents import fingerprint_of
from convstore.db.engine import Connection
from convstore.db.segments import StoredSegment
from convstore.db.session_rows import SessionRows
from convstore.db.unit import Key
from convstore.segments.manifest import Manifest
from convstore.segments.readable import write_readable
from convstore.segments.rewrite import delete_segment
from convstore.segments.segment import segment_key
from convstore.segments.writer import SegmentWriter
from convstore.vocabulary.actors import actors_of
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ConvstoreError,
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
    SegmentNotFoundError,
    StorageFullError,
)
from convstore.vocabulary.ids import new_id

READ_AT_ONCE = 128
"""Sessions of one snapshot, as far as they are small: a long one would keep the WAL
from being reset. With a quarter of as many, statements that are trips are a tenth."""

RESERVE_BYTES = 64 * 1024 * 1024
"""Kept free on the archive's disk: the database may be on it too, and must be able to
take what users say. Erasures may use it."""

# Faults of one document; the segment goes on without it.
_OF_ONE_SESSION = (
    AlreadyExistsError,
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
)


@dataclass(slots=True)
class Archived:
    """What became of the sessions: in the segment, changed meanwhile, held by another
    transaction, unreadable, or left for the next one because this one is full."""

    entries: list[StoredEntry] = field(default_factory=list)
    changed: list[Key] = field(default_factory=list)
    held: list[Key] = field(default_factory=list)
    unreadable: dict[Key, str] = field(default_factory=dict)
    left: list[Key] = field(default_factory=list)
    # Of the rows that each line of the segment was proven to hold; see `purge`.
    fingerprints: dict[Key, bytes] = field(default_factory=dict)
    # Whom they name, of those that name anybody; noted with the segment.
    named: dict[Key, set[str]] = field(default_factory=dict)
    segment: StoredSegment | None = None


async def archive(
    context: Context,
    tenant: str,
    wanted: Sequence[tuple[str, int]],
    *,
    passes: bool = False,
) -> Archived:
    """Write sessions of a tenant, each at the version named, to one sealed segment.

    A session at another version by now is left out, and so is one that cannot be read
    or written: both are said. One that another transaction holds is waited for; with
    `passes`, it is left out. Who comes when the segment has `segment_bytes` is left for
    the next one, and said.
    Without any session left there is no segment.

    Raises:
        StorageFullError: The archive's disk has less than `RESERVE_BYTES` left.
        ArchiveAwayError, ArchiveTakenError, ConfigError: The folder is not proven to
            be this database's; see `ownership`.
    """
    await claim(context)
    await check_room(context)
    segment_id, now = new_id(), context.now()
    key = segment_key(segment_id, from_micros(now))
    context.on_step("claim.begin")
    result = Archived()

    keys = [(tenant, session_id) for session_id, _ in wanted]

    def begin(connection: Connection) -> set[Key]:
        segments.begin(connection, segment_id, key, context.holder, now)
        return _take_hold(connection, keys, passes)

    held = await context.write(begin)
    context.on_step("claim.after_commit")
    result.held += sorted(held)
    wanted = [each for each in wanted if (tenant, each[0]) not in held]
    try:
        manifest = await _write(context, segment_id, now, tenant, wanted, result)
        if manifest is not None:
            await _export(context, manifest)
    except SegmentNotFoundError:
        # An erasure has cancelled us, and what we had written is gone already. Or the
        # whole folder is.
        await give_up(context, segment_id, key)
        await guard(context)
        return result
    except ConvstoreError:
        # The segment's row tells recovery what to clean up; do it now if we can.
        await give_up(context, segment_id, key)
        raise
    if manifest is None:
        await give_up(context, segment_id, key)
        return result
    await _seal(context, manifest, now, result)
    return result


def _take_hold(connection: Connection, keys: list[Key], passes: bool) -> set[Key]:
    """Those that another transaction holds, if they are passed by; else wait for them.

    Whoever holds a session is likely to change it; what a foreign program holds may not
    even be referred to by a row of ours. And an erasure that holds one cancels the
    segments that it can see: the one that begins here is not among them yet.
    """
    if passes:
        return session_locks.hold_free(connection, keys)
    session_locks.hold(connection, keys)
    return set()


async def check_room(context: Context, more_bytes: int = 0) -> None:
    """Refuse to begin where the archive's disk has less than `RESERVE_BYTES` left, and
    what is known to come.

    Raises:
        StorageFullError: It has.
    """
    free = await context.files(context.blobs.free_bytes)
    if free is not None and free < RESERVE_BYTES + more_bytes:
        raise StorageFullError(
            f"the archive's disk has {free // 2**20} MiB left, and "
            f"{RESERVE_BYTES // 2**20} are kept free: make room"
        )


async def _write(
    context: Context,
    segment_id: str,
    now: int,
    tenant: str,
    wanted: Sequence[tuple[str, int]],
    result: Archived,
) -> Manifest | None:
    def begin() -> None:
        writer = SegmentWriter(
            context.blobs,
            writer=WRITER,
            created_at=from_micros(now),
            segment_id=segment_id,
            on_step=context.on_step,
        )
        begun.append(writer)

    begun: list[SegmentWriter] = []
    try:
        # Told by the thread: a caller that is cancelled here has staged a segment.
        await context.files(begin)
        (writer,) = begun
        await _fill(context, writer, tenant, wanted, result)
        if not writer.entry_count:
            return None
        return await context.files(writer.finish)
    finally:
        for writer in begun:
            await context.files(writer.abort)


async def _fill(
    context: Context,
    writer: SegmentWriter,
    tenant: str,
    wanted: Sequence[tuple[str, int]],
    result: Archived,
) -> None:
    left, large = list(wanted), list[tuple[str, int]]()
    while left or large:
        if writer.size_bytes >= context.policy.segment_bytes:
            result.left += [(tenant, session_id) for session_id, _ in left + large]
            break
        if left:
            read = await read_small(context, tenant, left[:READ_AT_ONCE])
            left, large = left[read.count :], large + read.large
        else:
            read = await read_large(context, tenant, large[:READ_AT_ONCE])
            large = large[read.count :]
        result.changed += [(tenant, session_id) for session_id in read.changed]
        await context.files(lambda f=read.found: _add(writer, f, result))  # type: ignore[misc]
        del read  # not beside the next ones


def _add(writer: SegmentWriter, found: Iterable[SessionRows], result: Archived) -> None:
    for rows in found:
        key = (rows.session.tenant_id, rows.session.id)
        try:
            fingerprint, document = rows.fingerprint(), rows.document()
            # The line is proven by what restoring it would make of it: these rows.
            writer.add(
                document,
                lambda _, back, f=fingerprint: fingerprint_of(back) == f,  # type: ignore[misc]
            )
        except _OF_ONE_SESSION as error:
            result.unreadable[key] = error.code
        else:
            result.fingerprints[key] = fingerprint
            if named := actors_of(document):
                result.named[key] = named


async def _export(context: Context, manifest: Manifest) -> None:
    def work() -> None:
        write_shards(context.blobs, manifest, context.policy.exports, context.feedback)
        if context.policy.readable_json:
            write_readable(context.blobs, manifest)

    await context.files(work)
    context.on_step("export.done")


async def _seal(
    context: Context, manifest: Manifest, now: int, result: Archived
) -> None:
    try:
        # What follows is known to this database alone: a copy of it must not go on.
        await renew(context)
    except ConvstoreError:
        await give_up(context, manifest.segment_id, manifest.key)
        raise
    segment = stored_segment(manifest, now)
    entries = stored_entries(manifest, "sealed", actors_noted=1)

    def seal(connection: Connection) -> bool:
        sealed = segments.seal(connection, segment, entries)
        if sealed:
            archived_actors.note(connection, result.named)
        return sealed

    context.on_step("seal.begin")
    # Not given up when this fails: whether the commit was made may be unknown.
    if not await context.write(seal):
        # Recovery took us for dead, or an erasure cancelled us: their word stands.
        await give_up(context, manifest.segment_id, manifest.key)
        return
    context.on_step("seal.after_commit")
    result.segment, result.entries = segment, entries


async def give_up(context: Context, segment_id: str, key: str) -> None:
    """Destroy what there is of a segment that will not be sealed. Idempotent.

    Not of one that is: a rebuild took its writer for dead, and took it up.
    """
    known = await context.read(lambda c: segments.find(c, segment_id))
    if known is not None and known.state in ("sealed", "quarantined"):
        return
    await context.files(lambda: destroy_files(context, key))
    await context.write(lambda c: segments.forget(c, segment_id))


async def destroy_marked(context: Context, *, alone: bool = False) -> int:
    """Destroy the files of every segment that is marked for it; how many are done with.

    One whose writer was cancelled and may be alive keeps its row, for what it goes on
    to write must be found again; `alone` says that no other worker runs. Idempotent.
    """
    done = 0
    marked = await context.read(lambda c: segments.by_state(c, "deleting"))
    for segment in marked:
        await destroy(context, segment.key)
        context.on_step("gc.unlink")
        if segment.sealed_at is None and not (alone or context.is_dead(segment)):
            continue
        await context.write(lambda c, s=segment: segments.forget(c, s.segment_id))  # type: ignore[misc]
        done += 1
    return done


async def destroy(context: Context, key: str) -> int:
    """As `destroy_files`, of a segment that may have been sealed: only in a folder that
    is proven to be this database's.

    Raises:
        ArchiveAwayError, ArchiveTakenError: It is not; nothing was destroyed.
    """
    await renew(context)
    return await context.files(lambda: destroy_files(context, key))


def destroy_files(context: Context, key: str) -> int:
    """Destroy a segment's files: shards, readable copies, segment, manifest.

    Idempotent; how many shards there were.
    """
    shards = delete_shards(context.blobs, key)
    delete_segment(context.blobs, key)
    return shards


def stored_segment(manifest: Manifest, sealed_at: int | None) -> StoredSegment:
    """The ledger's row of a segment that is written and verified."""
    return StoredSegment(
        segment_id=manifest.segment_id,
        state="sealed",
        key=manifest.key,
        size_bytes=manifest.size_bytes,
        raw_bytes=manifest.total("raw_length"),
        sha256=manifest.sha256,
        entry_count=len(manifest.entries),
        written_by=None,
        problem=None,
        created_at=sealed_at or 0,
        sealed_at=sealed_at,
        verified_at=sealed_at,
    )


def stored_entries(
    manifest: Manifest, state: str, *, actors_noted: int | None = None
) -> list[StoredEntry]:
    """The ledger's rows of a segment's entries, all in one state."""
    return [
        StoredEntry(
            entry.tenant_id,
            entry.session_id,
            manifest.segment_id,
            entry.ordinal,
            entry.offset,
            entry.length,
            entry.raw_length,
            entry.sha256,
            entry.session_version,
            entry.turn_count,
            state,
            actors_noted,
        )
        for entry in manifest.entries
    ]
