"""The shell blocks of the pages run, in the order of the page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.summary import leave_out

ROOT = Path(__file__).resolve().parents[2]
HOWTO = ROOT / "docs" / "howto"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

TALKS = """
cat > talks.jsonl <<'END'
{"session_id": "c-1", "user_id": "u-1", "messages": [{"role": "user", "content": "a"}]}
{"session_id": "c-2", "user_id": "u-2", "messages": [{"role": "user", "content": "b"}]}
END
convstore import messages talks.jsonl
"""


@dataclass(frozen=True)
class Page:
    """What must be there before a page, and what its reader puts in place of a word."""

    before: str = ""
    words: dict[str, str] = field(default_factory=dict)
    on_postgres: bool = False
    program: str | None = None


PAGES = {
    "README.md": Page(
        # Installing is tried by `.ci/run`, with nothing there before.
        words={
            "python3 -m venv": ": python3 -m venv",
            ". .venv-user": ": .venv-user",
            "pip install": ": pip install",
        }
    ),
    "archive.md": Page(),
    "backup.md": Page(program="sqlite3"),
    "come-over.md": Page(
        f"cp {ROOT}/tests/data/chat-exports/chatgpt/small.json export.json",
        {"~/Downloads/chatgpt-export.zip": "export.json"},
    ),
    "hot-tier.md": Page(),
    "judge.md": Page(TALKS),
    "many-workers.md": Page(
        words={
            "postgresql://chat@db.example/chat": '"$DATABASE"',
            # The server of the tests keeps nothing over a power cut, and is told so.
            "convstore doctor": "convstore doctor | grep -c ^BAD | grep -x 1",
        },
        on_postgres=True,
    ),
    "one-database-two-programs.md": Page(
        words={"postgresql://…": '"$DATABASE"'}, on_postgres=True
    ),
    "operate.md": Page(
        words={
            # It ends when somebody stops it.
            "convstore worker": ": a worker",
        },
    ),
    "page.md": Page(),
    "restore.md": Page(
        words={"archive adopt ": "archive adopt --yes "},
    ),
    "search.md": Page("export CONVSTORE_URL=sqlite:///search.db\n" + TALKS),
    "several-databases.md": Page(),
    "tables.md": Page(),
}
# Run by tests of their own, which look at what comes out too.
ELSEWHERE = {"export-rlhf.md", "import.md", "ray.md", "spark.md"}


def blocks(name: str) -> list[str]:
    folder = ROOT if name == "README.md" else HOWTO
    return _BLOCK.findall((folder / name).read_text("utf-8"))


def test_every_page_with_commands_is_run() -> None:
    pages = {path.name for path in HOWTO.glob("*.md") if blocks(path.name)}

    assert pages | {"README.md"} == PAGES.keys() | ELSEWHERE


@pytest.mark.mostly_slow("search.md")
@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_page_run(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page = PAGES[name]
    if page.program and shutil.which(page.program) is None:
        leave_out(request.config, f"the commands of {name}", f"needs {page.program}")
    servers = ["postgres_url"] if page.on_postgres else []
    shim = tmp_path / "bin" / "convstore"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convstore "$@"\n')
    shim.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")}
    environment = {
        **kept,
        "PATH": f"{shim.parent}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DATABASE": "".join(map(request.getfixturevalue, servers)),
    }
    given = [page.before, *blocks(name)]
    for word, meant in page.words.items():
        assert any(word in block for block in given), f"{word} is on {name} no more"
        given = [block.replace(word, meant) for block in given]

    # One shell, as of a reader who goes down the page.
    done = subprocess.run(
        ["sh", "-exc", "\n".join(given)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
