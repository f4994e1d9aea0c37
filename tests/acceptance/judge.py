"""Runs the verifier over data sets and prints a verdict for each.

A process of its own: the verifier turns logging and warnings off for itself. Data sets
come as JSON on standard input, `[[folder, format], …]`, verdicts go out in that order.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any

# Fewer rows and one step: enough to see that a trainer takes what the rules passed.
QUICK = "--sample 60 --train-rows 8 --steps 1".split()


def main() -> None:
    spec = importlib.util.spec_from_file_location("verifier", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    verifier: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(verifier)
    verdicts = []
    for folder, name in json.load(sys.stdin):
        asked = [folder, name, "--strict", "--require-clients", *QUICK]
        code = verifier.main(asked, quiet=True)
        items = verifier.main.last.items
        why = [f"{i['stage']}: {i['text']}" for i in items if i["level"] == "FAIL"]
        verdicts.append({"accepted": code == 0, "code": code, "why": why})
    json.dump(verdicts, sys.stdout)


if __name__ == "__main__":
    main()
