"""Processes are killed in the middle of writes through adapters, while what they write
to is archived and purged: nothing that was acknowledged is lost, nothing is there in
part, and the store's own invariants hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.frameworks import is_here
from tests.frameworks.writers import PACKAGES

HERE = [name for package, name in PACKAGES.items() if is_here(package)]


@pytest.mark.crash
@pytest.mark.skipif(not HERE, reason="no framework is here")
def test_nothing_acknowledged_is_lost_and_nothing_is_half(
    database_url: str, archive_dir: Path
) -> None:
    program = [sys.executable, "-m", "tests.frameworks.killed", database_url]
    done = subprocess.run(
        [*program, str(archive_dir), "5", "7"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert sorted(report["found"]) == sorted(HERE)
    assert report["acknowledged"] >= 5 * len(HERE)
    assert min(report["found"].values()) > 0
