"""The commands of the page on backups, on a store that is in use meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convstore import StoreConfig, open_store
from tests.integration.conversations import contents, say
from tests.summary import leave_out

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "howto" / "backup.md"


def commands(word: str) -> list[str]:
    """The lines of the shell block that has this word in it."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    (found,) = [block for block in blocks if word in block]
    return str(found).splitlines()


def run(line: str, folder: Path, **more: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")}
    paths = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    line = (
        line.replace("convstore ", f"{sys.executable} -m convstore ", 1)
        if more
        else line
    )
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={**kept, "PATH": paths, "PYTHONPATH": str(ROOT), **more},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{line}: {done.stderr or done.stdout}"
    return done.stdout


@pytest.mark.slow
async def test_a_backup_made_as_the_page_says_has_everything(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Sessions that are archived before, between and after the two copies."""
    if shutil.which("sqlite3") is None:
        leave_out(pytestconfig, "the page on backups", "needs the command sqlite3")
    config = StoreConfig(
        url=f"sqlite:///{tmp_path / 'chat.db'}",
        archive_dir=tmp_path / "chat-archive",
    )
    *copy_database, copy_archive = commands("VACUUM INTO")
    async with open_store(config) as store:
        for name in ("before", "between", "live"):
            await say(store, name, f"of {name}")
        await store.sessions.delete("before")
        run("\n".join(copy_database), tmp_path)
        await store.sessions.delete("between")
        run(f"umask 077; {copy_archive}", tmp_path)
        await say(store, "live", "too late")

    copies = {
        "CONVSTORE_URL": "sqlite:///by-hand/chat.db",
        "CONVSTORE_ARCHIVE_DIR": "by-hand/chat-archive",
    }
    for line in commands("archive adopt"):
        run(line, tmp_path, **copies)

    copied = StoreConfig(
        url=f"sqlite:///{tmp_path / 'by-hand' / 'chat.db'}",
        archive_dir=tmp_path / "by-hand" / "chat-archive",
    )
    async with open_store(copied) as store:
        await store.restore("before")
        for name in ("before", "between", "live"):
            assert await contents(store, name) == [f"of {name}"]
