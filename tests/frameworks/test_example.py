"""The example of one agent under two frameworks, run as its page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("langgraph.graph")
pytest.importorskip("pydantic_ai")

ROOT = Path(__file__).resolve().parents[2]


def test_each_framework_sees_what_was_asked_under_the_other(database_url: str) -> None:
    command = [sys.executable, "-m", "examples.two_frameworks", database_url]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    places = [done.stdout.find(f"Question {number} was") for number in (1, 2, 3)]
    assert -1 not in places
    assert places == sorted(places)
    assert "Question 3 was: Which of them is the oldest?" in done.stdout
