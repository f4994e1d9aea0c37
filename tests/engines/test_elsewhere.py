"""Engines read the archive without this library, as the page of its format says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convstore import Store
from tests.integration.archives import archived
from tests.summary import leave_out, needs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "archive-format.md"
BLOCKS = dict(
    re.findall(r"^```python\n# (\w+)\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
)
PACKAGES = {"DuckDB": "duckdb", "Polars": "polars", "Dask": "dask", "Spark": "pyspark"}


def test_every_engine_of_the_page_is_run() -> None:
    assert BLOCKS.keys() == PACKAGES.keys()


@pytest.mark.parametrize("name", PACKAGES)
async def test_an_engine_reads_every_frame(
    store: Store, archive_dir: Path, name: str, request: pytest.FixtureRequest
) -> None:
    """Two segments of several sessions each: whoever stops at a frame counts less."""
    needs(PACKAGES[name])
    if name == "Spark" and shutil.which("java") is None:
        leave_out(request.config, "the archive on Spark", "needs Java")
    await archived(store, "s-1", "s-2", "s-3")
    await archived(store, "s-4", "s-5")

    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        [sys.executable, "-c", BLOCKS[name]],
        cwd=archive_dir,
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3_000:]
    assert done.stdout.split()[-1] == "15", done.stdout
