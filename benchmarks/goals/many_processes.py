"""Eight processes that append to one session of one SQLite file."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from benchmarks.bench import Bench, Figures, Goal, Row
from benchmarks.contestants import TEXT, Target

PROCESSES = 8
WORST_MS = 1000


async def together(target: list[Any], turns: int) -> Figures:
    """Throughput and waits of eight writers with `turns` appends each."""
    from convstore import open_store

    url = Target(*target).url
    async with open_store(url) as store:
        await store.sessions.get_or_create("s-1")
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.child",
            f"{__name__}:one_writer",
            json.dumps({"url": url, "turns": turns}),
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    outputs = [(await writer.communicate())[0] for writer in writers]
    results = [json.loads(output.splitlines()[-1]) for output in outputs]
    taken = sorted(ms for result in results for ms in result["taken_ms"])
    wall = max(r["ended"] for r in results) - min(r["began"] for r in results)
    async with open_store(url) as store:
        stored = (await store.sessions.get("s-1")).turn_count
    return {
        "per_s": round(len(taken) / wall),
        "p50_ms": round(taken[len(taken) // 2], 2),
        "p99_ms": round(taken[int(len(taken) * 0.99)], 1),
        "worst_ms": round(taken[-1], 1),
        "complete": stored == len(taken) == PROCESSES * turns,
    }


async def one_writer(url: str, turns: int) -> Figures:
    """One of the processes."""
    from convstore import open_store

    taken = []
    async with open_store(url) as store:
        began = time.time()
        for _ in range(turns):
            started = time.perf_counter()
            await store.turns.append("s-1", role="user", content=TEXT)
            taken.append(round((time.perf_counter() - started) * 1e3, 3))
    return {"taken_ms": taken, "began": began, "ended": time.time()}


def measure(bench: Bench) -> Iterable[Row]:
    """No error, no gap, and nobody waits long."""
    turns = bench.scaled(500, 100)
    figures = bench.run(f"{__name__}:together", "SQLite", turns=turns)
    yield Row(
        f"{PROCESSES} processes x {turns} appends to one session",
        "SQLite",
        f"all stored, worst under {WORST_MS} ms",
        f"{figures['per_s']:,} appends/s, p99 {figures['p99_ms']} ms, "
        f"worst {figures['worst_ms']} ms",
        figures["complete"] and figures["worst_ms"] < WORST_MS,
        figures,
    )


GOAL = Goal("many_processes", measure)
