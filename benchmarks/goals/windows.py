"""The newest twenty turns of a session, from the database."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.bench import Bench, Goal, Row, best_of, times
from benchmarks.contestants import PEERS


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
            "3 x",
            f"{ratio} x ({1e6 / ours:.0f} us against {1e6 / rate:.0f} us of {peer}; "
            f"the bare driver {bare:.0f} us)"
            if rate
            else f"{1e6 / ours:.0f} us; no peer is installed",
            ratio >= 3,
            figures,
        )


GOAL = Goal("windows", measure)
