"""A worker killed at any announced step loses nothing, and the next one finishes.

Steps are the same on both databases: each is tested on one of them, in turn, and with
`-m whole` on both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from convstore.archive.steps import STEPS
from tests.servers import S3Server

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]


# Where objects come to be, take another's place, or go.
IN_A_BUCKET = (
    "write.half_entry",
    "publish.link",
    "restore.after_commit",
    "erase.rewrite.published",
    "erase.rewrite.swapped",
    "recover.remove",
    "gc.unlink",
)
JOINED_IN_A_BUCKET = (
    "compact.published",
    "compact.sealed",
    "compact.resumed",
    "compact.moved",
)


@pytest.mark.parametrize(
    ("database", "step"),
    [("sqlite", "purge.deleted"), ("postgres", "purge.after_commit")],
)
def test_a_worker_killed_while_it_purges_loses_nothing(
    tmp_path: Path, database: str, step: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(f"{database}_url")

    found = _killed(url, str(tmp_path / "archive"), tmp_path, f"--step={step}")

    assert found == {step: []}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "first"), [("sqlite", 0), ("postgres", 1)], ids=["sqlite", "postgres"]
)
def test_a_worker_killed_at_a_step_loses_nothing(
    tmp_path: Path, database: str, first: int, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(f"{database}_url")
    steps = STEPS[first::2]
    only = [f"--step={step}" for step in steps]

    found = _killed(url, str(tmp_path / "archive"), tmp_path, *only)

    assert found == {step: [] for step in steps}


@pytest.mark.whole
def test_a_worker_killed_at_any_step_loses_nothing(
    tmp_path: Path, database_url: str
) -> None:
    found = _killed(database_url, str(tmp_path / "archive"), tmp_path)

    assert found == {step: [] for step in STEPS}


@pytest.mark.mostly_slow("postgres-one")
@pytest.mark.parametrize(
    ("database", "steps"),
    [
        ("sqlite", IN_A_BUCKET),
        ("postgres", JOINED_IN_A_BUCKET),
        ("postgres", ("compact.sealed",)),
        pytest.param("sqlite", STEPS, marks=pytest.mark.whole),
        pytest.param("postgres", STEPS, marks=pytest.mark.whole),
    ],
    ids=["sqlite", "postgres", "postgres-one", "sqlite-whole", "postgres-whole"],
)
def test_a_worker_killed_with_its_archive_in_a_bucket_loses_nothing(
    tmp_path: Path,
    database: str,
    steps: tuple[str, ...],
    s3_server: S3Server,
    bucket: str,
    request: pytest.FixtureRequest,
) -> None:
    url = request.getfixturevalue(f"{database}_url")
    environment = {"CONVSTORE_OBJECT_STORAGE__ENDPOINT": s3_server.url}
    only = [f"--step={step}" for step in steps]

    found = _killed(url, bucket, tmp_path, *only, **environment)

    assert found == {step: [] for step in steps}


def _killed(
    url: str, archive: str, folder: Path, *only: str, **environment: str
) -> dict[str, list[str]]:
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "tests.crash.every_step"),
            *("--url", url, "--archive", archive, "--folder", str(folder)),
            *only,
        ],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found, done.stderr[-3000:]
    return {one["step"]: one["wrong"] for one in found}
