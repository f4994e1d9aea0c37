"""What every noun works in: a runner, a tenant, the clock and the limits.

A runner is the only difference between a lone call (`store.turns`), a transaction
(`tx.turns`) and a group commit: the nouns are written once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from operator import not_
from typing import Protocol, TypeVar

from msgspec.structs import replace

from convstore.archive.indexer import Indexer
from convstore.db import sessions
from convstore.db.engine import Connection, Runner, Work
from convstore.db.recording import RecordInteractions, RecordTogether
from convstore.db.unit import Key, Operation
from convstore.repositories.hot_tier import HotTier
from convstore.vocabulary.clock import Clock, to_micros
from convstore.vocabulary.errors import InvalidInputError, SessionArchivedError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.judgements import Reading
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.policy import FeedbackPolicy, LedgerPolicy, SearchPolicy
from convstore.vocabulary.record import Value, field
from convstore.vocabulary.records import Interaction, Session, SessionDocument

T = TypeVar("T")

# A restored session can be purged again before the write gets there, by a run with a
# very short stale time; more than a few times means that something is wrong.
_REVIVALS = 5

MOST_ARCHIVED = 64
"""Archived sessions that one call reads: each is a frame to unpack and verify."""
_AT_ONCE = 8
"""Of those in memory together: one may have hundreds of megabytes."""


class Replicated(Protocol):
    """Where what need not be the primary's is read."""

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        """What `work` finds, as fresh as on the primary."""
        ...

    async def close(self) -> None:
        """Close its connections. Idempotent."""
        ...


class Lifecycle(Protocol):
    """What happens to a session beyond its writes; `retention` provides it."""

    async def revive(self, runner: Runner, key: Key) -> None:
        """Bring an archived session back as rows, through `runner`."""
        ...

    async def read_archived(
        self, runner: Runner, key: Key, work: Work[T]
    ) -> tuple[T, ...]:
        """What `work` finds in an archived session's rows, where they lie; nothing
        where it is not archived."""
        ...

    async def close(self) -> None:
        """Let go of what is kept for reads of the archive. Idempotent."""
        ...

    async def read_many(
        self, runner: Runner, tenant: str, session_ids: Sequence[str]
    ) -> dict[str, SessionDocument]:
        """As `read`, of those that can be had, with one visit to the files."""
        ...

    async def delete(
        self,
        runner: Runner,
        key: Key,
        *,
        archive: bool,
        expected_version: int | None = None,
    ) -> None:
        """Take a session away for good, archived first unless told not to."""
        ...


class Scope(Value, frozen=True):
    """One face of a store: whose rows, through which runner.

    `user_id` narrows it to one user's sessions; `lifecycle` restores and deletes;
    `restore_on_read` makes reads restore too; `replica` is where lists are read.
    """

    runner: Runner
    tenant: str
    clock: Clock
    limits: Limits
    lifecycle: Lifecycle
    restore_on_read: bool = False
    indexer: Indexer | None = None
    search: SearchPolicy = field(default_factory=SearchPolicy)
    ledger: LedgerPolicy = field(default_factory=LedgerPolicy)
    feedback: FeedbackPolicy = field(default_factory=FeedbackPolicy)
    user_id: str | None = None
    hot: HotTier | None = None
    replica: Replicated | None = None

    async def read_broadly(self, work: Work[T], *, snapshot: bool = False) -> T:
        """Read of many sessions: from the replica, if there is one; inside a
        transaction never, which sees its own writes."""
        if self.replica is None or self.runner.in_transaction:
            return await self.runner.read(work, snapshot=snapshot)
        return await self.replica.read(work, snapshot=snapshot)

    @property
    def reading(self) -> Reading:
        """What reads labels and scores as the settings say."""
        return Reading(self.feedback)

    def now(self) -> int:
        """The time to be stored, in microseconds."""
        return to_micros(self.clock.now())

    def key(self, session_id: str) -> Key:
        return self.tenant, session_id

    def for_user(self, user_id: str | None) -> Scope:
        return self if user_id == self.user_id else replace(self, user_id=user_id)

    def owner(self, user_id: str | None) -> str | None:
        """Whose a session is to be: the user of this face, or the one given.

        Raises:
            InvalidInputError: They are two.
        """
        own = self.user_id
        if own is not None and user_id not in (None, own):
            raise InvalidInputError("user_id", "is not the user of this handle")
        return check_optional_id("user_id", own if user_id is None else user_id)

    async def read(self, session_id: str, work: Work[T]) -> T:
        """Read of one session, live or archived: an archived one is read where it
        lies, by the same work, or restored first if so configured."""
        for _ in range(_REVIVALS):
            try:
                return await self.runner.read(work)
            except SessionArchivedError:
                key = self.key(session_id)
            if self.restore_on_read:
                await self.lifecycle.revive(self.runner, key)
                continue
            for found in await self.lifecycle.read_archived(self.runner, key, work):
                return found
        return await self.runner.read(work)

    async def live(
        self,
        session_id: str,
        read: Callable[[Connection, Session], T],
        *,
        is_nothing: Callable[[T], bool] = not_,
    ) -> T:
        """As `read`: what the session holds, and never half of it; see
        `sessions.read_live`."""
        key = self.key(check_id("session_id", session_id))

        def work(connection: Connection) -> T:
            return sessions.read_live(
                connection,
                key,
                self.user_id,
                lambda session: read(connection, session),
                is_nothing=is_nothing,
            )

        # What a trace calls this read.
        work.__qualname__ = read.__qualname__
        return await self.read(session_id, work)

    async def archived(
        self, session_ids: Sequence[str]
    ) -> AsyncGenerator[SessionDocument]:
        """The documents of archived sessions in this order, a few at a time; those that
        cannot be had are left out."""
        for start in range(0, len(session_ids), _AT_ONCE):
            some = session_ids[start : start + _AT_ONCE]
            read = await self.lifecycle.read_many(self.runner, self.tenant, some)
            for document in read.values():
                yield document

    @property
    def tier(self) -> HotTier | None:
        """The hot tier; not inside a transaction, which sees its own writes."""
        return None if self.runner.in_transaction else self.hot

    async def write(self, operation: Operation[T]) -> T:
        """Carry out a write; a session that is archived is restored first."""
        for _ in range(_REVIVALS):
            try:
                return await self.runner.write(operation)
            except SessionArchivedError as error:
                await self.lifecycle.revive(self.runner, self.key(error.session_id))
        return await self.runner.write(operation)

    async def write_together(
        self, operations: Sequence[RecordInteractions]
    ) -> list[list[Interaction]]:
        """As `write`, of several sessions in one transaction."""
        for _ in range(_REVIVALS * len(operations)):
            try:
                return await self.runner.write(RecordTogether([*operations]))
            except SessionArchivedError as error:
                await self.lifecycle.revive(self.runner, self.key(error.session_id))
        return await self.runner.write(RecordTogether([*operations]))
