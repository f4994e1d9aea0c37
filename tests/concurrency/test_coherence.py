"""Several processes on the same sessions through the hot tier: no read is older than
the stated bound, nor than the reader's own last write, whatever happens to Redis.

CONVSTORE_TEST_COHERENCE_SECONDS makes the run longer; scripts/coherence-test does, and
shows what was measured.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convstore import StoreConfig, open_store
from tests.processes import Process
from tests.servers import RedisServer

WORKER = Path(__file__).with_name("hot_worker.py")
SECONDS = float(os.environ.get("CONVSTORE_TEST_COHERENCE_SECONDS", "3"))
Start = Callable[..., Process]


@pytest.fixture
def run(
    start_process: Start, tmp_path: Path
) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    def run_workers(
        url: str, kind: str, redis: str, count: int, disturb: Callable[[], None]
    ) -> list[dict[str, Any]]:
        given = (url, tmp_path / "archive", kind, redis, tmp_path / "log", SECONDS)
        workers = [start_process(WORKER, *given, index=n) for n in range(count)]
        for worker in workers:
            worker.wait_until_waiting()
        for worker in workers:
            worker.release()
        disturbing = threading.Thread(target=disturb)
        disturbing.start()
        results = [list(worker.reports()) for worker in workers]
        disturbing.join()
        for worker, result in zip(workers, results, strict=True):
            assert len(result) == 1, worker.errors()[-3000:]
        return [result[0] for result in results]

    return run_workers


async def check(url: str, results: list[dict[str, Any]], log: str) -> None:
    """No worker saw a fault, and every acknowledged turn is in the database."""
    assert [result["faults"] for result in results] == [[]] * len(results)
    assert all(result["reads"] > 0 for result in results)
    assert sum(result["hits"] for result in results) > 0
    wrote = [line.split()[1:] for line in log.splitlines()]
    assert wrote
    async with open_store(StoreConfig(url=url)) as store:
        for session_id in {session_id for session_id, _ in wrote}:
            stored = await store.turns.window(session_id, limit=1)
            acknowledged = [int(seq) for name, seq in wrote if name == session_id]
            assert len(acknowledged) == len(set(acknowledged)) == stored[0].seq


def tell(title: str, results: list[dict[str, Any]]) -> None:
    """What was measured, for who runs this with -s."""
    total: Counter[str] = Counter()
    for result in results:
        total.update({k: v for k, v in result.items() if isinstance(v, int)})
    oldest = max(result["oldest_s"] for result in results)
    print(
        f"\n{title}: {len(results)} processes, {SECONDS:.0f} s: "
        f"{total['reads']:,} reads and {total['writes']:,} writes without an error; "
        f"the oldest read was {oldest * 1000:.0f} ms behind; {total['hits']:,} hits "
        f"({total['validations']:,} compared), {total['misses']:,} misses, "
        f"{total['errors']} times the server was found away"
    )


async def make_sessions(url: str) -> None:
    async with open_store(StoreConfig(url=url)) as store:
        for number in range(4):
            await store.sessions.get_or_create(f"s-{number}")


def nothing() -> None:
    """No disturbance."""


@pytest.mark.slow
async def test_processes_with_a_memory_each_keep_the_bound(
    database_url: str, run: Any, tmp_path: Path
) -> None:
    await make_sessions(database_url)

    results = run(database_url, "memory", "", 4, nothing)

    tell(f"a memory each, {database_url.partition(':')[0]}", results)
    await check(database_url, results, (tmp_path / "log").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("server", ["redis", "valkey"])
async def test_processes_that_share_a_server_keep_the_bound(
    postgres_url: str,
    server: str,
    run: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    server_url = request.getfixturevalue(f"{server}_url")
    await make_sessions(postgres_url)

    results = run(postgres_url, "redis", server_url, 4, nothing)

    tell(f"one {server}, postgresql", results)
    await check(postgres_url, results, (tmp_path / "log").read_text())


@pytest.mark.slow
async def test_redis_may_die_come_back_empty_be_slow_and_hang(
    postgres_url: str, own_redis: RedisServer, run: Any, tmp_path: Path
) -> None:
    await make_sessions(postgres_url)

    def disturb() -> None:
        # Pauses between blows, not waits for anything: the workers run by the clock.
        step = SECONDS / 6
        pause = threading.Event()
        pause.wait(step)
        own_redis.kill()
        pause.wait(step)
        for file in own_redis.folder.glob("*.rdb"):
            file.unlink()
        own_redis.start()
        pause.wait(step)
        slow_down(own_redis.url, step)
        own_redis.pause()
        pause.wait(step)
        own_redis.resume()

    results = run(postgres_url, "redis", own_redis.url, 4, disturb)

    tell("Redis killed, restarted empty, slow, hanging, postgresql", results)
    await check(postgres_url, results, (tmp_path / "log").read_text())


def slow_down(url: str, seconds: float) -> None:
    """Let the server answer nobody for most of the time, within the clients' limit."""
    import redis

    end = time.monotonic() + seconds
    with redis.Redis.from_url(url) as client:
        while time.monotonic() < end:
            client.client_pause(70)
            # It answers this when the pause is over.
            client.ping()
