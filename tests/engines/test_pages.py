"""The pages on engines are run, and their bytes compared with those of one process."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convstore import ManualClock, Store
from tests.docs.test_commands import ROOT, blocks
from tests.integration.test_export_stages import fill
from tests.summary import leave_out, needs

PAGES = {"spark": "pyspark", "ray": "ray"}


@pytest.mark.parametrize("page", PAGES)
async def test_an_export_on_an_engine_has_the_bytes_of_one_process(
    store: Store,
    clock: ManualClock,
    database_url: str,
    archive_dir: Path,
    tmp_path: Path,
    page: str,
    request: pytest.FixtureRequest,
) -> None:
    """Some sessions are archived and some live; the page compares the two exports."""
    needs(PAGES[page])
    if page == "spark" and shutil.which("java") is None:
        leave_out(request.config, "exports on Spark", "needs Java")
    await fill(store, clock, tmp_path)
    await store.close()
    shim = tmp_path / "bin" / "convstore"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convstore "$@"\n')
    shim.chmod(0o755)
    folder = Path(sys.executable).parent
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")},
        "PATH": os.pathsep.join(map(str, (shim.parent, folder, os.environ["PATH"]))),
        "PYTHONPATH": str(ROOT),
        "CONVSTORE_URL": database_url,
        "CONVSTORE_ARCHIVE_DIR": str(archive_dir),
    }
    place = tmp_path / "reader"
    place.mkdir()

    done = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-exc", "\n".join(blocks(f"{page}.md"))],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3_000:]}"
    assert "kto: 9" in done.stdout, done.stdout
    assert len(list((place / "one-process").rglob("*.jsonl"))) >= 4
