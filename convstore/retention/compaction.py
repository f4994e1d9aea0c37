"""Joins small segments: copy, verify, publish, seal, then move what each stands for.

A segment is never changed, so the new one is written beside the old ones. It is sealed
with copies that nobody needs yet; then each old segment hands over what its copies are
worth and is destroyed, one at a time. A crash between any two steps leaves each session
with the copy that its stub names, and every copy in the ledger, where erasures look.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from convstore.archive.archiver import (
    check_room,
    destroy_files,
    give_up,
    stored_entries,
    stored_segment,
)
from convstore.archive.context import LEASE_TTL_S, WRITER, Context
from convstore.archive.data_sets import write_shards
from convstore.archive.ownership import claim, guard, renew
from convstore.db import joining, leases, segments
from convstore.db.dialects import dialect_of
from convstore.db.engine import Connection
from convstore.db.joining import Candidate, Contents
from convstore.db.unit import Key
from convstore.retention.joinable import SESSIONS_OF_ONE, Group, groups
from convstore.retention.recovery import KEEP_SUPERSEDED_S
from convstore.segments.joining import join_segments
from convstore.segments.manifest import Manifest
from convstore.segments.readable import write_readable
from convstore.segments.reader import read_manifest
from convstore.segments.segment import segment_key
from convstore.vocabulary.errors import (
    ConvstoreError,
    DatabaseBusyError,
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.reports import CompactionReport

log = logging.getLogger(__name__)

_LEASE = "compaction"
_MICROS = 1_000_000
_PATIENCE_S = 1.0
"""For a session that another transaction holds; the next compaction comes back."""

# Of one segment; the others go on without it.
_OF_ONE_SEGMENT = (SegmentCorruptError, SegmentNotFoundError, NewerFormatError)


@dataclass(frozen=True, slots=True)
class CompactionOptions:
    """How one compaction goes: up to which size, of whom, for how long."""

    segment_bytes: int
    tenant: str | None = None
    time_budget_s: float | None = None
    dry_run: bool = False


@dataclass(slots=True)
class _Tally:
    joined: int = 0
    sessions: int = 0
    dropped: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    made: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Part:
    """One segment to be joined: what the ledger says, and what its manifest says."""

    contents: Contents
    manifest: Manifest

    @property
    def id(self) -> str:
        """Of the segment."""
        return self.manifest.segment_id

    @property
    def keys(self) -> set[Key]:
        """The sessions that go into the new one."""
        told = {entry.key for entry in self.contents.entries}
        return told - self.contents.superseded


async def compact(
    context: Context,
    options: CompactionOptions,
    on_progress: OnProgress | None = None,
) -> CompactionReport:
    """Join the small segments of the archive; see `Archive.compact`."""
    if options.dry_run:
        return _planned(await _plan(context, options))
    holder, tally, began = new_id(), _Tally(), time.monotonic()
    await claim(context)
    if not await _lease(context, holder):
        return CompactionReport(skipped="another worker is joining segments")
    finished = True
    try:
        planned = await _plan(context, options)
        for number, group in enumerate(planned):
            over = (
                options.time_budget_s is not None
                and time.monotonic() - began > options.time_budget_s
            )
            if over or not await _lease(context, holder):
                finished = False
                break
            await _join(context, group.members, tally)
            if on_progress is not None:
                counts = {"joined": tally.joined}
                on_progress(
                    Progress("compact", "groups", number + 1, len(planned), counts)
                )
    finally:
        await context.write(lambda c: leases.release(c, _LEASE, holder))
    return CompactionReport(
        finished=finished,
        joined=tally.joined,
        made=len(tally.made),
        sessions=tally.sessions,
        dropped=tally.dropped,
        bytes_before=tally.bytes_before,
        bytes_after=tally.bytes_after,
        segments=tuple(tally.made),
        left=tuple(tally.left),
    )


async def _lease(context: Context, holder: str) -> bool:
    now, ttl = context.now(), int(LEASE_TTL_S * _MICROS)
    epoch = await context.write(lambda c: leases.acquire(c, _LEASE, holder, now, ttl))
    return epoch is not None


async def _plan(context: Context, options: CompactionOptions) -> list[Group]:
    found: list[Candidate] = []
    after = ""
    while True:
        page = await context.read(
            lambda c, a=after: joining.candidates(  # type: ignore[misc]
                c,
                a,
                below_bytes=options.segment_bytes / 2,
                below_entries=SESSIONS_OF_ONE / 2,
                tenant=options.tenant,
            )
        )
        found += page
        if len(page) < joining.PAGE:
            return groups(found, options.segment_bytes)
        after = page[-1].segment_id


def _planned(planned: Sequence[Group]) -> CompactionReport:
    return CompactionReport(
        dry_run=True,
        joined=sum(len(group.members) for group in planned),
        made=len(planned),
        sessions=sum(group.sessions for group in planned),
        bytes_before=sum(group.size_bytes for group in planned),
        bytes_after=sum(group.size_bytes for group in planned),
    )


async def _join(context: Context, members: Sequence[Candidate], tally: _Tally) -> None:
    """Join a group, without those of its segments that are in the way."""
    parts = await _parts(context, members, tally)
    while len(parts) > 1:
        try:
            copy = await _written(context, parts)
        except _OF_ONE_SEGMENT as error:
            await guard(context)  # is it a file that is away, or all of them?
            culprit = error.segment_id
            if culprit is None or culprit not in {p.id for p in parts}:
                if isinstance(error, SegmentNotFoundError):
                    return  # the new one: an erasure cancelled and destroyed it
                raise
            _leave(culprit, tally, "cannot be read")
            parts = [part for part in parts if part.id != culprit]
        else:
            await _put_in_place(context, parts, copy, tally)
            return


async def _written(context: Context, parts: Sequence[_Part]) -> Manifest:
    """The new segment: written, read back, published, and not known to anybody yet."""
    copy_id, now = new_id(), context.now()
    newest = max(part.manifest.created_at for part in parts)
    key = segment_key(copy_id, newest)
    await check_room(context, sum(part.manifest.size_bytes for part in parts))
    # Announced like any segment being written, so that recovery leaves it alone.
    await context.write(lambda c: segments.begin(c, copy_id, key, context.holder, now))
    try:
        copy = await context.files(lambda: _copy(context, parts, copy_id))
    except ConvstoreError:
        await give_up(context, copy_id, key)
        raise
    context.on_step("compact.published")
    return copy


async def _parts(
    context: Context, members: Sequence[Candidate], tally: _Tally
) -> list[_Part]:
    before = context.now() - int(KEEP_SUPERSEDED_S * _MICROS)
    parts: list[_Part] = []
    taken: set[Key] = set()
    for member in members:
        contents = await context.read(
            lambda c, m=member: joining.contents(c, m.segment_id, before)  # type: ignore[misc]
        )
        if contents is None:
            continue  # somebody is at work on it
        try:
            manifest = await context.files(
                lambda m=member: read_manifest(context.blobs, m.key)  # type: ignore[misc]
            )
        except _OF_ONE_SEGMENT:
            await guard(context)
            _leave(member.segment_id, tally, "has no sound manifest")
            continue
        if not _agree(contents, manifest):
            # Such as one that a rebuild took up in part: nothing of it may be lost.
            _leave(member.segment_id, tally, "is not as the database knows it")
            continue
        part = _Part(contents, manifest)
        if taken.isdisjoint(part.keys):
            taken |= part.keys
            parts.append(part)
        # else: of two copies of a session both are needed yet, and lie apart.
    return parts


def _agree(contents: Contents, manifest: Manifest) -> bool:
    told = {entry.key: entry.sha256 for entry in contents.entries}
    there = {(e.tenant_id, e.session_id): e.sha256 for e in manifest.entries}
    return told == there and manifest.sha256 == contents.segment.sha256


def _leave(segment_id: str, tally: _Tally, why: str) -> None:
    tally.left.append(segment_id)
    log.warning(
        "segment %s is left out of a compaction: it %s",
        segment_id,
        why,
        extra={"event": "segment_left", "segment_id": segment_id},
    )


def _copy(context: Context, parts: Sequence[_Part], copy_id: str) -> Manifest:
    staying = {part.id: part.keys for part in parts}
    new = join_segments(
        context.blobs,
        [part.manifest for part in parts],
        lambda manifest, entry: (
            (entry.tenant_id, entry.session_id) in staying[manifest.segment_id]
        ),
        writer=WRITER,
        segment_id=copy_id,
        on_step=context.on_step,
    )
    write_shards(context.blobs, new, context.policy.exports, context.feedback)
    if context.policy.readable_json:
        write_readable(context.blobs, new)
    return new


async def _put_in_place(
    context: Context, parts: Sequence[_Part], copy: Manifest, tally: _Tally
) -> None:
    """Seal the new segment, and let it stand for each of the old ones."""
    new = stored_segment(copy, context.now())
    try:
        # What follows is known to this database alone: a copy of it must not go on.
        await renew(context)
    except ConvstoreError:
        await give_up(context, copy.segment_id, copy.key)
        raise
    joined = [part.contents for part in parts]
    entries = stored_entries(copy, "stale")
    # Not given up when this fails: whether the commit was made may be unknown.
    if not await context.write(lambda c: joining.seal_joined(c, new, entries, joined)):
        # An erasure was at work, or recovery took us for dead: their word stands.
        await give_up(context, copy.segment_id, copy.key)
        return
    context.on_step("compact.sealed")
    tally.made.append(copy.segment_id)
    tally.sessions += len(entries)
    tally.bytes_after += copy.size_bytes
    for part in parts:
        if await _take_over(context, part, copy.segment_id):
            tally.joined += 1
            tally.dropped += len(part.contents.superseded)
            tally.bytes_before += part.manifest.size_bytes
        else:
            _leave(part.id, tally, "was in use")
    context.on_step("compact.done")
    log.info(
        "joined %d segments",
        len(parts),
        extra={"event": "segment_sealed", "segment_id": copy.segment_id},
    )


async def _take_over(context: Context, part: _Part, new_id: str) -> bool:
    old = part.manifest

    def work(connection: Connection) -> bool:
        dialect_of(connection).bound_waits(connection, _PATIENCE_S)
        return joining.take_over(connection, old.segment_id, new_id)

    await guard(context)
    try:
        if not await context.write(work):
            return False
    except DatabaseBusyError:
        return False
    context.on_step("compact.moved")
    await context.files(lambda: destroy_files(context, old.key))
    await context.write(lambda c: segments.forget(c, old.segment_id))
    return True
