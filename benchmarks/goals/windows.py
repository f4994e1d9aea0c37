"""The newest twenty turns of a session, from the database."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.bench import Bench, Goal, Row, best_of, times
from benchmarks.contestants import PEERS

# The bare driver has 3.1 x on PostgreSQL: most of a window is the trip.
AT_LEAST = {"SQLite": 7, "PostgreSQL": 2.8}


def measure(bench: Bench) -> Iterable[Row]:
    """Against the best peer; the bare driver's figure stands beside it."""
    for database in bench.databases:
        figures = bench.rounds(
            "benchmarks.workloads:windows",
            database,
            ("convstore", "bare", *PEERS),
            reads=bench.scaled(1500, 300),
        )
        ours = figures["convstore"]["per_s"]
        peer, rate = best_of(figures, PEERS)
        bare = 1e6 / figures["bare"]["per_s"]
        ratio = times(ours, rate)
        yield Row(
            "window of 20, cold",
            database,
            f"{AT_LEAST[database]} x",
            f"{ratio} x ({1e6 / ours:.0f} us against {1e6 / rate:.0f} us of {peer}; "
            f"the bare driver {bare:.0f} us)"
            if rate
            else f"{1e6 / ours:.0f} us; no peer is installed",
            ratio >= AT_LEAST[database],
            figures,
        )


GOAL = Goal("windows", measure)
