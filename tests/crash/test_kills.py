"""Workers killed at every announced step and at random lose nothing acknowledged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convstore.archive.steps import BACKUP_STEPS, STEPS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]

# On their way, these need hours to pass between two crashes, or a crash in the one
# moment before: the long run reaches them every time, a hundred kills not always.
RARE = {
    "recover.purge",
    "recover.remove",
    "gc.mark",
    "gc.unlink",
    # Of copies that an older release left: `test_every_step` has some.
    "erase.actors_noted",
}


@pytest.mark.slow
@pytest.mark.parametrize(("database", "kills"), [("sqlite", 25), ("postgres", 15)])
def test_nothing_acknowledged_is_lost_by_kills(
    tmp_path: Path, database: str, kills: int, request: pytest.FixtureRequest
) -> None:
    _nothing_is_lost(tmp_path, database, kills, request)


@pytest.mark.whole
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_nothing_acknowledged_is_lost_by_a_hundred_kills(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    report = _nothing_is_lost(tmp_path, database, 100, request)

    # One that is listed must be reached.
    assert set(report["never_reached"]) <= RARE


def _nothing_is_lost(
    folder: Path, database: str, kills: int, request: pytest.FixtureRequest
) -> dict[str, Any]:
    if database == "postgres":
        request.getfixturevalue("postgres_databases")  # says so if there is none
    report = campaign(folder, "--database", database, "--kills", str(kills))

    assert report["violations"] == []
    assert report["kills"] >= kills
    assert report["acknowledged"] > 0
    # A step that is announced must be listed.
    assert report["not_listed"] == []
    # A worker adopts the archive in the fourth round, and dies of it.
    assert {step for step in STEPS if "adopt." in step}.isdisjoint(
        report["never_reached"]
    )
    return report


def campaign(folder: Path, *arguments: str) -> dict[str, Any]:
    """A campaign in a process of its own: it forks, and pytest has threads."""
    path = folder / "report.json"
    program = [sys.executable, "-W", "error", "-m", "tests.crash.campaign"]
    done = subprocess.run(
        [*program, *arguments, "--report", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert path.exists(), done.stderr[-3000:]
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return report


def test_every_step_in_the_source_is_listed() -> None:
    announced = set()
    for path in (ROOT / "convstore").rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            for word in line.split('"')[1::2]:
                if "step(" in line and re.fullmatch(r"[a-z]+\.[a-z_.]+", word):
                    announced.add(word)

    assert {"erase.rows", "purge.compared", "write.footer"} <= announced
    assert announced <= {*STEPS, *BACKUP_STEPS}
    assert len(STEPS) == len(set(STEPS))
