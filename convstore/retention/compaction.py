"""Joins small segments: copy, verify, publish, seal, then move what each stands for.

A segment is never changed, so the new one is written beside the old ones. It is sealed
with copies that nobody needs yet; then each old segment hands over what its copies are
worth and is destroyed, one at a time (`handing_over.py`). A crash between any two steps
leaves each session with the copy that its stub names, and every copy in the ledger,
where erasures look, and where the next compaction sees what to go on with.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from convstore.archive.archiver import (
    check_room,
    give_up,
    stored_entries,
    stored_segment,
)
from convstore.archive.context import WRITER, Context
from convstore.archive.data_sets import write_shards
from convstore.archive.ownership import claim, guard, renew
from convstore.db import joining, segments
from convstore.db.joining import Candidate, Contents
from convstore.db.unit import Key
from convstore.retention.handing_over import (
    OF_ONE_SEGMENT,
    Shift,
    Tally,
    finish_joins,
    hand_over,
)
from convstore.retention.joinable import SESSIONS_OF_ONE, Group, groups
from convstore.retention.recovery import KEEP_SUPERSEDED_S
from convstore.segments.joining import join_segments
from convstore.segments.manifest import Manifest
from convstore.segments.readable import write_readable
from convstore.segments.reader import read_manifest
from convstore.segments.segment import segment_key
from convstore.vocabulary.errors import (
    ConvstoreError,
    SegmentNotFoundError,
)
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.progress import OnProgress
from convstore.vocabulary.reports import CompactionReport

log = logging.getLogger(__name__)

_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class CompactionOptions:
    """How one compaction goes: up to which size, of whom, for how long."""

    segment_bytes: int
    tenant: str | None = None
    time_budget_s: float | None = None
    dry_run: bool = False


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
    tally = Tally()
    shift = Shift(context, tally, options.time_budget_s, on_progress)
    await claim(context)
    if not await shift.begin():
        return CompactionReport(skipped="another worker is joining segments")
    try:
        finished = await _work(context, options, shift, tally)
    finally:
        await shift.end()
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
        resumed=tally.resumed,
    )


async def _work(
    context: Context, options: CompactionOptions, shift: Shift, tally: Tally
) -> bool:
    """First what was begun before, then what is worth it now; False if it was cut
    short."""
    if not await finish_joins(context, options.tenant, shift, tally):
        return False
    planned = await _plan(context, options)
    for number, group in enumerate(planned):
        if not await shift.goes_on():
            return False
        if not await _join(context, group.members, shift, tally):
            return False
        shift.done_with(number + 1, len(planned))
    return True


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


async def _join(
    context: Context, members: Sequence[Candidate], shift: Shift, tally: Tally
) -> bool:
    """Join a group, without those of its segments that are in the way; False if
    another worker has the lease by now."""
    parts = await _parts(context, members, tally)
    # Where none has a copy that anybody needs, there is nothing to write: recovery
    # destroys each of them, as it does any segment of no use.
    while len(parts) > 1 and any(part.keys for part in parts):
        try:
            copy = await _written(context, parts)
        except OF_ONE_SEGMENT as error:
            await guard(context)  # is it a file that is away, or all of them?
            culprit = error.segment_id
            if culprit is None or culprit not in {p.id for p in parts}:
                if isinstance(error, SegmentNotFoundError):
                    return True  # the new one: an erasure cancelled and destroyed it
                raise
            tally.leave(culprit, "cannot be read")
            parts = [part for part in parts if part.id != culprit]
        else:
            return await _put_in_place(context, parts, copy, shift, tally)
    return True


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
    context: Context, members: Sequence[Candidate], tally: Tally
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
        except OF_ONE_SEGMENT:
            await guard(context)
            tally.leave(member.segment_id, "has no sound manifest")
            continue
        if not _agree(contents, manifest):
            # Such as one that a rebuild took up in part: nothing of it may be lost.
            tally.leave(member.segment_id, "is not as the database knows it")
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
    context: Context,
    parts: Sequence[_Part],
    copy: Manifest,
    shift: Shift,
    tally: Tally,
) -> bool:
    """Seal the new segment, and let it stand for each of the old ones; False if another
    worker is at it by now, who goes on."""
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
        return True
    context.on_step("compact.sealed")
    tally.made.append(copy.segment_id)
    tally.sessions += len(entries)
    tally.bytes_after += copy.size_bytes
    for part in parts:
        if not await shift.holds():
            return False
        await hand_over(context, part.contents, copy.segment_id, tally)
    context.on_step("compact.done")
    log.info(
        "joined %d segments",
        len(parts),
        extra={"event": "segment_sealed", "segment_id": copy.segment_id},
    )
    return True
