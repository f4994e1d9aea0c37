"""What is measured of one contestant, inside its own process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.contestants import Target, bare_sqlite, enter, open_contestant
from benchmarks.prototype import open_prototype

enter("prototype", open_prototype)

Figures = dict[str, Any]


async def appends(
    contestant: str, target: list[Any], sessions: int, turns: int
) -> Figures:
    """So many sessions at once, each appending one turn after the other."""
    names = [f"s-{number}" for number in range(sessions)]
    taken: list[float] = []
    async with open_contestant(contestant, Target(*target), names) as (append, _):

        async def one(name: str) -> None:
            for _ in range(turns):
                started = time.perf_counter()
                await append(name)
                taken.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*(one(name) for name in names))
        wall = time.perf_counter() - started
    return _summary(taken, wall)


async def bare_lone(contestant: str, target: list[Any], turns: int) -> Figures:
    """sqlite3 without an event loop: one writer, one commit for each turn."""
    append, _ = bare_sqlite(target[0])
    taken = []
    started = before = time.perf_counter()
    for _ in range(turns):
        append("s-0")
        after = time.perf_counter()
        taken.append(after - before)
        before = after
    return _summary(taken, before - started)


async def windows(contestant: str, target: list[Any], reads: int) -> Figures:
    """The newest twenty of fifty sessions with thirty turns, one read at a time."""
    names = [f"s-{number}" for number in range(50)]
    async with open_contestant(contestant, Target(*target), names) as (append, read):

        async def fill(name: str) -> None:
            for _ in range(30):
                await append(name)

        await asyncio.gather(*(fill(name) for name in names))
        taken = []
        started = before = time.perf_counter()
        for number in range(reads):
            await read(names[number % len(names)])
            after = time.perf_counter()
            taken.append(after - before)
            before = after
    return _summary(taken, before - started)


async def fastest(call: Callable[[], Awaitable[object]], repeats: int) -> float:
    """Microseconds of the faster half of `repeats` calls, on average.

    The slower half is what other users of the machine did.
    """
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - started)
    half = sorted(taken)[: max(1, repeats // 2)]
    return round(sum(half) / len(half) * 1e6, 1)


def _summary(taken: list[float], wall: float) -> Figures:
    taken.sort()
    return {
        "per_s": round(len(taken) / wall),
        "p50_ms": round(taken[len(taken) // 2] * 1e3, 2),
        "p99_ms": round(taken[int(len(taken) * 0.99)] * 1e3, 2),
    }
