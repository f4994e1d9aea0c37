"""Append and window do not depend on how long the session is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from benchmarks.bench import Bench, Figures, Goal, Row, times
from benchmarks.contestants import TEXT, Target
from benchmarks.workloads import fastest

SHORT = 10


async def at_length(target: list[Any], turns: int) -> Figures:
    """Microseconds of an append and a window in a session of 10 and of `turns`."""
    from convstore import open_store
    from convstore.db.migrate import upgrade

    url = Target(*target).url
    await asyncio.to_thread(upgrade, url)
    figures: Figures = {}
    async with open_store(url) as store:
        for name, length in (("short", SHORT), ("long", turns)):
            await store.sessions.get_or_create(name)
            for start in range(0, length, 5_000):
                some = min(5_000, length - start)
                turn = {"role": "user", "content": TEXT}
                await store.turns.append_many(name, [turn] * some)
        for _ in range(3):  # in turn, so that both meet the same weather
            for name in ("short", "long"):
                window = await fastest(lambda: store.turns.window(name), 200)  # noqa: B023
                append = await fastest(
                    lambda: store.turns.append(name, role="user", content=TEXT),  # noqa: B023
                    100,
                )
                for verb, taken in (("window", window), ("append", append)):
                    key = f"{verb}_{name}_us"
                    figures[key] = min(figures.get(key, taken), taken)
    return figures


def measure(bench: Bench) -> Iterable[Row]:
    """At 100,000 turns against 10."""
    turns = bench.scaled(100_000, 10_000)
    for database in bench.databases:
        figures = bench.run(f"{__name__}:at_length", database, turns=turns)
        for verb in ("append", "window"):
            long, short = figures[f"{verb}_long_us"], figures[f"{verb}_short_us"]
            ratio = times(long, short)
            yield Row(
                f"{verb} at {turns:,} turns, beside {SHORT}",
                database,
                "under 1.5 x the time",
                f"{ratio} x ({long:.0f} us against {short:.0f} us)",
                ratio < 1.5,
                figures if verb == "append" else {},
            )


GOAL = Goal("long_sessions", measure)
