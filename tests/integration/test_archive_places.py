"""The archive lies beside its database, and where it lay before it stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convstore import ConfigError, StoreConfig, open_store
from convstore.vocabulary.settings import default_archive
from tests.integration.conversations import say


def _elsewhere(url: str) -> str:
    """Not `convstore.db`, which has the older folder beside it: a new file."""
    return "sqlite:///mine.db" if url.startswith("sqlite") else url


def _segments(folder: Path) -> int:
    return len(list(folder.rglob("*.jsonl.zst")))


@pytest.mark.parametrize(
    ("url", "schema", "folder"),
    [
        ("sqlite:///chat.db", None, "chat-archive"),
        ("sqlite:////var/lib/chat.v2.db", None, "/var/lib/chat.v2-archive"),
        ("sqlite+aiosqlite:///a/chat.db?x=1", None, "a/chat-archive"),
        ("sqlite://", None, "home/convstore-archive"),
        ("postgresql://u:p@h:5432/shop", None, "home/shop-archive"),
        ("postgresql://u:p@h/shop?x=1", "chat", "home/shop-chat-archive"),
        ("postgresql://h/shop?schema=chat", None, "home/shop-chat-archive"),
        ("postgresql://u@h", None, "home/u-archive"),
        ("postgresql://h/a%2Fb", None, "home/a_b-archive"),
    ],
)
def test_every_database_has_a_folder_of_its_own(
    url: str, schema: str | None, folder: str
) -> None:
    assert default_archive(url, Path("home"), schema) == Path(folder)


def test_a_home_keeps_the_folder_that_it_had() -> None:
    config = StoreConfig(home=Path("home"))

    assert config.archive_path == config.previous_archive_path


async def test_two_databases_of_one_folder_need_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    for name in ("one", "two"):
        async with open_store(f"sqlite:///{name}.db") as store:
            await say(store, "s-1", name)
            assert (await store.run_retention(older_than_s=0)).purged == 1
            assert (await store.restore("s-1")).state == "active"

    assert _segments(Path("one-archive")) == _segments(Path("two-archive")) == 1
    assert "convstore-archive" not in os.listdir()


async def test_an_archive_of_an_older_release_is_still_found(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = _elsewhere(database_url)
    older = StoreConfig(url=url, archive_dir="convstore-archive")
    async with open_store(older) as store:
        await say(store, "s-1", "kept")
        await store.run_retention(older_than_s=0)

    async with open_store(url) as store:
        assert store.config.archive_path == Path("convstore-archive")
        await store.restore("s-1")
        await store.run_retention(older_than_s=0)

    assert _segments(Path("convstore-archive")) == 2


async def test_an_archive_that_is_another_database_s_is_not_taken(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = StoreConfig(url="sqlite:///other.db", archive_dir="convstore-archive")
    async with open_store(other) as store:
        await say(store, "s-1", "theirs")
        await store.run_retention(older_than_s=0)

    config = StoreConfig(url=_elsewhere(database_url))
    async with open_store(config) as store:
        await say(store, "s-1", "ours")
        assert (await store.run_retention(older_than_s=0)).purged == 1

    assert _segments(Path("convstore-archive")) == 1
    assert _segments(config.archive_path) == 1


async def test_a_scheme_that_nobody_knows_is_not_taken_for_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match="ARCHIVE_DIR"):
        async with open_store(
            StoreConfig(url="sqlite:///chat.db", archive_dir="ftp://host/chat")
        ):
            pass

    assert "ftp:" not in os.listdir()
