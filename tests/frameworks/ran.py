"""Which modules of tests ran, over all environments together.

    CONVSTORE_TEST_RAN=FILE pytest tests/frameworks     # in each environment
    python -m tests.frameworks.ran FILE

A module is left out where its framework is not, so that one which is left out
everywhere would go unseen. What ran is noted in a file; the second command names the
modules of which no test is in it, and fails.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = "CONVSTORE_TEST_RAN"
_noted: set[str] = set()


def note(report: pytest.TestReport) -> None:
    """Write the module of a test that was carried out, whatever came of it."""
    path, module = os.environ.get(FILE), report.nodeid.partition("::")[0]
    if path is None or report.when != "call" or report.skipped or module in _noted:
        return
    _noted.add(module)
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{module}\n")


def not_run(ran: Iterable[str]) -> list[str]:
    """The modules of adapters' tests that are not among `ran`, in order."""
    known = (ROOT / "tests" / "frameworks").rglob("test_*.py")
    return sorted({str(path.relative_to(ROOT)) for path in known} - set(ran))


def main(path: str) -> int:
    missing = not_run(Path(path).read_text("utf-8").split())
    for module in missing:
        print(f"{module} ran in no environment: a package that it needs is missing")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
