"""Warm sessions in Redis or Valkey, shared by the workers of a deployment.

One hash a session, `cs:<format>:<hash of tenant>:<hash of session>`: version, time of
proof by the server's clock, and JSON. A script sets only what is not older. What this
process has seen or written is remembered until the tier's bound has passed, so that a
server that lost writes never takes a reader of this process back.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from convstore.cache.base import CacheEntry, CacheStats, Key
from convstore.cache.copies import Copies, tag_of
from convstore.cache.frozen import frozen
from convstore.cache.redis_link import RedisLink, hashed
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.documents import document_from_json, encode_document
from convstore.vocabulary.errors import ConvstoreError
from convstore.vocabulary.records import SessionDocument

_NOW = "local t = redis.call('TIME')\nlocal now = t[1] * 1000 + math.floor(t[2] / 1000)"
# Leaves the payload out where the caller's copy is of the same version and content.
_GET = f"""
{_NOW}
local found = redis.call('HMGET', KEYS[1], 'v', 'p', 't')
if not found[1] then return {{now}} end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if found[1] == ARGV[2] and found[3] == ARGV[3] then
  return {{now, found[1], found[2]}}
end
return {{now, found[1], found[2], redis.call('HGET', KEYS[1], 'd')}}
"""
# Keeps the later proof when the versions are equal; a tombstone is an empty payload,
# and does not hide what is not below it.
_SET = """
local old = redis.call('HMGET', KEYS[1], 'v', 'p', 'd')
if old[1] then
  local was, is = tonumber(old[1]), tonumber(ARGV[2])
  if was > is or (was == is and ARGV[4] == '' and old[3] ~= '') then return 0 end
  if was == is and tonumber(old[2]) > tonumber(ARGV[3]) then ARGV[3] = old[2] end
end
redis.call('HSET', KEYS[1], 'v', ARGV[2], 'p', ARGV[3], 'd', ARGV[4], 't', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""
_CONFIRM = """
local old = redis.call('HMGET', KEYS[1], 'v', 'p')
if old[1] == ARGV[1] and tonumber(old[2]) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'p', ARGV[2])
end
return 1
"""
_FORGET = "return redis.call('DEL', KEYS[1])"
# In front of the document: whether its turns are known, and are all of the branch.
_TURNS = {(False, False): b"0", (True, False): b"1", (True, True): b"2"}


class RedisCache:
    """Entries of every process that uses the server.

    Args:
        bound_s: The tier's staleness bound; what this process saw is remembered for it.
        max_copies: Entries of which a decoded copy is kept. The server is asked all the
            same, and sends what is new; while it is away, the copies are there for the
            tier to compare with the database.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        ttl_s: float,
        bound_s: float,
        max_copies: int = 1_000,
        cleanup_interval_s: float = 300.0,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = CacheStats()
        self._link = link
        self._ttl_ms = str(max(1, int(ttl_s * 1000)))
        self._bound_s = bound_s
        self._tick = tick
        self._copies = Copies(max_copies, ttl_s, cleanup_interval_s, self.stats, tick)
        self._seen: OrderedDict[Key, tuple[int, float]] = OrderedDict()
        # The server's time in milliseconds, and ours when it arrived: added to a later
        # time of ours, it never gives more than the server's clock shows.
        self._sample: tuple[int, float] | None = None

    async def get(self, key: Key) -> tuple[CacheEntry, float] | None:
        asked_at = self._tick()
        copy = self._copies.get(key)
        known = [str(copy[0].version), copy[1]] if copy else ["", ""]
        answer = await self._link.run(_GET, [self._name(key)], [self._ttl_ms, *known])
        self.stats.errors = self._link.errors
        if answer is None:
            # Proven at no time that is known: the tier asks the database.
            if copy is None or copy[0].version < self._floor(key):
                return None
            return copy[0], -math.inf
        now_ms = int(answer[0])
        self._sample = now_ms, self._tick()
        entry = self._answered(key, copy, answer)
        if entry is None or entry.version < self._floor(key):
            return None
        self._see(key, entry.version)
        return entry, asked_at - (now_ms - float(answer[2])) / 1000

    async def put(self, key: Key, entry: CacheEntry, proven_at: float) -> None:
        self._see(key, entry.version)
        self._copies.keep(key, entry)
        await self._set(key, entry.version, proven_at, entry)

    async def confirm(self, key: Key, version: int, proven_at: float) -> None:
        args = [str(version), self._server_ms(proven_at)]
        await self._link.run(_CONFIRM, [self._name(key)], args)

    async def bury(self, key: Key, version: int) -> None:
        self._see(key, version)
        self._copies.drop(key)
        await self._set(key, version, 0.0, None)

    async def forget(self, key: Key) -> None:
        self._copies.drop(key)
        await self._link.run(_FORGET, [self._name(key)], [])

    def _name(self, key: Key) -> str:
        return f"{self._link.prefix}{hashed(key[0])}:{hashed(key[1])}"

    def size(self) -> int:
        return len(self._copies)

    def available(self) -> bool:
        return self._link.available

    async def close(self) -> None:
        self._copies.close()
        await self._link.close()

    def _answered(
        self, key: Key, copy: tuple[CacheEntry, str] | None, answer: list[bytes]
    ) -> CacheEntry | None:
        """What the server has: our copy, or what it sent."""
        if len(answer) == 1:
            return None
        if len(answer) == 3:
            return copy[0] if copy else None
        self._copies.drop(key)
        entry = _decode(key, answer[3]) if answer[3] else None
        if entry is not None:
            self._copies.keep(key, entry)
        return entry

    async def _set(
        self, key: Key, version: int, proven_at: float, entry: CacheEntry | None
    ) -> None:
        """Write an entry, or its tombstone."""
        payload, tag, proven = b"", "", "0"
        if entry is not None:
            payload, tag = _encode(key, entry), tag_of(entry)
            proven = self._server_ms(proven_at)
        args = [self._ttl_ms, str(version), proven, payload, tag]
        await self._link.run(_SET, [self._name(key)], args)
        self.stats.errors = self._link.errors

    def _server_ms(self, at: float) -> str:
        if self._sample is None:
            return "0"  # not proven: the first reader asks the database
        server_ms, sampled_at = self._sample
        return str(int(server_ms + (at - sampled_at) * 1000))

    def _floor(self, key: Key) -> int:
        seen = self._seen.get(key)
        return 0 if seen is None else seen[0]

    def _see(self, key: Key, version: int) -> None:
        now = self._tick()
        self._seen[key] = max(version, self._floor(key)), now
        self._seen.move_to_end(key)
        while self._seen:
            oldest, (_, seen_at) = next(iter(self._seen.items()))
            # Twice: a read under way when the bound passed may still be served.
            if seen_at + 2 * self._bound_s > now:
                return
            del self._seen[oldest]


def _encode(key: Key, entry: CacheEntry) -> bytes:
    if entry.session is None:
        return b"null"
    turns = entry.turns or ()
    document = SessionDocument(entry.session, turns, {}, (), (), None, ())
    known = _TURNS[entry.turns is not None, entry.complete]
    return b"[" + known + b"," + encode_document(document) + b"]"


def _decode(key: Key, payload: bytes) -> CacheEntry | None:
    """The entry, or None where it is not what this version wrote for this key."""
    try:
        data = decode_json(payload)
        if data is None:
            return CacheEntry(None, (), True)
        known, document = int(data[0]), document_from_json(data[1])
    except (ConvstoreError, TypeError, ValueError, LookupError):
        return None  # foreign or damaged bytes: the database knows better
    if (document.session.tenant_id, document.session.id) != key:
        return None
    # Many readers are given the one copy that is kept of it.
    turns = tuple(frozen(turn) for turn in document.turns) if known else None
    return CacheEntry(frozen(document.session), turns, known == 2)
