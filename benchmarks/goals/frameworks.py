"""Agent frameworks on our adapters, beside their own SQL backends."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.bench import Bench, Figures, Goal, Row, times

_WORK = "benchmarks.framework_backends"
_CALLS = {
    "openai_agents": "add_items of OpenAI Agents",
    "google_adk": "append_event of Google ADK",
}
_MOST_BYTES = 2_000_000


def measure(bench: Bench) -> Iterable[Row]:
    """Both with the same calls; the better of several rounds."""
    for database in bench.databases:
        for framework, call in _CALLS.items():
            for callers, wanted in ((1, 1.0), (30, 3.0)):
                calls = bench.scaled(300, 60) if callers == 1 else bench.scaled(30, 6)
                given = {"framework": framework, "callers": callers, "calls": calls}
                both = _both(bench, f"{_WORK}:adding", database, given)
                if both is not None:
                    name = f"{call}, {callers} at once" if callers > 1 else call
                    yield _row(name, database, both, wanted)
        turns = {"turns": bench.scaled(200, 40)}
        both = _both(bench, f"{_WORK}:graph", database, turns)
        if both is not None:
            yield _row("a turn of LangGraph", database, both, 1.0)
            yield _room(database, both, turns["turns"])


def _both(
    bench: Bench, work: str, database: str, given: Figures
) -> dict[str, Figures] | None:
    """The figures of theirs and ours; None where one cannot be had."""
    figures = bench.rounds(work, database, ("theirs", "ours"), **given)
    return figures if len(figures) == 2 else None


def _row(name: str, database: str, both: dict[str, Figures], wanted: float) -> Row:
    ours, theirs = both["ours"]["per_s"], both["theirs"]["per_s"]
    ratio = times(ours, theirs)
    told = f"{ratio} x ({ours}/s against {theirs}/s of its own)"
    return Row(name, database, f"{wanted:.0f} x", told, ratio >= wanted, both)


def _room(database: str, both: dict[str, Figures], turns: int) -> Row:
    ours, theirs = both["ours"]["bytes"], both["theirs"]["bytes"]
    told = f"{ours / 1e6:.2f} MB ({theirs / 1e6:.1f} MB of its own)"
    most = _MOST_BYTES * turns / 200
    name = f"{turns} turns of LangGraph, 1 KB each, on disk"
    return Row(name, database, f"{most / 1e6:g} MB", told, ours <= most, both)


GOAL = Goal("frameworks", measure)
