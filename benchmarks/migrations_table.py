"""The table of what each revision takes, made of what `benchmarks.migrations` kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "migrations.json"
MILLION = 1_000_000
LOCKS_OUT = {
    "AccessExclusiveLock": "all",
    "ExclusiveLock": "writers",
    "ShareLock": "writers",
    "ShareRowExclusiveLock": "writers",
}
"""Whom a lock of PostgreSQL keeps from a table; weaker ones keep nobody away."""

Found = dict[str, Any]


def table(found: Found) -> str:
    """What is shown of it in `docs/howto/upgrade.md`: a line a revision, newest first,
    and one of all of them in one transaction."""
    turns = found["PostgreSQL"]["filled"]["turns"]
    sizes = f"{turns:,} turns", f"{MILLION:,}, by arithmetic"
    heads = [f"{name}, {size}" for name in _BOTH for size in sizes]
    lines = [
        f"| revision | {' | '.join(heads)} | who waits on PostgreSQL, {sizes[0]} |",
        "| --- " * 6 + "|",
    ]
    for revision in sorted(found["PostgreSQL"]["filled"]["revisions"], reverse=True):
        lines.append(_line(found, f"`{revision}`", revision))
    return "\n".join([*lines, _line(found, "all in one", "whole")])


def _line(found: Found, named: str, revision: str) -> str:
    cells = [named]
    for database in _BOTH:
        more = rows_cost(found[database], revision)
        factor = MILLION / found[database]["filled"]["turns"]
        cells += [_shown(more, _LEAST), _shown(more * factor, _LEAST * factor)]
    cells.append(_waiting(_kept(found["PostgreSQL"]["filled"], revision)))
    return f"| {' | '.join(cells)} |"


def _kept(found: Found, revision: str) -> Found:
    kept: Found = found["revisions"].get(revision) or found[revision]
    return kept


def rows_cost(found: Found, revision: str) -> float:
    """Processor time of client and server with the rows, less that without any."""
    filled, empty = (
        sum(_kept(found[kind], revision)[f"{side}_s"] for side in ("client", "server"))
        for kind in ("filled", "empty")
    )
    return float(max(0.0, filled - empty))


_BOTH = ("SQLite", "PostgreSQL")
_LEAST = 0.05
"""Seconds below which two runs of the same differ by themselves."""


def _shown(value: float, least: float = 0.01) -> str:
    if value < least:
        return f"under {least:.2g} s"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def _waiting(kept: Found) -> str:
    """Who is kept from which tables, the longest first; by the clock, with the rows."""
    told: list[tuple[float, str]] = []
    for name, modes in kept["locks"].items():
        if re.fullmatch("alembic_version|convstore_version|schema_info", name):
            continue  # asked by migrations and workers alone
        longest = 0.0
        for who in ("all", "writers"):
            each = (held for mode, held in modes.items() if LOCKS_OUT[mode] == who)
            held = max(each, default=0.0)
            # Writers wait as long as all do, and need be told when they wait longer.
            if held > longest:
                told.append((held, f"{who} of `{name}` {_shown(held)}"))
            longest = max(longest, held)
    return "; ".join(text for _, text in sorted(told, reverse=True)) or "nobody"
