"""The newest twenty turns of a session, from the hot tier."""

from __future__ import annotations

import os
from collections.abc import Iterable

from benchmarks.bench import Bench, Goal, Row, best_of, times
from benchmarks.contestants import PEERS, REDIS

AT_LEAST = 200
TIERS = {"memory": "convstore_warm", "Redis": "convstore_redis"}


def measure(bench: Bench) -> Iterable[Row]:
    """With the default bound, against the best peer, none of which keeps anything warm.

    The tier in memory compares each entry with the database once a second. With Redis,
    each read asks the server whether what is here is still the same.
    """
    tiers = TIERS if REDIS in os.environ else {"memory": TIERS["memory"]}
    for database in bench.databases:
        figures = bench.rounds(
            "benchmarks.workloads:windows",
            database,
            (*tiers.values(), *PEERS),
            reads=bench.scaled(1500, 300),
        )
        peer, rate = best_of(figures, PEERS)
        for tier, contestant in tiers.items():
            ours = figures[contestant]["per_s"]
            ratio = times(ours, rate)
            yield Row(
                f"window of 20, warm in {tier}",
                database,
                f"{AT_LEAST} x" if tier == "memory" else "told, no goal",
                f"{ratio} x ({1e6 / ours:.1f} us against {1e6 / rate:.0f} us of {peer})"
                if rate
                else f"{1e6 / ours:.1f} us; no peer is installed",
                ratio >= AT_LEAST or tier != "memory",
                figures,
            )


GOAL = Goal("warm_windows", measure)
