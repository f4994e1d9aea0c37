"""Prefixes in Redis or Valkey, shared by workers.

Four keys a tenant: entries, order of use, expiry, and the counter that makes the order
exact. They share a hash tag, so that a cluster keeps them together.
"""

from __future__ import annotations

from convstore.cache.redis_link import RedisLink, hashed
from convstore.gateway.prefix_cache.memory import PrefixBounds, PrefixEntry, Removed
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import ConvstoreError

_DROP = """
local function drop(key)
  redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
end
local function keep()
  for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[1]) end
end
"""
_GET = (
    _DROP
    + """
local value = redis.call('HGET', KEYS[1], ARGV[2])
if not value then return {0} end
if tonumber(redis.call('ZSCORE', KEYS[3], ARGV[2])) <= tonumber(ARGV[3]) then
  drop(ARGV[2])
  return {1}
end
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[4]), ARGV[2])
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[3], ARGV[4], ARGV[2]) end
keep()
return {0, value}
"""
)
_PUT = (
    _DROP
    + """
redis.call('HSET', KEYS[1], ARGV[2], ARGV[5])
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[4]), ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[2])
local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[3])
for _, key in ipairs(due) do drop(key) end
local over = redis.call('HLEN', KEYS[1]) - tonumber(ARGV[6])
if over > 0 then
  for _, key in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do drop(key) end
end
keep()
return {#due, math.max(over, 0)}
"""
)
# Walks the tenant's entries, whose number is bounded: it is done when a pool member
# dies, not with every request.
_REMOVE = (
    _DROP
    + """
local count = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local value = cjson.decode(all[i + 1])
  if (ARGV[2] == 'key' and all[i] == ARGV[3])
      or (ARGV[2] ~= 'key' and value[tonumber(ARGV[2])] == ARGV[3]) then
    drop(all[i])
    count = count + 1
  end
end
return count
"""
)
_SIZE = "return redis.call('ZCOUNT', KEYS[3], '(' .. ARGV[1], '+inf')"


class RedisPrefixes:
    """Prefixes of one tenant on a server; while it is away, nothing is found.

    With `shared`, the link is others' as well, and closed by whoever made it.
    """

    def __init__(
        self,
        link: RedisLink,
        bounds: PrefixBounds,
        tenant_id: str,
        *,
        shared: bool = False,
    ) -> None:
        self._link = link
        self._shared = shared
        self._bounds = bounds
        base = f"{link.prefix}{{{hashed(tenant_id)}}}:prefixes:"
        self._keys = [base + name for name in ("entries", "used", "expiry", "count")]
        # A tenant whom nobody asks for leaves nothing behind.
        self._idle_ms = 2 * max(1, bounds.ttl_micros // 1000)

    async def get(self, key: str, now: int) -> tuple[PrefixEntry | None, Removed]:
        until = now + self._bounds.ttl_micros if self._bounds.sliding else ""
        args = [self._idle_ms, key, now, until]
        answer = await self._link.run(_GET, self._keys, args)
        if answer is None:
            return None, Removed()
        if len(answer) == 1:
            return None, Removed(expired=int(answer[0]))
        try:
            upstream, instance = decode_json(answer[1])
        except (ConvstoreError, TypeError, ValueError):
            return None, Removed()
        return PrefixEntry(upstream, instance), Removed()

    async def put(self, key: str, entry: PrefixEntry, now: int) -> Removed:
        value = dumps([entry.upstream_session_id, entry.instance])
        until, most = now + self._bounds.ttl_micros, self._bounds.max_entries
        args = [self._idle_ms, key, now, until, value, most]
        answer = await self._link.run(_PUT, self._keys, args)
        return Removed() if answer is None else Removed(int(answer[0]), int(answer[1]))

    async def remove(
        self,
        *,
        key: str | None = None,
        upstream_session_id: str | None = None,
        instance: str | None = None,
    ) -> int:
        which, wanted = "key", key
        if upstream_session_id is not None:
            which, wanted = "1", upstream_session_id
        elif instance is not None:
            which, wanted = "2", instance
        args = [self._idle_ms, which, wanted or ""]
        return int(await self._link.run(_REMOVE, self._keys, args) or 0)

    async def size(self, now: int) -> int:
        return int(await self._link.run(_SIZE, self._keys, [now]) or 0)

    async def close(self) -> None:
        if not self._shared:
            await self._link.close()
