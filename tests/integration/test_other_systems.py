"""A system without POSIX file locks and folder descriptors, such as Windows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.architecture.source import ROOT

# What Windows has not, taken away before anything is imported.
WITHOUT = """
import os, sys
sys.modules["fcntl"] = None
os.supports_dir_fd = set(os.supports_dir_fd) - {os.link}
for name in ("O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC"):
    delattr(os, name)
import asyncio
from convstore import ConfigError, StoreConfig, open_store

async def main():
    config = StoreConfig(url=sys.argv[1], home=sys.argv[2], archive_dir=sys.argv[3])
    async with open_store(config) as store:
        await store.sessions.get_or_create("s-1", user_id="u-1")
        await store.turns.append("s-1", role="user", content="Welke archieven?")
        print(len(await store.turns.window("s-1")))
        try:
            await store.run_retention(older_than_s=0)
        except ConfigError as error:
            print(error)
        print(len(await store.turns.window("s-1")))

try:
    asyncio.run(main())
except ConfigError as error:
    print("refused:", error)
"""


def run(url: str, home: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, url, str(home), str(home / "archive")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_server_is_used_and_an_archive_refused_in_words(
    postgres_url: str, tmp_path: Path
) -> None:
    before, refusal, after = run(postgres_url, tmp_path)

    assert (before, after) == ("1", "1")
    assert "POSIX" in refusal


def test_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (told,) = run(f"sqlite:///{tmp_path / 'chat.db'}", tmp_path)

    assert told.startswith("refused:")
    assert "postgresql://" in told
    assert not (tmp_path / "chat.db").exists()
