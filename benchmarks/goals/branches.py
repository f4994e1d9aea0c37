"""A session with branches costs at most twice what a straight one does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from benchmarks.bench import Bench, Figures, Goal, Row, times
from benchmarks.contestants import TEXT, Target
from benchmarks.workloads import fastest

SHORT_SESSIONS = 1_000
SHAPES = ("straight", "left_once", "said_twice")
VERBS = ("whole_window", "window", "append", "pop", "switch")


def _turns(shape: str, length: int) -> list[dict[str, Any]]:
    """Turns whose last branch has `length` of them."""
    said = [
        {"role": ("user", "assistant")[n % 2], "content": TEXT, "slots": {"n": str(n)}}
        for n in range(length)
    ]
    if shape == "left_once":
        half = length // 2
        return [*said[:half], said[half], said[half] | {"parent_seq": half},
                *said[half + 1 :]]  # fmt: skip
    if shape == "said_twice":
        return [t | {"parent_seq": 2 * n} for n, t in enumerate(said) for _ in "ab"]
    return said


async def beside(target: list[Any], turns: int) -> Figures:
    """Microseconds of each verb, in each shape, among many short sessions."""
    from convstore import open_store
    from convstore.db.migrate import upgrade

    url = Target(*target).url
    await asyncio.to_thread(upgrade, url)
    figures: Figures = {}
    async with open_store(url) as store:
        short = [f"short-{number}" for number in range(SHORT_SESSIONS)]
        await asyncio.gather(*map(store.sessions.get_or_create, short))
        exchange = [{"role": "user", "content": TEXT}] * 4
        await asyncio.gather(*(store.turns.append_many(s, exchange) for s in short))
        for shape in SHAPES:
            await store.sessions.get_or_create(shape)
            await store.turns.append_many(shape, _turns(shape, turns))
        for _ in range(3):  # in turn, so that all meet the same weather
            for shape in SHAPES:
                for verb, taken in (await _verbs(store, shape, turns)).items():
                    key = f"{verb}_{shape}_us"
                    figures[key] = min(figures.get(key, taken), taken)
    return figures


async def _verbs(store: Any, session_id: str, turns: int) -> Figures:
    said = {"role": "user", "content": TEXT, "external_id": "last"}
    tip = (await store.turns.append(session_id, **said)).seq
    parent = (await store.turns.get(session_id, tip)).parent_seq

    async def pop() -> None:
        await store.turns.pop(session_id)
        await store.turns.append(session_id, **said)  # puts it back

    async def switch() -> None:
        await store.turns.switch(session_id, parent)
        await store.turns.switch(session_id, tip)

    taken: Figures = {
        "whole_window": await fastest(
            lambda: store.turns.window(session_id, limit=turns), 5
        ),
        "window": await fastest(lambda: store.turns.window(session_id), 100),
        "pop": await fastest(pop, 20),
        "switch": await fastest(switch, 5),
        "append": await fastest(
            lambda: store.turns.append(session_id, role="user", content=TEXT), 50
        ),
    }
    # As long as it was.
    await store.turns.switch(session_id, tip)
    return taken


def measure(bench: Bench) -> Iterable[Row]:
    """At 2,000 turns, a branch that was left once and one said twice over."""
    turns = bench.scaled(2_000, 500)
    for database in bench.databases:
        figures = bench.run(f"{__name__}:beside", database, turns=turns)
        for verb in VERBS:
            straight = figures[f"{verb}_straight_us"]
            branched = max(figures[f"{verb}_{shape}_us"] for shape in SHAPES[1:])
            ratio = times(branched, straight)
            yield Row(
                f"{verb.replace('_', ' ')} of {turns:,} turns with branches, beside "
                "straight ones",
                database,
                "at most 2 x the time",
                f"{ratio} x ({branched:.0f} us against {straight:.0f} us)",
                ratio <= 2,
                figures if verb == VERBS[0] else {},
            )


GOAL = Goal("branches", measure)
