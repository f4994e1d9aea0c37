"""`python -m benchmarks.conformance`: the conformance kit on the stores that are
installed here; what was found of others before is kept.

No figure of it is a time: it can be run beside anything else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import report
from benchmarks.bench import Bench, postgres_server
from benchmarks.conformance_table import RESULTS, STORES, WRITERS, Found, Store
from convstore.errors import ConfigError
from convstore.testing.chat_lab import run
from convstore.vocabulary.version import __version__

TRIALS = ("crash", "race", "isolation")
KILLS, CALLS = 20, 2


def main() -> int:
    """Try the stores named, or all that are installed; keep what was found."""
    names = [store.opener for store in STORES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance")
    parser.add_argument("name", nargs="*", help=f"which: {' '.join(names)}")
    parser.add_argument("--postgres", metavar="URL", help="a server; else one is begun")
    parser.add_argument("--trial", choices=TRIALS, action="append", help="only this")
    asked = parser.parse_args()
    if unknown := set(asked.name) - set(names):
        parser.error(f"no such store: {', '.join(sorted(unknown))}")
    found: Found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    with ExitStack() as stack:
        url = asked.postgres or stack.enter_context(postgres_server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(True, url, folder)
        for store in STORES:
            if store.opener not in (asked.name or names):
                continue
            if (release := _release(store.package)) is None:
                print(f"NOT TRIED: {store.package}: not installed", file=sys.stderr)
                continue
            kept = found.setdefault(store.opener, {})
            kept["release"] = release
            for database in bench.databases:
                told = _tried(bench, store, database, asked.trial or TRIALS)
                kept.setdefault(database, {}).update(told)
                text = json.dumps(found, indent=1, sort_keys=True)
                RESULTS.write_text(text + "\n", "utf-8")
    report.publish_conformance()
    return 0


def _release(package: str) -> str | None:
    if package == "convstore":
        return __version__  # what is tried is this checkout
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _tried(bench: Bench, store: Store, database: str, trials: Sequence[str]) -> Found:
    """Each trial on an empty database."""
    reports = {}
    for trial in trials:
        print(f"{store.opener} on {database}: {trial} …", file=sys.stderr, flush=True)
        options = {"kills": KILLS} if trial == "crash" else {}
        options |= {"writers": WRITERS, "calls": CALLS} if trial == "race" else {}
        with bench.database(database) as where:
            try:
                reports[trial] = run(trial, store.opens, where, **options)
            except ConfigError as error:
                reports[trial] = {"failed": type(error).__name__}
                print(f"NOT TRIED: {error}", file=sys.stderr)
    return reports


if __name__ == "__main__":
    sys.exit(main())
