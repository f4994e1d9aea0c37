"""`import convstore` is light."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable

from benchmarks.bench import Bench, Goal, Row

LIMIT_MS = 150
HEAVY = ("sqlalchemy", "pydantic", "apscheduler", "fastapi", "typer", "alembic")


def measure(bench: Bench) -> Iterable[Row]:
    """Wall time beyond that of an empty program, best of several."""
    repeats = bench.scaled(15, 5)
    empty, ours = _best_ms("pass", repeats), _best_ms("import convstore", repeats)
    listed = subprocess.run(
        [sys.executable, "-c",
         "import convstore, json, sys; print(json.dumps(sorted(sys.modules)))"],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    heavy = [name for name in HEAVY if name in json.loads(listed.stdout)]
    taken = round(ours - empty)
    yield Row(
        "import convstore",
        "none",
        f"under {LIMIT_MS} ms, no framework",
        f"{taken} ms, loads {', '.join(heavy) or 'none of them'}",
        taken < LIMIT_MS and not heavy,
        {"empty_ms": round(empty), "import_ms": round(ours), "heavy": heavy},
    )


def _best_ms(program: str, repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        best = min(best, time.perf_counter() - started)
    return best * 1e3


GOAL = Goal("import_time", measure)
