"""Hosts in several processes, and kill -9 of one at any moment: as many orders as
messages, none that was acknowledged is missing, and none is there by halves.

The normal run kills some two dozen times, CONVSTORE_TEST_KILLS=1000 far more, and
CONVSTORE_TEST_SEED deals other moments.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

from convstore import StoreConfig, open_store
from tests.integration.conversations import every_page
from tests.joined.hosts import ASYNC, BLOCKING, bare_url, orders
from tests.processes import Process

WORKER = Path(__file__).with_name("host_worker.py")
DRIVERS = [*ASYNC, *(f"{driver}-blocking" for driver in BLOCKING)]
KILLS = int(os.environ.get("CONVSTORE_TEST_KILLS", "25"))
SEED = int(os.environ.get("CONVSTORE_TEST_SEED", "7"))


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(database_url: str, driver: str) -> str:
    sync = "sqlite" if driver.startswith("sqlite") else "postgresql+psycopg"
    engine = create_engine(bare_url(database_url, sync))
    orders.create(engine)
    engine.dispose()
    asyncio.run(_begin(database_url))
    return database_url


async def _begin(url: str) -> None:
    async with open_store(StoreConfig(url=url)) as store:
        await store.sessions.get_or_create("s-1")


@pytest.mark.mostly_slow("sqlite+aiosqlite", "postgresql+asyncpg")
def test_two_processes_keep_orders_and_messages_together(
    url: str, driver: str, start_process: Callable[..., Process]
) -> None:
    hosts = [start_process(WORKER, url, driver, 1000 * n, 12) for n in range(2)]
    for host in hosts:
        host.wait_until_waiting()
    for host in hosts:
        host.release()
    reported = [number for host in hosts for number in host.reports()]

    assert len(reported) == 24
    assert asyncio.run(_checked(url, reported)) == 24


@pytest.mark.crash
@pytest.mark.slow
def test_a_killed_host_leaves_as_many_orders_as_messages(
    url: str, driver: str, start_process: Callable[..., Process]
) -> None:
    dice = random.Random(f"{SEED} {driver}")
    acknowledged: list[int] = []
    for life in range(max(KILLS // len(DRIVERS), 1)):
        host = start_process(WORKER, url, driver, 100_000 * life, 100_000)
        host.wait_until_waiting()
        host.release()
        killer = threading.Timer(dice.uniform(0.01, 0.25), host.kill)
        killer.start()
        acknowledged += host.reports()
        killer.join()
        host.close()

    assert asyncio.run(_checked(url, acknowledged)) >= len(acknowledged)


async def _checked(url: str, acknowledged: list[int]) -> int:
    """How many orders there are; each has its message, whole."""
    sync = "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"
    engine = create_engine(bare_url(url, sync))
    with engine.connect() as connection:
        ordered = set(connection.execute(select(orders.c.id)).scalars())
    engine.dispose()
    async with open_store(StoreConfig(url=url)) as store:
        turns = await every_page(store.turns.list, "s-1", limit=1000)
        acts = await every_page(store.interactions.list, "s-1", limit=1000)
        session = await store.sessions.get("s-1")
    names = {t.external_id for t in turns if "order" in (t.external_id or "")}
    assert names == {f"order-{number}" for number in ordered}
    assert {a.external_id for a in acts} == names
    assert set(acknowledged) <= ordered
    assert [t.seq for t in turns] == list(range(1, session.turn_count + 1))
    assert session.interaction_count == len(acts)
    assert all(t.content == t.external_id * 50 for t in turns if t.external_id in names)
    return len(ordered)
