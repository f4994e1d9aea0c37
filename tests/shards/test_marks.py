"""Each database of several knows which one it is, and is opened as no other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from convstore import ConfigError, ShardUnavailableError, Store, StoreConfig, open_store

Open = Callable[..., Awaitable[Store]]


async def test_shards_in_another_order_are_refused_by_their_numbers(
    open_shards: Open, urls: dict[str, Any]
) -> None:
    await (await open_shards()).close()

    with pytest.raises(ConfigError, match=r"this database is shard [01] of 2"):
        await open_shards(shards=urls["shards"][::-1])


async def test_another_number_of_shards_is_refused(
    open_shards: Open, urls: dict[str, Any]
) -> None:
    await (await open_shards()).close()

    with pytest.raises(ConfigError, match="a store of 2 shards, and SHARDS names 1"):
        await open_shards(shards=urls["shards"][:1])


async def test_a_database_of_several_is_not_opened_as_a_store_of_its_own(
    open_shards: Open, urls: dict[str, Any], archive_dir: Path
) -> None:
    await (await open_shards()).close()

    for url, name in (
        (urls["url"], "the home database"),
        (urls["shards"][1], "shard 1 of 2"),
    ):
        with pytest.raises(ConfigError, match=name):
            async with open_store(StoreConfig(url=url, archive_dir=archive_dir)):
                pass


async def test_a_home_that_holds_sessions_already_is_refused(
    open_shards: Open, urls: dict[str, Any], archive_dir: Path
) -> None:
    async with open_store(StoreConfig(url=urls["url"], archive_dir=archive_dir)) as one:
        await one.sessions.get_or_create("s-1")

    with pytest.raises(ConfigError, match="the home database holds sessions already"):
        await open_shards()


async def test_a_shard_that_holds_sessions_of_nobody_knows_where_is_refused(
    open_shards: Open, urls: dict[str, Any], archive_dir: Path
) -> None:
    given = StoreConfig(url=urls["shards"][1], archive_dir=archive_dir)
    async with open_store(given) as one:
        await one.sessions.get_or_create("s-1")

    with pytest.raises(ConfigError, match="shard 1 of 2 holds sessions already"):
        await open_shards()


async def test_an_empty_database_does_not_take_the_place_of_a_shard(
    open_shards: Open, urls: dict[str, Any], new_database: Callable[[str], str]
) -> None:
    await (await open_shards()).close()
    empty = new_database(urls["url"].partition(":")[0].removesuffix("ql"))

    with pytest.raises(ConfigError, match="shard 1 of 2 has no mark"):
        await open_shards(shards=[urls["shards"][0], empty])


async def test_a_shard_of_another_store_is_refused(
    open_shards: Open, urls: dict[str, Any], new_database: Callable[[str], str]
) -> None:
    await (await open_shards()).close()
    kind = urls["url"].partition(":")[0].removesuffix("ql")
    others = [new_database(kind) for _ in range(3)]
    await (await open_shards(url=others[0], shards=others[1:])).close()

    with pytest.raises(ConfigError, match="of another store"):
        await open_shards(shards=[urls["shards"][0], others[2]])


async def test_a_store_is_not_made_while_a_shard_is_away(
    open_shards: Open, urls: dict[str, Any]
) -> None:
    away = "postgresql://nobody@127.0.0.1:1/chat"

    with pytest.raises(ShardUnavailableError, match="shard 1 of 2 is away"):
        await open_shards(shards=[urls["shards"][0], away])

    store = await open_shards()
    session, created = await store.sessions.get_or_create("s-1")
    assert created, "what was begun is made another day"
    assert session.id == "s-1"


async def test_a_file_that_is_gone_is_away_and_not_made_anew(
    open_shards: Open, urls: dict[str, Any], tmp_path: Path
) -> None:
    if not urls["url"].startswith("sqlite"):
        pytest.skip("a matter of files")
    await (await open_shards()).close()
    file = Path(urls["shards"][1].removeprefix("sqlite:///"))
    shutil.move(file, tmp_path / "elsewhere.db")

    store = await open_shards()

    with pytest.raises(ShardUnavailableError, match="shard 1 of 2 is away") as away:
        await store.stats()
    assert away.value.transient
    assert away.value.shard == 1
    assert not os.path.exists(file)  # noqa: ASYNC240


async def test_a_home_that_is_not_the_one_of_its_shards_is_refused_and_not_marked(
    open_shards: Open, urls: dict[str, Any], new_database: Callable[[str], str]
) -> None:
    await (await open_shards()).close()
    other = new_database(urls["url"].partition(":")[0].removesuffix("ql"))

    with pytest.raises(ConfigError, match="whose home is another database"):
        await open_shards(url=other)

    async with open_store(StoreConfig(url=other)) as store:
        assert (await store.stats()).sessions == {}
