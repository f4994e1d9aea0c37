"""The hot tier: sessions and windows without the database, within a stated bound.

A reader gets nothing older than what this process has written, and nothing that another
process replaced longer than `staleness_s` ago: an entry proven longer ago than that is
compared with the session's version in the database first. The cache is written after
the commit, never before, and whatever happens to it, no caller gets an error from it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol, TypeVar

from convstore.cache.base import CacheEntry, Key, SessionCache
from convstore.cache.frozen import frozen
from convstore.db import versions
from convstore.db.engine import Backend, Runner
from convstore.db.outcomes import Tracked
from convstore.db.turns import Appended
from convstore.db.unit import Operation, check_usable
from convstore.vocabulary.errors import SessionNotFoundError, UnavailableError
from convstore.vocabulary.policy import CachePolicy
from convstore.vocabulary.records import Turn
from convstore.vocabulary.reports import TierStats

log = logging.getLogger(__name__)
T = TypeVar("T")

# A window of a few turns is read as one of so many: the next, larger one is warm then.
_FILL = 20


# Sessions written to in open transactions of applications, before the ended are let go.
_MOST_OPEN = 256


class Ongoing(Protocol):
    """A transaction that ends without telling."""

    @property
    def is_active(self) -> bool:
        """False only when its outcome is in the database."""
        ...


class Commits(Protocol):
    """Where writes become durable."""

    async def submit(self, write: Tracked[T]) -> T:
        """Carry out; durable on return."""
        ...


@dataclass(slots=True)
class HotStats:
    """Reads of the tier since the store was opened.

    `validations` are entries compared with the database, whether they were still good
    (they are hits then) or not (misses).
    """

    hits: int = 0
    misses: int = 0
    validations: int = 0


@dataclass(slots=True, eq=False)
class _Flight:
    limit: int
    done: asyncio.Future[CacheEntry | None]
    overtaken: bool = field(default=False)


class HotTier:
    """One store's tier, of every tenant; belongs to the store's event loop."""

    def __init__(
        self,
        cache: SessionCache,
        backend: Backend,
        policy: CachePolicy,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cache = cache
        self._backend = backend
        self.stats = HotStats()
        self._policy = policy
        self._tick = tick
        self._flights: dict[Key, _Flight] = {}
        self._landed = 0
        # What is proven before its session's time here is compared before it is used.
        self._doubts: OrderedDict[Key, float] = OrderedDict()
        # Transactions of the application that have written to a session.
        self._open: dict[Key, list[Ongoing]] = {}
        self._sweep_at = _MOST_OPEN

    async def read(self, runner: Runner, key: Key, limit: int) -> CacheEntry:
        """The session in whatever state, with its newest `limit` turns if it is live.

        Raises:
            UnavailableError: It was not warm, and the database is away.
        """
        if self._open:
            self._doubt_if_ended(key)
        landed = self._landed
        found = await self.cache.get(key)
        if found is None and landed != self._landed:
            # Somebody may have filled it while the cache's server was answering.
            found = await self.cache.get(key)
        if found is not None and found[0].has(limit):
            entry, proven_at = found
            if self._is_fresh(key, proven_at) or await self._compare(
                runner, key, entry
            ):
                self.stats.hits += 1
                return entry
        self.stats.misses += 1
        return await self._fill(runner, key, limit)

    async def window(
        self, runner: Runner, key: Key, limit: int, user_id: str | None
    ) -> list[Turn]:
        """The newest turns of the active branch, oldest first; as `turns.newest`."""
        entry = await self.read(runner, key, limit)
        session = entry.session
        if session is None:
            raise SessionNotFoundError(key[1])
        check_usable(session.state, session.user_id, key[1], user_id)
        assert entry.turns is not None
        return list(entry.turns[-limit:])

    async def write(self, commits: Commits, operation: Operation[T]) -> T:
        """Carry out a write, then bring the cache up to it."""
        tracked = Tracked(operation)
        began_at = self._tick()
        try:
            result = await commits.submit(tracked)
        except BaseException:
            # Refused because the world moved, or cancelled with an unknown outcome.
            self.doubt(operation.key)
            raise
        self._overtake(operation.key)
        session = tracked.session
        if session is None:
            return result
        try:
            if session.version != tracked.before:
                await self._write_through(tracked, result, began_at)
            else:  # another process did it before: what is warm may not show it yet
                self.doubt(operation.key)
        except asyncio.CancelledError:
            self.doubt(operation.key)
            raise
        return result

    async def changed(self, keys: Sequence[Key]) -> None:
        """Forget sessions that were changed past `write`; call it after the commit."""
        for key in keys:
            self.doubt(key)
        if not keys or not self.cache.available():
            return
        try:
            now = await self._backend.read(lambda c: versions.versions(c, keys))
        except UnavailableError:
            # Nothing is lost: other processes compare when the bound has passed.
            log.warning("cache not told of a change", extra={"event": "cache_untold"})
            return
        for key, version in now.items():
            await self.cache.bury(key, version)

    def report(self) -> TierStats:
        """The counts of the tier and of its cache, as they are now."""
        return TierStats(
            active=self.cache.size(),
            available=self.cache.available(),
            **asdict(self.stats),
            **asdict(self.cache.stats),
        )

    async def close(self) -> None:
        """Let go of the cache. Idempotent."""
        await self.cache.close()

    def joined(self, key: Key, transaction: Ongoing) -> None:
        """The application's transaction is about to write to a session.

        Nobody tells when it ends: SQLAlchemy's event for a commit comes before COMMIT
        is sent. So it is asked whenever the session is read.
        """
        if len(self._open) >= self._sweep_at:
            for each in list(self._open):
                self._doubt_if_ended(each)
            self._sweep_at = max(_MOST_OPEN, 2 * len(self._open))
        open_ = self._open.setdefault(key, [])
        if transaction not in open_:
            open_.append(transaction)

    def _doubt_if_ended(self, key: Key) -> None:
        """Doubt what is warm of a session once a transaction that wrote to it ended."""
        if (open_ := self._open.get(key)) is None:
            return
        still = [transaction for transaction in open_ if transaction.is_active]
        if len(still) < len(open_):
            self.doubt(key)
        if still:
            self._open[key] = still
        else:
            del self._open[key]

    def _is_fresh(self, key: Key, proven_at: float) -> bool:
        if self._open:
            # It may have ended while the cache's server was answering.
            self._doubt_if_ended(key)
            if key in self._open:
                return False
        if proven_at + self._policy.staleness_s < self._tick():
            return False
        doubt = self._doubts.get(key) if self._doubts else None
        return doubt is None or proven_at > doubt

    async def _compare(self, runner: Runner, key: Key, entry: CacheEntry) -> bool:
        began_at = self._tick()
        self.stats.validations += 1
        if not await runner.read(lambda c: versions.is_same(c, key, entry.session)):
            return False
        await self.cache.confirm(key, entry.version, began_at)
        return True

    async def _fill(self, runner: Runner, key: Key, limit: int) -> CacheEntry:
        """Read from the database; of any number of readers at once, one does."""
        while (flight := self._flights.get(key)) and flight.limit >= limit:
            # Shielded: one reader's cancellation is not the others'.
            entry = await asyncio.shield(flight.done)
            if entry is not None:
                return entry
        wanted = max(limit, _FILL) if limit else 0
        flight = _Flight(wanted, asyncio.get_running_loop().create_future())
        self._flights[key] = flight
        entry = None
        try:
            entry = await self._load(runner, key, wanted, flight)
            return entry
        finally:
            self._landed += 1
            if self._flights.get(key) is flight:
                del self._flights[key]
            # Who has written meanwhile must not be given what was read before.
            flight.done.set_result(None if flight.overtaken else entry)

    async def _load(
        self, runner: Runner, key: Key, limit: int, flight: _Flight
    ) -> CacheEntry:
        began_at = self._tick()
        session, newest = await runner.read(
            lambda c: versions.load(c, key, limit), snapshot=True
        )
        turns = tuple(frozen(turn) for turn in newest)
        entry = CacheEntry(
            None if session is None else frozen(session),
            turns if limit else None,
            len(turns) < limit,
        )
        if not flight.overtaken:
            await self.cache.put(key, self._cut(entry), began_at)
        return entry

    async def _write_through(
        self, tracked: Tracked[T], result: T, began_at: float
    ) -> None:
        key, session = tracked.key, tracked.session
        assert session is not None
        found = await self.cache.get(key)
        turns: tuple[Turn, ...] | None = None
        complete = False
        if tracked.before == 0 and session.turn_count == 0:
            turns, complete = (), True
        elif found is not None and found[0].version == tracked.before:
            turns, complete = found[0].turns, found[0].complete
        if turns is not None and isinstance(result, Appended):
            turns = _continued(turns, result.turns)
        if turns is not None and session.state == "active":
            turns = _up_to(turns, session.head_seq)
            complete = complete or session.head_seq is None
        entry = CacheEntry(frozen(session), turns, complete and turns is not None)
        await self.cache.put(key, self._cut(entry), began_at)

    def _cut(self, entry: CacheEntry) -> CacheEntry:
        most = self._policy.max_turns
        if entry.turns is None or len(entry.turns) <= most:
            return entry
        return CacheEntry(entry.session, entry.turns[-most:], False)

    def _overtake(self, key: Key) -> None:
        flight = self._flights.pop(key, None)
        if flight is not None:
            flight.overtaken = True

    def doubt(self, key: Key) -> None:
        """Compare what is warm of a session before it is served again."""
        self._overtake(key)
        now = self._tick()
        self._doubts[key] = now
        self._doubts.move_to_end(key)
        # What is proven before the bound is compared anyway.
        while next(iter(self._doubts.values())) + self._policy.staleness_s < now:
            self._doubts.popitem(last=False)


def _up_to(turns: tuple[Turn, ...], head_seq: int | None) -> tuple[Turn, ...] | None:
    """The branch as far as its turn `head_seq`; None where that is not among them."""
    if head_seq is None:
        return ()
    while turns and turns[-1].seq > head_seq:
        turns = turns[:-1]
    return turns if turns and turns[-1].seq == head_seq else None


def _continued(
    turns: tuple[Turn, ...], added: Sequence[Turn]
) -> tuple[Turn, ...] | None:
    """The branch with the turns that were added to it; None where they left it."""
    for turn in added:
        tip = turns[-1].seq if turns else 0
        if turn.seq <= tip:
            continue  # stored before: the same external id
        if (turn.parent_seq or 0) != tip:
            return None
        if turn.payload is not None:  # as windows show it
            turn = replace(turn, payload=None, payload_format=None)
        turns = (*turns, frozen(turn))
    return turns
