"""`python -m convstore.testing crash|race|isolation OPENER PLACE`: a report in JSON.

Exit status 0 when nothing is wrong, 1 when something is, 2 when it was asked wrongly.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings

from convstore.errors import ConfigError
from convstore.testing.chat_isolation import isolation
from convstore.testing.chat_lab import crash, race
from convstore.testing.chat_store import load


def main() -> int:
    """Run one trial, and print its report as one line."""
    parser = argparse.ArgumentParser(prog="python -m convstore.testing")
    parser.add_argument("trial", choices=("crash", "race", "isolation"))
    parser.add_argument("opener", help="module:function, or path/of/file.py:function")
    parser.add_argument("where", help="an empty place, in the words of the opener")
    parser.add_argument("--kills", type=int, default=20, help="crash: how many")
    parser.add_argument("--seed", type=int, default=7, help="crash: deals the moments")
    parser.add_argument("--writers", type=int, default=30, help="race: how many")
    parser.add_argument("--processes", type=int, default=3, help="race: over how many")
    parser.add_argument("--calls", type=int, default=4, help="race: of each writer")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")  # the tried store's own
    try:
        opener = load(asked.opener)
    except ConfigError as error:
        parser.error(str(error))
    if asked.trial == "crash":
        report = crash(opener, asked.where, kills=asked.kills, seed=asked.seed)
        told = report.as_json()
    elif asked.trial == "race":
        sizes = (asked.writers, asked.processes, asked.calls)
        writers, processes, calls = sizes
        told = race(
            opener, asked.where, writers=writers, processes=processes, calls=calls
        ).as_json()
    else:
        told = isolation(opener, asked.where).as_json()
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if told["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
