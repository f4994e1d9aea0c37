"""Runs the verifier over data sets and gives a verdict for each.

A process of its own: the verifier turns logging and warnings off for itself. It goes
on until its input ends, since the libraries take longer to load than most data sets to
judge: each line of input is JSON, a list of command lines for the verifier, and each
line of output has the verdicts in that order.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Any


def main() -> None:
    """Answer every line."""
    spec = importlib.util.spec_from_file_location("verifier", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    verifier: Any = importlib.util.module_from_spec(spec)
    # What a library prints must not be taken for an answer.
    with os.fdopen(os.dup(1), "w") as outgoing:
        os.dup2(2, 1)
        spec.loader.exec_module(verifier)
        for line in sys.stdin:
            verdicts = [_verdict(verifier, asked) for asked in json.loads(line)]
            print(json.dumps(verdicts), file=outgoing, flush=True)


def _verdict(verifier: Any, asked: list[str]) -> dict[str, Any]:
    code = verifier.main(asked, quiet=True)
    items = verifier.main.last.items
    why = [f"{i['stage']}: {i['text']}" for i in items if i["level"] == "FAIL"]
    return {"accepted": code == 0, "code": code, "why": why}


if __name__ == "__main__":
    main()
