"""The Python blocks of README and docs run as they stand, in the order of the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "quickstart.md",
    *sorted((ROOT / "docs" / "howto").glob("*.md")),
]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.mostly_slow("README", "quickstart", "s*")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = _BLOCK.findall(text)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")},
        "PYTHONPATH": str(ROOT),
    }
    for number, block in enumerate(blocks, 1):
        script = tmp_path / f"block_{number}.py"
        script.write_text(block, encoding="utf-8")

        run = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning:convstore", str(script)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

        assert run.returncode == 0, f"block {number} of {page.name}:\n{run.stderr}"
        if page.stem == "quickstart":  # which says what its examples print
            assert [line for line in run.stdout.splitlines() if line not in text] == []


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"], ids=str
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = [link for link in _LINK.findall(text) if not (page.parent / link).exists()]

    assert not broken
