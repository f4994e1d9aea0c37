"""The application of the page runs: its store stays open for as long as it does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.test_examples import ROOT

PAGE = ROOT / "docs" / "howto" / "frameworks" / "chainlit.md"
_APP = re.compile(r'^```python notest title="app.py"\n(.*?)^```$', re.M | re.S)
# What nobody holds is gone by then, as in a server that has run for a while.
_ASKED = """
import asyncio
import gc

gc.collect()
assert asyncio.run(data_layer().get_user("ann")) is None
"""


def test_the_store_of_the_application_stays_open(tmp_path: Path) -> None:
    found = _APP.search(PAGE.read_text("utf-8"))
    assert found is not None
    (tmp_path / "app.py").write_text(found[1] + _ASKED, "utf-8")
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=tmp_path,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")},
            "CHAINLIT_APP_ROOT": str(tmp_path),
            "CHAINLIT_AUTH_SECRET": "of the test",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
