"""What a command costs before it does anything, by processor time."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Sequence

from benchmarks.bench import Bench, Goal, Row, times

HELP_S = 0.25
AT_MOST = 2.0


def measure(bench: Bench) -> Iterable[Row]:
    """`--help` by itself, and a list of no sessions beside it."""
    repeats = bench.scaled(12, 3)
    home = bench.folder / "home"
    home.mkdir()
    environment = {**os.environ, "CONVSTORE_HOME": str(home)}
    _spent(["db", "upgrade"], environment)
    help_s = min(_spent(["--help"], environment) for _ in range(repeats))
    list_s = min(_spent(["sessions", "list"], environment) for _ in range(repeats))
    yield Row(
        "convstore --help",
        "none",
        f"under {HELP_S} s of the processor",
        f"{help_s:.2f} s",
        help_s < HELP_S,
        {"help_s": help_s},
    )
    ratio = times(list_s, help_s)
    yield Row(
        "convstore sessions list, beside --help",
        "SQLite",
        f"at most {AT_MOST:g} x",
        f"{ratio} x ({list_s:.2f} s against {help_s:.2f} s of the processor)",
        ratio <= AT_MOST,
        {"help_s": help_s, "list_s": list_s},
    )


def _spent(arguments: Sequence[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "convstore", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


GOAL = Goal("command_line", measure)
