"""Real processes, killed while a user is erased over shards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shards.erasing_kills import KILLS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.timeout(600)
def test_an_erasure_over_shards_is_taken_up_wherever_its_worker_was_killed(
    urls: dict[str, Any], tmp_path: Path
) -> None:
    """Before and after the commit of each shard, and while its files are rewritten.

    Steps are the same on both databases; on PostgreSQL, where it takes longer, some.
    """
    numbers = range(len(KILLS)) if urls["url"].startswith("sqlite") else (2, 3, 6)
    settings = {**urls, "archive_dir": str(tmp_path / "archive")}
    notes = tmp_path / "notes"
    notes.mkdir()

    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.shards.erasing_kills"),
            *(json.dumps(settings), str(notes), *map(str, numbers)),
        ],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
    )

    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(numbers), done.stderr
    assert [one for one in found if one["wrong"] or not one["killed"]] == []
    # What the home database has begun is told from then on.
    untold = {one["step"] for one in found if not one["begun"]}
    assert untold <= {"erase.begin 1"}
