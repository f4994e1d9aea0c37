"""Connections that rest beside PostgreSQL's pool are there for whoever needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from convstore.db.dialects.base import BackendOptions
from convstore.db.engine import open_backend
from convstore.vocabulary.limits import Limits

_PATIENCE_S = 20.0


@pytest.fixture
async def backend(postgres_url: str) -> AsyncIterator[Any]:
    limits = Limits(busy_timeout_s=_PATIENCE_S)
    made: Any = await open_backend(BackendOptions(postgres_url, 2, "none", limits))
    yield made
    await made.close()


async def all_rest(backend: Any) -> int:
    """Have every connection of the pool rest; how many there are."""
    size: int = backend._engine.pool.size()
    together = asyncio.Barrier(size)

    def work(connection: Connection) -> None:
        connection.execute(text("SELECT pg_sleep(0.02)"))

    async def read() -> None:
        await together.wait()
        await backend.read(work)

    while backend._resting.count < size:
        await asyncio.gather(*(read() for _ in range(size)))
    return size


async def transact(
    backend: Any, inside: asyncio.Semaphore, all_inside: asyncio.Event
) -> None:
    async with backend.transaction():
        inside.release()
        await all_inside.wait()


async def test_whoever_begins_a_transaction_waits_for_no_connection_that_rests(
    backend: Any,
) -> None:
    """As many as there are connections begin at once, at ever other moments: none has
    to wait for another to end."""
    for turns in range(12):
        size, inside = await all_rest(backend), asyncio.Semaphore(0)
        all_inside = asyncio.Event()

        async with asyncio.TaskGroup() as tasks:
            for number in range(size):
                tasks.create_task(transact(backend, inside, all_inside))
                for _ in range(turns if number == 0 else 0):
                    await asyncio.sleep(0)
            for _ in range(size):
                await inside.acquire()
            all_inside.set()

    assert backend.checked_out() == 0
