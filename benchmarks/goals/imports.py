"""Another tool's export beside the same turns as plain messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from benchmarks import importing
from benchmarks.bench import Bench, Goal, Row, times

AT_LEAST = 0.5
FLAT = 1.2


def measure(bench: Bench) -> Iterable[Row]:
    """By processor time; and the memory of ten times as many."""
    count = bench.scaled(20_000, 500)
    runs = importing.runs(bench.folder, count)
    tree, plain = runs["chatgpt", count], runs["messages", count]
    few = runs["chatgpt", max(1, count // 10)]
    ratio = times(tree.rate, plain.rate)
    yield Row(
        f"import of {count:,} conversations of ChatGPT's shape, beside messages",
        "SQLite",
        f"{AT_LEAST} x",
        f"{ratio} x ({tree.rate:,.0f} against {plain.rate:,.0f} turns for a second of "
        "the processor)",
        ratio >= AT_LEAST,
        {"chatgpt": asdict(tree), "messages": asdict(plain)},
    )
    more = times(tree.rss_mb, few.rss_mb)
    yield Row(
        f"peak memory of an import of {count:,} conversations, beside a tenth",
        "SQLite",
        f"under {FLAT} x",
        f"{more} x ({tree.rss_mb:.0f} MB against {few.rss_mb:.0f} MB)",
        more < FLAT,
        {"few": asdict(few), "many": asdict(tree)},
    )


GOAL = Goal("imports", measure)
