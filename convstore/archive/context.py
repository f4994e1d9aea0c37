"""What everything works with that archives, restores, erases and purges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from convstore.blobs.base import BlobStore, StepHook, silent
from convstore.concurrency.completion import finished
from convstore.db.engine import Backend, Work
from convstore.db.segments import StoredSegment
from convstore.db.unit import Key
from convstore.vocabulary.clock import Clock, to_micros
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.policy import FeedbackPolicy, RetentionPolicy
from convstore.vocabulary.version import __version__

T = TypeVar("T")
WRITER = f"convstore {__version__}"

LEASE_TTL_S = 120.0
"""Seconds a worker's lease lasts between renewals."""

DEAD_AFTER_S = 2 * LEASE_TTL_S
"""A segment that has been written for longer than this is given up."""


async def _nobody(keys: Sequence[Key]) -> None:
    """Nobody keeps copies of sessions."""


@dataclass(frozen=True, slots=True)
class Context:
    """A database, a blob store, a clock and a policy; `holder` names this worker.

    `on_changed` is told of sessions after a commit that changed them past the nouns.
    """

    backend: Backend
    blobs: BlobStore
    clock: Clock
    policy: RetentionPolicy
    on_step: StepHook = silent
    feedback: FeedbackPolicy = field(default_factory=FeedbackPolicy)
    on_changed: Callable[[Sequence[Key]], Awaitable[None]] = _nobody
    holder: str = field(default_factory=new_id)

    def now(self) -> int:
        """The time to be stored, in microseconds."""
        return to_micros(self.clock.now())

    def is_dead(self, segment: StoredSegment) -> bool:
        """Whether a segment has been written for so long that its writer is dead."""
        age_s = abs(self.now() - segment.created_at) / 1_000_000
        return age_s >= DEAD_AFTER_S

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        return await self.backend.read(work, snapshot=snapshot)

    async def write(self, work: Work[T]) -> T:
        return await self.backend.write(work)

    async def files(self, work: Callable[[], T]) -> T:
        """Run work on files in a thread, to its end even if the caller is cancelled."""
        return await finished(asyncio.to_thread(work))
