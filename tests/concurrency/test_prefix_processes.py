"""One prefix cache under many processes: what one stores, the others find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from convstore import Store
from convstore.gateway.prefix_cache.stores import PrefixKind

PROCESSES = 4
EACH = 25
TOTAL = PROCESSES * EACH

WORK = f"""
import asyncio, sys
from convstore import StoreConfig, open_store

URL, ARCHIVE, KIND, SERVER, MOST = sys.argv[1:]

def talk(number, *more):
    said = [f"opening {{number}}", *more]
    return [{{"role": "user", "content": text}} for text in said]

async def main():
    cache = {{"url": SERVER, "timeout_s": 10}}
    config = StoreConfig(url=URL, archive_dir=ARCHIVE, cache=cache)
    async with open_store(config) as store:
        prefixes = store.prefix_cache(KIND, max_entries=int(MOST))
        wait_for_all()
        own = range(INDEX * {EACH}, (INDEX + 1) * {EACH})
        await asyncio.gather(*(
            prefixes.store("key", talk(n), f"up-{{n}}", f"pool-{{INDEX}}") for n in own
        ))
        # Each other process, until it is through: nothing but its entries tells.
        found = {{}}
        async with asyncio.timeout(240):
            while int(MOST) > {TOTAL} and len(found) < {TOTAL}:
                for n in set(range({TOTAL})) - found.keys():
                    entry = await prefixes.look_up("key", talk(n, "?"))
                    if entry is not None:
                        found[n] = [entry.upstream_session_id, entry.instance]
        stats = await prefixes.stats()
        report([sorted(found.items()), stats.hit_total, stats.evict_total])

asyncio.run(main())
"""

RunProcesses = Callable[..., list[list[Any]]]
Open = Callable[..., Awaitable[Store]]


@dataclass
class Shared:
    """The cache that the processes share, and a way of running them."""

    kind: PrefixKind
    server: str
    open_another: Open
    run: Callable[..., list[list[Any]]]

    def work(self, most: int) -> list[Any]:
        """What each process found, its hits, and the entries that it dropped."""
        return [r for (r,) in self.run(self.kind, self.server, most, together=True)]

    async def store_one(self, most: int) -> tuple[int, int]:
        """Store one more; how many that dropped, and how many there are then."""
        store = await self.open_another(cache={"url": self.server})
        cache = store.prefix_cache(self.kind, max_entries=most)
        await cache.store("key", [{"role": "user", "content": "last"}], "up-last")
        stats = await cache.stats()
        return stats.evict_total, stats.size


@pytest.fixture(params=["database", "redis", "valkey"])
def shared(
    request: pytest.FixtureRequest,
    database_url: str,
    archive_dir: Path,
    run_processes: RunProcesses,
    open_another: Open,
) -> Shared:
    run = partial(run_processes, PROCESSES, WORK, database_url, archive_dir)
    if request.param == "database":
        return Shared("database", "", open_another, run)
    server = request.getfixturevalue(f"{request.param}_url")
    return Shared("redis", server, open_another, run)


@pytest.mark.mostly_slow("redis-sqlite")
async def test_each_process_finds_what_every_other_one_stored(shared: Shared) -> None:
    results = shared.work(most=1_000)

    everything = [[n, [f"up-{n}", f"pool-{n // EACH}"]] for n in range(TOTAL)]
    assert results == [[everything, TOTAL, 0]] * PROCESSES
    assert await shared.store_one(most=1_000) == (0, TOTAL + 1)


@pytest.mark.mostly_slow("database-postgres")
async def test_what_racing_processes_drop_is_counted_once(shared: Shared) -> None:
    """In the database, commits at the same time do not see what the others store: the
    next one makes good what is over the bound then."""
    results = shared.work(most=10)
    dropped, size = await shared.store_one(most=10)

    assert 0 < size <= 10
    assert sum(evicted for _, _, evicted in results) + dropped == TOTAL + 1 - size
