"""A joined segment takes the place of those that it was made of, one at a time.

Whoever dies on the way leaves a sealed segment, with copies that nobody needs yet,
beside old ones that hold the same. Nothing else tells of it, and nothing else is
needed: the next compaction finds such pairs in the ledger and goes on from there.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from convstore.archive.archiver import destroy_files
from convstore.archive.context import LEASE_TTL_S, Context
from convstore.archive.inspection import verify_sealed
from convstore.archive.ownership import guard
from convstore.db import joining, leases, segments
from convstore.db.dialects import dialect_of
from convstore.db.engine import Connection
from convstore.db.joining import Contents
from convstore.retention.recovery import KEEP_SUPERSEDED_S
from convstore.vocabulary.errors import (
    DatabaseBusyError,
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.progress import OnProgress, Progress

log = logging.getLogger(__name__)

_LEASE = "compaction"
_MICROS = 1_000_000
_PATIENCE_S = 1.0
"""For a session that another transaction holds; the next compaction comes back."""

# Of one segment; the others go on without it.
OF_ONE_SEGMENT = (SegmentCorruptError, SegmentNotFoundError, NewerFormatError)


@dataclass(slots=True)
class Tally:
    """What a compaction has done so far."""

    joined: int = 0
    resumed: int = 0
    sessions: int = 0
    dropped: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    made: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def leave(self, segment_id: str, why: str) -> None:
        """Note, and say, that a segment stays as it is."""
        if segment_id not in self.left:
            self.left.append(segment_id)
        log.warning(
            "segment %s is left out of a compaction: it %s",
            segment_id,
            why,
            extra={"event": "segment_left", "segment_id": segment_id},
        )


class Shift:
    """One worker's turn at joining: its lease, its time, and who is told of it."""

    def __init__(
        self,
        context: Context,
        tally: Tally,
        time_budget_s: float | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._context, self._tally, self._holder = context, tally, new_id()
        self._budget_s, self._on_progress = time_budget_s, on_progress
        self._began = self._renewed = time.monotonic()
        self._done, self._total = 0, 0

    async def begin(self) -> bool:
        """Take the lease, or renew it; False if another worker holds it."""
        now, ttl = self._context.now(), int(LEASE_TTL_S * _MICROS)
        holder, self._renewed = self._holder, time.monotonic()
        epoch = await self._context.write(
            lambda c: leases.acquire(c, _LEASE, holder, now, ttl)
        )
        return epoch is not None

    async def end(self) -> None:
        """Give the lease back."""
        holder = self._holder
        await self._context.write(lambda c: leases.release(c, _LEASE, holder))

    async def goes_on(self) -> bool:
        """Whether another large segment may be begun."""
        spent_s = time.monotonic() - self._began
        if self._budget_s is not None and spent_s > self._budget_s:
            return False
        return await self.begin()

    async def holds(self) -> bool:
        """Whether another small one may be replaced: time does not matter, the lease
        does, which may end behind a thousand of them. Whoever is told may end it, too.
        """
        self._tell()
        if time.monotonic() - self._renewed < LEASE_TTL_S / 4:
            return True
        return await self.begin()

    def done_with(self, groups: int, total: int) -> None:
        """Tell how many large ones are made, of how many."""
        self._done, self._total = groups, total
        self._tell()

    def _tell(self) -> None:
        if self._on_progress is not None:
            counts = {"joined": self._tally.joined}
            self._on_progress(
                Progress("compact", "groups", self._done, self._total or None, counts)
            )


async def finish_joins(
    context: Context, tenant: str | None, shift: Shift, tally: Tally
) -> bool:
    """Go on with what earlier compactions did not bring to its end; False if this one
    may not either.

    A joined segment is read back once more before the old ones go: between its sealing
    and now there is a crash.
    """
    pairs = await context.read(lambda c: joining.half_done(c, tenant))
    old_ones: dict[str, list[str]] = {}
    for joined, old_id in pairs:
        old_ones.setdefault(joined, []).append(old_id)
    for joined, olds in old_ones.items():
        if not await shift.goes_on():
            return False
        if not await _is_whole(context, joined):
            await guard(context)  # is it a file that is away, or all of them?
            tally.leave(joined, "cannot stand for what it was made of")
            continue
        context.on_step("compact.resumed")
        tally.resumed += 1
        if not await _finish_one(context, joined, olds, shift, tally):
            return False
    return True


async def _finish_one(
    context: Context, joined: str, olds: list[str], shift: Shift, tally: Tally
) -> bool:
    before = context.now() - int(KEEP_SUPERSEDED_S * _MICROS)
    for old_id in olds:
        if not await shift.holds():
            return False
        contents = await context.read(
            lambda c, o=old_id: joining.contents(c, o, before)  # type: ignore[misc]
        )
        if contents is not None:  # else somebody is at work on it
            await hand_over(context, contents, joined, tally)
    return True


async def hand_over(
    context: Context, contents: Contents, joined: str, tally: Tally
) -> None:
    """Let a joined segment stand for one of the old, and destroy that one."""
    old, superseded = contents.segment, contents.superseded

    def work(connection: Connection) -> int | None:
        dialect_of(connection).bound_waits(connection, _PATIENCE_S)
        return joining.take_over(connection, old.segment_id, joined, superseded)

    await guard(context)
    try:
        dropped = await context.write(work)
    except DatabaseBusyError:
        dropped = None
    if dropped is None:
        tally.leave(old.segment_id, "was in use")
        return
    context.on_step("compact.moved")
    await context.files(lambda: destroy_files(context, old.key))
    await context.write(lambda c: segments.forget(c, old.segment_id))
    tally.joined += 1
    tally.dropped += dropped
    tally.bytes_before += old.size_bytes


async def _is_whole(context: Context, segment_id: str) -> bool:
    segment = await context.read(lambda c: segments.find(c, segment_id))
    if segment is None or segment.state != "sealed":
        return False
    try:
        return not await context.files(lambda: verify_sealed(context.blobs, segment))
    except OF_ONE_SEGMENT:
        return False
