"""The newest twenty turns of a session, from the hot tier."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.bench import Bench, Goal, Row, best_of, times
from benchmarks.contestants import PEERS


def measure(bench: Bench) -> Iterable[Row]:
    """With the tier in memory, whose default bound compares each entry once a second;
    against the best peer, none of which keeps anything warm."""
    for database in bench.databases:
        figures = bench.rounds(
            "benchmarks.workloads:windows",
            database,
            ("convstore_warm", *PEERS),
            reads=bench.scaled(1500, 300),
        )
        ours = figures["convstore_warm"]["per_s"]
        peer, rate = best_of(figures, PEERS)
        ratio = times(ours, rate)
        yield Row(
            "window of 20, warm",
            database,
            "30 x",
            f"{ratio} x ({1e6 / ours:.1f} us against {1e6 / rate:.0f} us of {peer})"
            if rate
            else f"{1e6 / ours:.1f} us; no peer is installed",
            ratio >= 30,
            figures,
        )


GOAL = Goal("warm_windows", measure)
