"""Fresh databases for a campaign, archives that part from them, and the end of every
unfinished job."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Connection, text

from convstore import Store, open_store
from tests.crash.oplog import OpLog
from tests.crash.trying import TENANTS, Orders, ShiftedClock, config_of
from tests.databases import make


def make_database(server_url: str, url: str) -> None:
    """A fresh migrated database at `url`."""
    if server_url:
        asyncio.run(_create(server_url, urlsplit(url).path.removeprefix("/")))
    make(url)


async def _create(server_url: str, name: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


async def part_from_archive(store: Store) -> None:
    """As if a copy of the database had gone on with the archive."""

    def work(connection: Connection) -> None:
        connection.execute(
            text("UPDATE archive_folder SET token = 'another', next_token = NULL")
        )

    await store._parts.backend.write(work)


def part(orders: Orders) -> None:
    """Part the database of these orders from its archive."""

    async def run() -> None:
        async with open_store(config_of(orders)) as store:
            await part_from_archive(store)

    asyncio.run(run())


def adopt(orders: Orders) -> None:
    """What a person does who was cut off while adopting the archive: the same again."""

    async def run() -> None:
        clock = ShiftedClock(orders.clock_offset_s)
        async with open_store(config_of(orders), clock=clock) as store:
            await store.archive.adopt()

    asyncio.run(run())


def settle(url: str, archive: Path, logs: Path, clock_offset_s: float) -> None:
    """Let recovery finish what was cut short; a second one must find nothing to do."""
    orders = Orders(url, archive, logs / "settling.log", 0, clock_offset_s)
    log = OpLog(orders.log)
    seen: set[str] = set()

    def on_step(step: str) -> None:
        if step not in seen:
            seen.add(step)
            log.write("step", step=step)

    if not url.startswith("sqlite"):
        asyncio.run(_end_others(url))
    asyncio.run(_settle(orders, log, on_step))


async def _end_others(url: str) -> None:
    """A server does not see at once that its client was killed, and may still commit
    the statement that it was given."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.fetch(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
    finally:
        await connection.close()


async def _settle(orders: Orders, log: OpLog, on_step: object) -> None:
    clock = ShiftedClock(orders.clock_offset_s)
    async with open_store(config_of(orders), clock=clock, on_step=on_step) as store:  # type: ignore[arg-type]
        await store.archive.recover(alone=True)
        again = await store.archive.recover(alone=True)
        if again != type(again)(segments_kept=again.segments_kept):
            log.write("error", text=f"I14 recovery found more to do: {again}")
        if again.segments_kept:
            log.write("error", text=f"I14 orphans: {again.segments_kept}")
        await store.search_index.run()
        for tenant in TENANTS:
            index = await store.for_tenant(tenant).search_index.check()
            if not index.ok:
                log.write("error", text=f"I25 the index of {tenant}: {index}")
        verified = await store.archive.verify(deep=True)
        if not verified.ok:
            log.write("error", text=f"I7 verify: {verified.faults[:3]}")
