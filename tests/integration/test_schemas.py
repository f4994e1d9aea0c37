"""Two schemas of one database are two stores; a `search_path` is not asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from convstore import (
    ConfigError,
    SchemaMismatchError,
    SessionNotFoundError,
    StoreConfig,
    migration,
    open_store,
)
from tests.integration.conversations import everything, say


def _in_thread(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call, *args, **named).result()


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.fixture
def bare_url(request: pytest.FixtureRequest) -> Any:
    databases = request.getfixturevalue("postgres_databases")
    url = databases.create_empty()
    yield url
    databases.drop(url)


def _config(url: str, schema: str | None, folder: Path, **more: Any) -> StoreConfig:
    where = folder / f"archive-{schema}"
    return StoreConfig(url=url, db_schema=schema, archive_dir=where, **more)


async def _live(url: str, schema: str, folder: Path, answer: str) -> list[object]:
    """The whole life of a session."""
    async with open_store(_config(url, schema, folder)) as store:
        for _ in range(3):  # as one statement on remembered heads, from the second on
            await say(store, "s-1", "q", answer)
        await store.interactions.record(
            "s-1", action="feedback", turn_seq=2, feedback="correct"
        )
        await store.graph_states.put("s-1", {"answer": answer})
        await store.sessions.update("s-1", tags=["t"], metadata={"k": answer})
        await store.ledger.pin("s-1", model="m", tier="t")
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content="once more")
        report = await store.run_retention(older_than_s=0)
        assert report.purged == 1
        page = await store.sessions.list()
        assert [session.state for session in page.items] == ["archived"]
        await store.restore("s-1")
        await store.stats()
        cache = store.prefix_cache()
        messages = [{"role": role, "content": "x"} for role in ("user", "assistant")]
        await cache.store("scope", messages, answer)
        return await everything(store, "s-1")


@pytest.mark.slow
async def test_two_schemas_are_two_stores(bare_url: str, tmp_path: Path) -> None:
    for schema in ("one", "Two-b"):
        _in_thread(migration.upgrade, bare_url, schema=schema)
        assert _in_thread(migration.differences, bare_url, schema=schema) == []

    await _live(bare_url, "one", tmp_path, "first")
    async with open_store(_config(bare_url, "Two-b", tmp_path)) as other:
        assert not (await other.sessions.list()).items
        with pytest.raises(SessionNotFoundError):
            await other.sessions.get("s-1")
    await _live(bare_url, "Two-b", tmp_path, "second")

    for schema, answer in (("one", "first"), ("Two-b", "second")):
        async with open_store(_config(bare_url, schema, tmp_path)) as store:
            turns = await store.turns.window("s-1", limit=2)
            assert [turn.content for turn in turns] == [answer, "once more"]
            await store.erase(session_id="s-1") if schema == "one" else None
    async with open_store(_config(bare_url, "Two-b", tmp_path)) as store:
        assert (await store.sessions.get("s-1")).state == "active"
    _in_thread(migration.downgrade, bare_url, "base", schema="one")
    assert _in_thread(migration.current, bare_url, schema="one") is None
    assert _in_thread(migration.differences, bare_url, schema="Two-b") == []


async def test_two_stores_of_one_process_may_be_open_at_once(
    bare_url: str, tmp_path: Path
) -> None:
    for schema in ("one", "two"):
        _in_thread(migration.upgrade, bare_url, schema=schema)

    async with (
        open_store(_config(bare_url, "one", tmp_path)) as one,
        open_store(_config(bare_url, "two", tmp_path)) as two,
    ):
        async with one.transaction() as tx:
            # A session that is about to be made in one is not about to be in the other.
            await tx.sessions.get_or_create("s-1")
            await tx.turns.append("s-1", role="user", content="one")
            async with asyncio.timeout(120):
                await say(two, "s-1", "two")
        for store, said in ((one, "one"), (two, "two")):
            turns = await store.turns.window("s-1")
            assert [turn.content for turn in turns] == [said]


async def test_nothing_is_named_without_its_schema(
    bare_url: str, tmp_path: Path
) -> None:
    """The role's own path leads to tables of the same names that are not ours."""
    _in_thread(migration.upgrade, bare_url, schema="ours")
    _in_thread(migration.upgrade, bare_url, schema="theirs")
    name = urlsplit(bare_url).path[1:]
    await _execute(bare_url, f"ALTER DATABASE {name} SET search_path = theirs, public")

    await _live(bare_url, "ours", tmp_path, "here")

    connection = await asyncpg.connect(bare_url)
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'theirs'"
    )
    for (table,) in tables:
        if table not in ("convstore_version", "schema_info"):
            count = await connection.fetchval(f"SELECT count(*) FROM theirs.{table}")
            assert count == 0, table
    await connection.close()


async def test_a_search_path_of_two_schemas_is_not_believed(
    bare_url: str, tmp_path: Path
) -> None:
    _in_thread(migration.upgrade, bare_url, schema="second")
    name = urlsplit(bare_url).path[1:]
    await _execute(
        bare_url,
        "CREATE SCHEMA first",
        f"ALTER DATABASE {name} SET search_path = first, second",
    )

    assert _in_thread(migration.current, bare_url) is None
    with pytest.raises(SchemaMismatchError, match="convstore db upgrade"):
        async with open_store(StoreConfig(url=bare_url, archive_dir=tmp_path)):
            pass
    _in_thread(migration.upgrade, bare_url)
    async with open_store(_config(bare_url, None, tmp_path)) as store:
        await say(store, "s-1", "q")

    connection = await asyncpg.connect(bare_url)
    assert await connection.fetchval("SELECT count(*) FROM first.turns") == 1
    assert await connection.fetchval("SELECT count(*) FROM second.turns") == 0
    await connection.close()


async def test_the_schema_may_be_in_the_url(bare_url: str, tmp_path: Path) -> None:
    url = f"{bare_url}{'&' if '?' in bare_url else '?'}schema=chat"
    assert _in_thread(migration.upgrade, url) == migration.head()

    async with open_store(_config(url, None, tmp_path)) as store:
        await say(store, "s-1", "q")
    async with open_store(_config(bare_url, "chat", tmp_path)) as store:
        assert (await store.sessions.get("s-1")).turn_count == 1

    with pytest.raises(ConfigError, match="SCHEMA"):
        async with open_store(_config(url, "another", tmp_path)):
            pass


@pytest.mark.parametrize("schema", ["a%20b", 'a"b', "1st", "x" * 64, "a;b"])
async def test_a_name_that_cannot_be_a_schema_is_refused(schema: str) -> None:
    with pytest.raises(ConfigError, match="SCHEMA"):
        async with open_store(f"postgresql://nobody@127.0.0.1/x?schema={schema}"):
            pass


def test_the_environment_names_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    from convstore.vocabulary.settings import load_config

    monkeypatch.setenv("SCHEMA", "of_another_program")
    assert load_config().db_schema is None
    monkeypatch.setenv("CONVSTORE_SCHEMA", "chat")
    assert load_config().db_schema == "chat"
    monkeypatch.setenv("CONVSTORE_SCHEMA", "1st")
    with pytest.raises(ConfigError, match="SCHEMA"):
        load_config()


async def test_sqlite_knows_no_schema(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"

    for config in (
        StoreConfig(url=url, db_schema="chat"),
        StoreConfig(url=f"{url}?schema=chat"),
    ):
        with pytest.raises(ConfigError, match="SCHEMA"):
            async with open_store(config):
                pass

    assert not (tmp_path / "chat.db").exists()
