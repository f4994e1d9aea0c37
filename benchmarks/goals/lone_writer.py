"""A lone sequential writer."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.bench import Bench, Figures, Goal, Row, best_of, times
from benchmarks.contestants import PEERS


def measure(bench: Bench) -> Iterable[Row]:
    """Against the bare driver (SQLite), and against the best peer."""
    for database in bench.databases:
        turns = bench.scaled(2000, 400)
        work = "benchmarks.workloads:appends"
        figures = bench.rounds(
            work, database, ("convstore", *PEERS), sessions=1, turns=turns // 4
        )
        ours = figures["convstore"]["per_s"]
        if database == "SQLite":
            figures |= bench.rounds(
                "benchmarks.workloads:bare_lone", database, ("bare",), turns=turns
            )
            yield _beside_bare(ours, database, figures)
        peer, rate = best_of(figures, PEERS)
        ratio = times(ours, rate)
        yield Row(
            "lone writer, beside the best peer",
            database,
            "1 x",
            f"{ratio} x ({ours:,} against {rate:,} appends/s of {peer})",
            ratio > 1,
            figures,
        )


def _beside_bare(ours: float, database: str, figures: dict[str, Figures]) -> Row:
    bare = figures["bare"]["per_s"]
    ratio = times(ours, bare)
    measured = f"{ratio} x ({ours:,} against {bare:,} appends/s)"
    goal = "lone writer, beside bare sqlite3"
    return Row(goal, database, "0.45 x", measured, ratio >= 0.45, {})


GOAL = Goal("lone_writer", measure)
