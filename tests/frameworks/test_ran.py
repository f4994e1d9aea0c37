"""A module of tests that is left out in every environment is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from tests.frameworks import ran

ALL = ran.not_run([])
HERE = "tests/frameworks/test_ran.py"


def report(
    module: str,
    when: Literal["setup", "call"],
    outcome: Literal["passed", "failed", "skipped"],
) -> pytest.TestReport:
    node = f"{module}::test_something[sqlite]"
    return pytest.TestReport(node, (module, 1, ""), {}, outcome, None, when)


@contextmanager
def noting(file: Path | None) -> Iterator[None]:
    """Notes go to this file, or nowhere; outside, those on this very run go on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ran, "_noted", set())
        if file is None:
            patch.delenv(ran.FILE, raising=False)
        else:
            patch.setenv(ran.FILE, str(file))
        yield


def test_what_was_only_left_out_did_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ran.txt"
    with noting(file):
        for module in ALL[1:-1]:
            ran.note(report(module, "setup", "passed"))
            ran.note(report(module, "call", "passed"))
        ran.note(report(ALL[0], "call", "failed"))
        ran.note(report(ALL[-1], "setup", "passed"))
        ran.note(report(ALL[-1], "call", "skipped"))

        assert len(ALL) > 20
        assert HERE in ALL
        assert ran.main(str(file)) == 1
        assert capsys.readouterr().out.startswith(f"{ALL[-1]} ran in no environment")
        ran.note(report(ALL[-1], "call", "passed"))
        assert ran.main(str(file)) == 0


def test_nothing_is_noted_where_nobody_asks() -> None:
    with noting(None):
        ran.note(report(HERE, "call", "passed"))

        assert ran._noted == set()
