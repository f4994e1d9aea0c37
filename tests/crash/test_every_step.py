"""A worker killed at any announced step loses nothing, and the next one finishes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convstore.archive.steps import STEPS

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]


def test_a_worker_killed_at_any_step_loses_nothing(
    tmp_path: Path, database_url: str
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "tests.crash.every_step"),
            *("--url", database_url),
            *("--archive", str(tmp_path / "archive")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["step"]: one["wrong"] for one in found if one["wrong"]} == {}
    assert [one["step"] for one in found] == list(STEPS), done.stderr[-3000:]
