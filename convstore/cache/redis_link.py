"""One connection pool to Redis or Valkey, with a time limit and a circuit breaker.

Nothing here raises because the server is away: `run` gives None. The first failure of
an episode is logged, so is its end; in between the server is asked again only every
`retry_after_s` seconds, so that a slow server does not slow every call.

The breaker is one deadline, not pybreaker: that counts failures and raises when it is
open, where a cache has to be silently absent.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from convstore.vocabulary.errors import ConfigError, MissingExtraError

log = logging.getLogger(__name__)
VERSION = 1
"""Of the keys and values; another version of this library does not read ours."""


class _Script(Protocol):
    async def __call__(
        self, keys: Sequence[str] = ..., args: Sequence[Any] = ...
    ) -> Any: ...


def hashed(text: str) -> str:
    """What stands in a key for an id: nothing a caller chose is ever part of one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


class RedisLink:
    """A server of one event loop's store; `run` executes one of the scripts.

    `namespace` tells the database whose copies these are from any other.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        retry_after_s: float,
        namespace: str = "",
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = _client(url, timeout_s)
        # In every key, so that stores of two databases share a server and no entry.
        self.prefix = f"cs:{VERSION}:{hashed(namespace)}:"
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._tick = tick
        self._scripts: dict[str, _Script] = {}
        self._closed_until = 0.0
        self._away = False
        self.errors = 0

    @property
    def available(self) -> bool:
        """Whether the server answered when it was last asked."""
        return not self._away

    async def run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The script's answer, or None when the server is away or too slow."""
        from redis.exceptions import RedisError

        if self._away:
            now = self._tick()
            if now < self._closed_until:
                return None
            # One caller tries; the others go on without until it knows.
            self._closed_until = now + self._retry_after_s
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._client.register_script(script)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await known(keys=list(keys), args=list(args))
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            return None
        if self._away:
            self._away = False
            log.warning("the cache server is back", extra={"event": "cache_back"})
        return answer

    async def close(self) -> None:
        """Let go of the connections. Idempotent."""
        await self._client.aclose()

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self._closed_until = self._tick() + self._retry_after_s
        if not self._away:
            self._away = True
            log.warning(
                "the cache server is away (%s): reads go to the database",
                type(error).__name__,
                extra={"event": "cache_away", "error": type(error).__name__},
            )


def _client(url: str, timeout_s: float) -> Any:
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as LostError
    except ImportError:
        raise MissingExtraError("the Redis cache", "redis") from None
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # A pooled connection may be one of the server's former life: try once more.
            retry=Retry(NoBackoff(), 1, supported_errors=(LostError,)),
            protocol=2,
        )
    except ValueError:
        raise ConfigError("cache.url is not the URL of a Redis server") from None
