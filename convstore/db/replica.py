"""Reads that need not trouble the primary, from a hot standby of it.

Whoever asks sees at least what was acknowledged when it asked: the primary says how far
its log is, and the standby is waited for until it is there too. One that lags, is away,
is no standby any more or is behind a migration is passed over, and the primary is read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TypeVar

from sqlalchemy import Connection, text

from convstore.db.engine import Backend, BackendOptions, Work, open_backend
from convstore.vocabulary.errors import (
    ConfigError,
    SchemaMismatchError,
    UnavailableError,
)
from convstore.vocabulary.watch import Watch

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_S = 1.0
"""A standby that lags by more is passed over."""

RETRY_AFTER_S = 5.0
"""One that was away is not asked again for so long."""

_WRITTEN = text("SELECT pg_current_wal_insert_lsn()::text")
# NULL where it is no standby: it may have been promoted, and go its own way since.
_REPLAYED = text(
    "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= "
    "CAST(CAST(:lsn AS text) AS pg_lsn), pg_is_in_recovery()"
)


class Replica:
    """A standby of a primary; opened by its first read."""

    def __init__(self, options: BackendOptions, primary: Backend, watch: Watch) -> None:
        if not (options.url.startswith("postgres") and primary.dialect.has_far_server):
            raise ConfigError("REPLICA_URL: only PostgreSQL has replicas")
        self._options, self._primary, self._watch = options, primary, watch
        self._backend: Backend | None = None
        self._opening = asyncio.Lock()
        self._not_before = 0.0

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        """What `work` finds on the standby, or else on the primary.

        Raises:
            ConfigError: It is a replica of another database.
        """
        name = getattr(work, "__qualname__", "").partition(".<locals>")[0]
        with self._watch.work("read", operation=name):
            if time.monotonic() >= self._not_before:
                try:
                    backend = await self._opened()
                    if await self._caught_up(backend):
                        return await backend.read(work, snapshot=snapshot)
                except (UnavailableError, SchemaMismatchError) as error:
                    # Also where a statement was in the way of what is replayed.
                    self._pass_over(type(error).__name__)
            return await self._primary.read(work, snapshot=snapshot)

    async def close(self) -> None:
        """Close its connections. Idempotent."""
        if self._backend is not None:
            await self._backend.close()

    async def _opened(self) -> Backend:
        async with self._opening:
            if self._backend is None:
                backend = await open_backend(self._options)
                try:
                    await self._check_same(backend)
                except BaseException:
                    await backend.close()
                    raise
                self._backend = backend
            return self._backend

    async def _check_same(self, backend: Backend) -> None:
        if not {*await backend.instance()} & {*await self._primary.instance()}:
            raise ConfigError("REPLICA_URL: it is not a replica of the database of URL")

    async def _caught_up(self, backend: Backend) -> bool:
        written = await self._primary.read(
            lambda c: str(c.execute(_WRITTEN).scalar_one())
        )
        deadline, pause_s = time.monotonic() + PATIENCE_S, 0.002
        while True:
            there, standby = await backend.read(lambda c: _replayed(c, written))
            if there:
                return True
            if not standby:
                self._pass_over("it is no standby")
                return False
            if time.monotonic() > deadline:
                self._pass_over("it lags")
                return False
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.05)

    def _pass_over(self, why: str) -> None:
        self._not_before = time.monotonic() + RETRY_AFTER_S
        log.warning(
            "the replica is passed over: %s",
            why,
            extra={"event": "replica_away", "error": why},
        )


def _replayed(connection: Connection, lsn: str) -> tuple[bool, bool]:
    there, standby = connection.execute(_REPLAYED, {"lsn": lsn}).one()
    return bool(there), bool(standby)
