"""Processes are killed in the middle of writes through adapters: nothing that was
acknowledged is lost, and nothing is there in part."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("agents")
pytest.importorskip("google.adk")
pytest.importorskip("langgraph.graph")
pytest.importorskip("pydantic_ai")


@pytest.mark.crash
def test_nothing_acknowledged_is_lost_and_nothing_is_half(database_url: str) -> None:
    command = [sys.executable, "-m", "tests.frameworks.killed", database_url, "5", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-2_000:]
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["acknowledged"] >= 5 * 4
    assert min(report["found"].values()) > 0
