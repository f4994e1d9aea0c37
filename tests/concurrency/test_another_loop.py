"""A store belongs to one event loop of one process: elsewhere it refuses, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from convstore import ConfigError, Store

FORKED = """
import asyncio, os, sys, warnings
from convstore import ConvstoreError, StoreConfig, open_store

async def child(store):
    told = []
    for call in (
        lambda: store.sessions.get("s-1"),
        lambda: store.turns.append("s-1", role="user", content="of the child"),
        lambda: store.run_retention(older_than_s=0),
    ):
        try:
            async with asyncio.timeout(120):
                await call()
            told.append("done")
        except (ConvstoreError, TimeoutError) as error:
            told.append(getattr(error, "code", "hangs"))
    await store.close()
    return told

async def parent():
    config = StoreConfig(url=sys.argv[1], archive_dir=sys.argv[2])
    async with open_store(config) as store:
        await store.sessions.get_or_create("s-1")
        await store.turns.append("s-1", role="user", content="of the parent")
        yield store
        await store.turns.append("s-1", role="user", content="of the parent again")
        report([turn.content for turn in await store.turns.window("s-1")])

with asyncio.Runner() as runner:
    life = parent()
    store = runner.run(life.__anext__())
    reading, writing = os.pipe()
    # Python 3.12 and later warn of just what is tried here.
    warnings.simplefilter("ignore", DeprecationWarning)
    if os.fork() == 0:
        told = asyncio.run(child(store))
        os.write(writing, ",".join(told).encode())
        os._exit(0)
    os.close(writing)
    report(os.read(reading, 1000).decode().split(","))
    os.wait()
    try:
        runner.run(life.__anext__())
    except StopAsyncIteration:
        pass
"""


def test_a_forked_process_is_told_to_open_its_own(
    database_url: str, archive_dir: Any, run_processes: Callable[..., list[list[Any]]]
) -> None:
    ((told, window),) = run_processes(1, FORKED, database_url, archive_dir)

    assert told == ["config", "config", "config"]
    assert window == ["of the parent", "of the parent again"]


async def test_another_loop_is_told_to_open_its_own(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    def elsewhere() -> None:
        asyncio.run(_write(store))

    with ThreadPoolExecutor(1) as thread:
        beside = asyncio.get_running_loop().run_in_executor(thread, elsewhere)
        async with asyncio.timeout(120):
            with pytest.raises(ConfigError, match="event loop"):
                await beside

    assert (await store.sessions.get("s-1")).turn_count == 0


async def _write(store: Store) -> None:
    await store.turns.append("s-1", role="user", content="from elsewhere")
