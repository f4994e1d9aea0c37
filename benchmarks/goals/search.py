"""Search: what an index costs an append, how large it is, and what a page costs.

Processor time, not the clock: a page of a busy machine is no slower by it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Any

from benchmarks.bench import Bench, Figures, Goal, Row, times
from benchmarks.contestants import Target
from benchmarks.processor import server_seconds
from benchmarks.search_fill import fill
from benchmarks.search_peers import peers

TENANTS = 1_000
_WORDS = 20_000
_CHARS = 400
QUERIES = {"common": "w00", "prefix": "w012*", "rare": "w1999"}


def _text(dice: random.Random) -> str:
    """A turn of words that are as unequally common as words are."""
    said: list[str] = []
    length = 0
    while length < _CHARS:
        word = f"w{int(_WORDS ** dice.random()):05d}"[: 3 + dice.randrange(4)]
        said.append(word)
        length += len(word) + 1
    return " ".join(said)


def texts_of(turns: int) -> list[str]:
    """What is said in a run of so many turns, the same for everybody; it is said again
    where there are more."""
    dice = random.Random(2)
    return [_text(dice) for _ in range(min(turns, 100_000))]


async def beside(target: list[Any], turns: int) -> Figures:
    """Processor milliseconds of a page of two other tools on the same texts."""
    return dict(await peers(target, texts_of(turns), turns, QUERIES))


async def appends(target: list[Any], mode: str, turns: int) -> Figures:
    """Processor microseconds of an append, of fifty sessions at once, the server's
    included, and bytes."""
    from convstore import StoreConfig, open_store
    from convstore.db.migrate import upgrade
    from convstore.vocabulary.policy import SearchPolicy

    place, dice = Target(*target), random.Random(1)
    await asyncio.to_thread(upgrade, place.url)
    texts = [_text(dice) for _ in range(500)]
    search = SearchPolicy(mode)  # type: ignore[arg-type]
    async with open_store(StoreConfig(url=place.url, search=search)) as store:

        async def one(number: int) -> None:
            for turn in range(turns // 50):
                await store.turns.append(
                    f"s-{number}",
                    role="user",
                    content=texts[(number * 31 + turn) % 500],
                )

        for number in range(50):
            await store.sessions.get_or_create(f"s-{number}")
        began = time.process_time() + await server_seconds(place.postgres)
        await asyncio.gather(*(one(number) for number in range(50)))
        spent = time.process_time() + await server_seconds(place.postgres) - began
        if mode == "deferred":
            await store.search_index.run()
        await store.maintain()
        stats = await store.stats()
        size = stats.database_bytes
    return {"us": spent / turns * 1e6, "bytes": size / turns, "chars": _CHARS}


async def pages(target: list[Any], turns: int) -> Figures:
    """Processor milliseconds of pages of 20, in one tenant of a thousand and in a large
    one, by words that are common and rare; the server's included."""
    from convstore import StoreConfig, open_store
    from convstore.db.migrate import upgrade
    from convstore.vocabulary.policy import SearchPolicy

    place, texts = Target(*target), texts_of(turns)
    await asyncio.to_thread(upgrade, place.url)
    config = StoreConfig(url=place.url, search=SearchPolicy("deferred", 60.0))
    async with open_store(config) as store:
        await fill(store, texts, turns, max(100, turns // TENANTS))
        await store.maintain()
        figures: Figures = {}
        for tenant in ("default", "t-7"):
            of_tenant = store.for_tenant(tenant)
            for name, query in QUERIES.items():
                await of_tenant.search(query)
                began = time.process_time() + await server_seconds(place.postgres)
                for _ in range(20):
                    await of_tenant.search(query)
                ended = time.process_time() + await server_seconds(place.postgres)
                figures[f"{tenant} {name}"] = (ended - began) / 20 * 1e3
    return figures


def measure(bench: Bench) -> Iterable[Row]:
    """An append beside none, the size of the index, a page at a million turns."""
    turns, many = bench.scaled(20_000, 5_000), bench.scaled(1_000_000, 20_000)
    for database in bench.databases:
        work = f"{__name__}:appends"
        cost: dict[str, Figures] = {}
        for _ in range(bench.scaled(5, 1)):  # in turn, and of each the least
            for mode in ("off", "deferred", "inline"):
                found = bench.run(work, database, mode=mode, turns=turns)
                if mode not in cost or found["us"] < cost[mode]["us"]:
                    cost[mode] = found
        rate = times(cost["off"]["us"], cost["deferred"]["us"])
        yield Row(
            "append with deferred indexing, beside none",
            database,
            "0.9 x",
            f"{rate} x ({cost['deferred']['us']:.0f} us against "
            f"{cost['off']['us']:.0f} us; inline {cost['inline']['us']:.0f} us)",
            rate >= 0.9,
            cost,
        )
        added = cost["deferred"]["bytes"] - cost["off"]["bytes"]
        share = times(added, _CHARS)
        yield Row(
            "index, beside the text",
            database,
            "at most 1.1 x",
            f"{share} x ({added:.0f} bytes a turn of {_CHARS})",
            share <= 1.1,
            {},
        )
        page = bench.run(f"{__name__}:pages", database, turns=many)
        slowest = max(page.values())
        yield Row(
            f"page of 20 hits at {many:,} turns",
            database,
            "under 10 ms of processor time",
            ", ".join(f"{name} {ms:.1f}" for name, ms in page.items()),
            slowest < 10,
            page,
        )
        others = bench.run(f"{__name__}:beside", database, turns=many)
        yield Row(
            f"the same pages of others at {many:,} turns",
            database,
            "for comparison",
            ", ".join(f"{name} {ms:.1f}" for name, ms in others.items()),
            True,
            others,
        )


GOAL = Goal("search", measure)
