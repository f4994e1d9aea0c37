"""One ledger under many processes: sums, strikes and pins as if one had done it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convstore import Store

PROCESSES = 8
COSTS = 1_000
REPEATS = 40

OPEN = """
import asyncio, sys
from convstore import Limits, StoreConfig, open_store

def config():
    # Eight processes want one row lock: on a slow machine the last of a thousand
    # writes queued at once waits for long.
    patient = Limits(busy_timeout_s=120)
    return StoreConfig(url=sys.argv[1], archive_dir=sys.argv[2], limits=patient)
"""

SPEND = (
    OPEN
    + f"""
async def main():
    async with open_store(config()) as store:
        wait_for_all()
        for start in range(0, {COSTS}, 100):
            await asyncio.gather(*(
                store.ledger.add_cost(f"s-{{n % 2}}", micros=1 + n % 7)
                for n in range(start, start + 100)
            ))

asyncio.run(main())
"""
)

REPEAT = (
    OPEN
    + f"""
async def main():
    async with open_store(config()) as store:
        wait_for_all()
        record = store.ledger.record_request
        report([await record("s-0", "h") for _ in range({REPEATS})])

asyncio.run(main())
"""
)

ROUTE = (
    OPEN
    + """
async def main():
    async with open_store(config()) as store:
        wait_for_all()
        models = set()
        for number in range(20):
            model = f"routed-{INDEX}"
            pinned = await store.ledger.pin("s-0", model=model, tier="large")
            raised = await store.ledger.escalate("s-0")
            await store.ledger.record_request("s-0", "h")
            models |= {(pinned.model, pinned.tier), (raised.model, raised.tier)}
        report(sorted(models))

asyncio.run(main())
"""
)

RunProcesses = Callable[..., list[list[Any]]]


@pytest.mark.slow
async def test_costs_of_eight_processes_end_with_the_exact_sum(
    store: Store, database_url: str, archive_dir: Path, run_processes: RunProcesses
) -> None:
    await store.sessions.get_or_create("s-0", user_id="u-0")
    await store.sessions.get_or_create("s-1", user_id="u-1")

    run_processes(
        PROCESSES, SPEND, database_url, archive_dir, together=True, timeout_s=800
    )

    spent = [
        PROCESSES * sum(1 + n % 7 for n in range(COSTS) if n % 2 == each)
        for each in (0, 1)
    ]
    for each in (0, 1):
        assert (await store.ledger.get(f"s-{each}")).cost_micros == spent[each]
        assert await store.ledger.cost(user_id=f"u-{each}") == spent[each]
    assert await store.ledger.cost() == sum(spent)


@pytest.mark.mostly_slow("postgres")
async def test_strikes_are_counted_right_when_processes_race(
    store: Store, database_url: str, archive_dir: Path, run_processes: RunProcesses
) -> None:
    await store.sessions.get_or_create("s-0")
    await store.ledger.pin("s-0", model="m", tier="small")

    reported = run_processes(4, REPEAT, database_url, archive_dir, together=True)

    # One after the other, the requests would count 0, then 1 2 3 again and again.
    total = 4 * REPEATS
    expected = Counter([0, *(1 + n % 3 for n in range(total - 1))])
    assert Counter(n for (strikes,) in reported for n in strikes) == expected
    entry = await store.ledger.get("s-0")
    assert (entry.request_count, entry.strikes) == (total, (total - 1) % 3)
    assert entry.tier == "large"


@pytest.mark.mostly_slow("sqlite")
async def test_what_the_user_chose_outlasts_every_process_that_routes(
    store: Store, database_url: str, archive_dir: Path, run_processes: RunProcesses
) -> None:
    await store.sessions.get_or_create("s-0")
    await store.ledger.pin("s-0", model="chosen", tier="small", user_explicit=True)

    reported = run_processes(4, ROUTE, database_url, archive_dir, together=True)

    assert reported == [[[["chosen", "small"]]]] * 4
    entry = await store.ledger.get("s-0")
    assert (entry.model, entry.tier, entry.user_explicit) == ("chosen", "small", True)
    assert entry.request_count == 80
