"""The tests that every cache passes: subclass, name your cache, run pytest.

class TestMyCache(SessionCacheSuite):
    async def make_cache(self, tick):
        return MyCache(tick=tick)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from convstore.cache.base import CacheEntry, Key, SessionCache
from convstore.gateway.prefix_cache.cache import PrefixCache
from convstore.vocabulary.clock import EPOCH, ManualClock
from convstore.vocabulary.records import JsonObject, Session, Turn

KEY: Key = ("tenant", "../any id 🙂")
OTHER: Key = ("another", "../any id 🙂")
TTL_S = 1_800.0


class Ticks:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def session(version: int, key: Key = KEY) -> Session:
    """A session record at a version."""
    return Session(
        tenant_id=key[0], id=key[1], state="active", version=version, user_id="u-1",
        title="t", language=None, tags=("a",), metadata={"k": [1, {"n": None}]},
        created_at=EPOCH, updated_at=EPOCH, last_activity_at=EPOCH, expires_at=None,
        head_seq=version, branched=False, turn_count=version, interaction_count=0,
        graph_state_count=0, feedback_counts={"correct": 1}, current_slots={"a": "b"},
        current_template_id=None, hold_count=0, archived_at=None, segment_id=None,
    )  # fmt: skip


def turn(seq: int, session_id: str = KEY[1]) -> Turn:
    """A turn with something in every field that JSON can hold."""
    return Turn(
        session_id=session_id, seq=seq, parent_seq=seq - 1 or None, role="user",
        content=f"Tweede zin é 🙂 {seq}", parts=[{"type": "text", "n": 2**53 + 1}],
        name=None, tool_call_id=None, model="m", finish_reason=None, tokens_in=1,
        tokens_out=None, cost_micros=None, language="nl", resolved_question=None,
        template_id=None, slots={"place": "Enschede"}, results=[{"rows": [1.5, "x"]}],
        tools_hash=None, metadata={}, external_id=f"e-{seq}", created_at=EPOCH,
    )  # fmt: skip


def entry(version: int, key: Key = KEY) -> CacheEntry:
    """A session of so many turns, all of them known."""
    turns = tuple(turn(seq, key[1]) for seq in range(1, version + 1))
    return CacheEntry(session(version, key), turns, True)


class SessionCacheSuite:
    """The contract of `SessionCache`, as tests."""

    async def make_cache(self, tick: Callable[[], float]) -> SessionCache:
        """An empty cache; entries live `TTL_S` seconds."""
        raise NotImplementedError("name the cache to be tested")

    async def test_an_empty_cache_knows_nothing(self) -> None:
        cache = await self.make_cache(Ticks())

        assert await cache.get(KEY) is None
        assert cache.available()
        await cache.close()

    async def test_an_entry_comes_back_exactly(self) -> None:
        cache = await self.make_cache(Ticks())
        await cache.put(KEY, entry(3), 1_000.0)

        found = await cache.get(KEY)

        assert found is not None
        assert found[0] == entry(3)
        await cache.close()

    async def test_what_is_known_of_the_turns_comes_back(self) -> None:
        cache = await self.make_cache(Ticks())
        kinds = [
            CacheEntry(session(2), None, False),
            CacheEntry(session(3), (turn(3),), False),
            CacheEntry(session(4), (), True),
        ]

        for kind in kinds:
            await cache.put(KEY, kind, 1_000.0)
            found = await cache.get(KEY)
            assert found is not None
            assert found[0] == kind
        await cache.close()

    async def test_that_there_is_no_session_is_kept_too(self) -> None:
        cache = await self.make_cache(Ticks())
        await cache.put(KEY, CacheEntry(None, (), True), 1_000.0)

        found = await cache.get(KEY)

        assert found is not None
        assert found[0].session is None
        await cache.close()

    async def test_tenants_do_not_see_each_other(self) -> None:
        cache = await self.make_cache(Ticks())
        await cache.put(KEY, entry(1), 1_000.0)

        assert await cache.get(OTHER) is None
        await cache.close()

    async def test_a_lower_version_does_not_replace_a_higher_one(self) -> None:
        cache = await self.make_cache(Ticks())
        await cache.put(KEY, entry(3), 1_000.0)

        await cache.put(KEY, entry(2), 1_001.0)

        found = await cache.get(KEY)
        assert found is not None
        assert found[0].version == 3
        await cache.close()

    async def test_a_tombstone_keeps_older_entries_out(self) -> None:
        cache = await self.make_cache(Ticks())
        await cache.put(KEY, entry(2), 1_000.0)

        await cache.bury(KEY, 3)
        buried = await cache.get(KEY)
        await cache.put(KEY, entry(2), 1_001.0)
        late = await cache.get(KEY)
        await cache.put(KEY, entry(3), 1_001.0)
        found = await cache.get(KEY)

        assert buried is None
        assert late is None
        assert found is not None
        assert found[0].version == 3
        await cache.close()

    async def test_a_tombstone_does_not_hide_what_is_not_older(self) -> None:
        cache = await self.make_cache(Ticks())
        await cache.put(KEY, entry(3), 1_000.0)

        await cache.bury(KEY, 3)

        assert await cache.get(KEY) is not None
        await cache.close()

    async def test_what_is_forgotten_is_gone(self) -> None:
        cache = await self.make_cache(Ticks())
        await cache.put(KEY, entry(3), 1_000.0)

        await cache.forget(KEY)
        await cache.forget(KEY)

        assert await cache.get(KEY) is None
        await cache.close()

    async def test_proof_is_never_later_than_it_was(self) -> None:
        """A cache may forget when an entry was proven; it must not make it newer."""
        ticks = Ticks()
        cache = await self.make_cache(ticks)
        await cache.get(KEY)
        await cache.put(KEY, entry(1), ticks.now - 5)
        first = await cache.get(KEY)
        await cache.confirm(KEY, 1, ticks.now - 3)
        await cache.confirm(KEY, 2, ticks.now)
        await cache.confirm(KEY, 1, ticks.now - 4)
        confirmed = await cache.get(KEY)

        assert first is not None
        assert confirmed is not None
        assert first[1] <= ticks.now - 5
        assert first[1] < confirmed[1] <= ticks.now - 3
        await cache.close()

    async def test_a_shared_record_cannot_be_taken_for_another(self) -> None:
        cache = await self.make_cache(Ticks())
        given = entry(2)
        await cache.put(KEY, given, 1_000.0)

        found = await cache.get(KEY)

        assert found is not None
        assert found[0] != replace(given, complete=False)
        await cache.close()


class PrefixCacheSuite:
    """What a prefix cache does, wherever its entries are."""

    def make_cache(
        self,
        clock: ManualClock,
        *,
        max_entries: int = 256,
        ttl_s: float = TTL_S,
        expiry: str = "sliding",
        tenant_id: str = "default",
    ) -> PrefixCache:
        """A handle of the test's one store of prefixes."""
        raise NotImplementedError("name the cache to be tested")

    async def test_the_next_request_finds_the_upstream_session(self) -> None:
        cache = self.make_cache(ManualClock())
        first = talk("Hello")
        await cache.store("key", first, "up-1", "pool-a")
        follow_up = [*first, {"role": "assistant", "content": "Hi."}, *talk("And?")]

        found = await cache.look_up("key", follow_up)

        assert found is not None
        assert (found.upstream_session_id, found.instance) == ("up-1", "pool-a")
        await cache.close()

    async def test_only_the_prefix_is_looked_up(self) -> None:
        cache = self.make_cache(ManualClock())
        await cache.store("key", talk("a", "b"), "up-1")

        assert await cache.look_up("key", talk("a", "b")) is None
        assert await cache.look_up("key", talk("a", "b", "c")) is not None
        await cache.close()

    async def test_an_empty_prefix_finds_nothing_and_is_no_miss(self) -> None:
        cache = self.make_cache(ManualClock())
        greeting: list[JsonObject] = [{"role": "assistant", "content": "Hi."}]
        await cache.store("key", [], "up-1")
        await cache.store("key", greeting, "up-1")

        assert await cache.look_up("key", talk("a")) is None
        assert await cache.look_up("key", []) is None
        assert await cache.look_up("key", [*greeting, *talk("a")]) is None
        assert (await cache.stats()).miss_total == 0
        await cache.close()

    async def test_scopes_tenants_and_branches_are_apart(self) -> None:
        clock = ManualClock()
        cache = self.make_cache(clock)
        stranger = self.make_cache(clock, tenant_id="another")
        await cache.store("key", talk("a"), "up-1", branch="x")

        assert await cache.look_up("other", talk("a", "b"), branch="x") is None
        assert await cache.look_up("key", talk("a", "b")) is None
        assert await stranger.look_up("key", talk("a", "b"), branch="x") is None
        assert await cache.look_up("key", talk("a", "b"), branch="x") is not None
        await cache.close()
        await stranger.close()

    async def test_the_later_store_of_a_key_wins(self) -> None:
        clock = ManualClock()
        cache = self.make_cache(clock)
        await cache.store("key", talk("a"), "up-1", "pool-a")
        clock.advance(1)
        await cache.store("key", talk("a"), "up-2")

        found = await cache.look_up("key", talk("a", "b"))

        assert found is not None
        assert (found.upstream_session_id, found.instance) == ("up-2", None)
        assert (await cache.stats()).size == 1
        await cache.close()

    async def test_the_least_recently_used_goes_first(self) -> None:
        clock = ManualClock()
        cache = self.make_cache(clock, max_entries=2)
        for text in ("a", "b"):
            await cache.store("key", talk(text), f"up-{text}")
            clock.advance(2)
        await cache.look_up("key", talk("a", "?"))
        clock.advance(2)

        await cache.store("key", talk("c"), "up-c")

        assert await cache.look_up("key", talk("b", "?")) is None
        assert await cache.look_up("key", talk("a", "?")) is not None
        assert await cache.look_up("key", talk("c", "?")) is not None
        stats = await cache.stats()
        assert (stats.size, stats.evict_total, stats.expire_total) == (2, 1, 0)
        await cache.close()

    async def test_many_at_once_keep_the_bound_and_the_counts(self) -> None:
        cache = self.make_cache(ManualClock(), max_entries=5)

        await asyncio.gather(
            *(cache.store("key", talk(f"{n % 20}"), f"up-{n}") for n in range(40))
        )
        found = [await cache.look_up("key", talk(f"{n}", "?")) for n in range(20)]

        stats = await cache.stats()
        kept = [n for n, entry in enumerate(found) if entry is not None]
        assert len(kept) == stats.size == stats.hit_total == 5
        assert stats.miss_total == 15
        # Each text was stored twice: the later store stands, if it was not evicted.
        assert all(
            entry.upstream_session_id in (f"up-{n}", f"up-{n + 20}")
            for n, entry in enumerate(found)
            if entry is not None
        )
        assert 15 <= stats.evict_total <= 35
        await cache.close()

    async def test_sliding_expiry_counts_from_the_last_use(self) -> None:
        clock = ManualClock()
        cache = self.make_cache(clock, ttl_s=100, expiry="sliding")
        await cache.store("key", talk("a"), "up-1")
        clock.advance(60)
        await cache.look_up("key", talk("a", "?"))
        clock.advance(60)

        used = await cache.look_up("key", talk("a", "?"))
        clock.advance(101)
        idle = await cache.look_up("key", talk("a", "?"))

        assert used is not None
        assert idle is None
        assert (await cache.stats()).expire_total == 1
        await cache.close()

    async def test_absolute_expiry_counts_from_the_store(self) -> None:
        clock = ManualClock()
        cache = self.make_cache(clock, ttl_s=100, expiry="absolute")
        await cache.store("key", talk("a"), "up-1")
        clock.advance(60)
        early = await cache.look_up("key", talk("a", "?"))
        clock.advance(60)

        assert early is not None
        assert await cache.look_up("key", talk("a", "?")) is None
        await cache.close()

    async def test_expired_entries_make_way_before_live_ones(self) -> None:
        clock = ManualClock()
        cache = self.make_cache(clock, max_entries=2, ttl_s=100)
        await cache.store("key", talk("a"), "up-a")
        clock.advance(60)
        await cache.store("key", talk("b"), "up-b")
        clock.advance(60)

        before = await cache.stats()
        await cache.store("key", talk("c"), "up-c")

        stats = await cache.stats()
        assert before.size == 1
        assert (stats.size, stats.expire_total, stats.evict_total) == (2, 1, 0)
        await cache.close()

    async def test_entries_are_dropped_by_key_session_and_instance(self) -> None:
        cache = self.make_cache(ManualClock())
        key = await cache.store("key", talk("a"), "up-1", "pool-a")
        await cache.store("key", talk("b"), "up-2", "pool-a")
        await cache.store("key", talk("c"), "up-3", "pool-b")
        await cache.store("key", talk("d"), "up-3", "pool-b")

        assert await cache.invalidate(key=key) == 1
        assert await cache.invalidate(key=key) == 0
        assert await cache.invalidate(upstream_session_id="pool-a") == 0
        assert await cache.invalidate(instance="pool-a") == 1
        assert await cache.invalidate(upstream_session_id="up-3") == 2
        stats = await cache.stats()
        assert (stats.size, stats.invalidate_total) == (0, 4)
        await cache.close()

    async def test_hits_and_misses_are_counted(self) -> None:
        cache = self.make_cache(ManualClock(), max_entries=9, ttl_s=50)
        await cache.store("key", talk("a"), "up-1")
        for text in ("a", "a", "b", "a"):
            await cache.look_up("key", talk(text, "?"))

        stats = await cache.stats()

        assert (stats.enabled, stats.size, stats.max, stats.ttl_s) == (True, 1, 9, 50)
        assert (stats.hit_total, stats.miss_total, stats.hit_rate) == (3, 1, 0.75)
        await cache.close()

    async def test_no_entries_allowed_means_switched_off(self) -> None:
        cache = self.make_cache(ManualClock(), max_entries=0)
        await cache.store("key", talk("a"), "up-1")

        assert await cache.look_up("key", talk("a", "?")) is None
        assert await cache.invalidate(instance="pool-a") == 0
        stats = await cache.stats()
        assert (stats.enabled, stats.size, stats.miss_total) == (False, 0, 0)
        await cache.close()


def talk(*texts: str) -> list[JsonObject]:
    """User messages."""
    return [{"role": "user", "content": text} for text in texts]
