"""Citus is in no registry: what it is told is compared, and its absence is said."""

from __future__ import annotations

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from convstore import ConfigError, StoreConfig, migration, open_store
from convstore.db.citus import statements
from convstore.policy import SearchPolicy
from tests.docs.test_commands import HOWTO
from tests.integration.archives import fill, raw


def test_a_server_without_it_is_refused_before_anything_is_made(
    request: pytest.FixtureRequest,
) -> None:
    databases: Any = request.getfixturevalue("postgres_databases")
    url = databases.create_empty()

    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(migration.upgrade, url, schema="s0", on_citus=True)
        with pytest.raises(ConfigError, match="CREATE EXTENSION citus") as told:
            asked.result()

    assert "12 or later" in str(told.value)
    schemas = raw(url, "SELECT nspname FROM pg_namespace WHERE nspname = 's0'")
    assert schemas == []
    databases.drop(url)


def claim_to_be_citus(url: str, version: str) -> None:
    """The row that CREATE EXTENSION makes, and nothing behind it."""
    asyncio.run(_claim(url, version))


async def _claim(url: str, version: str) -> None:
    import asyncpg

    server = await asyncpg.connect(url)
    await server.execute("SET allow_system_table_mods = on")
    await server.execute(
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, "
        "extrelocatable, extversion) VALUES (99999, 'citus', 10, 11, false, "
        f"'{version}')"
    )
    await server.close()


def test_one_that_is_too_old_or_without_a_schema_is_refused(
    request: pytest.FixtureRequest,
) -> None:
    databases: Any = request.getfixturevalue("postgres_databases")
    old, new = databases.create_empty(), databases.create_empty()
    claim_to_be_citus(old, "11.3-1")
    claim_to_be_citus(new, "14.0-1")

    with pytest.raises(ConfigError, match=r"11\.3-1 cannot shard by schema"):
        migration.upgrade(old, schema="s0", on_citus=True)
    with pytest.raises(ConfigError, match="a schema of its own"):
        migration.upgrade(new, on_citus=True)

    databases.drop(old)
    databases.drop(new)


async def test_no_statement_of_an_append_writes_to_two_tables_there(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the planner would send to every node."""
    databases: Any = request.getfixturevalue("postgres_databases")
    told = {}
    for spread in (False, True):
        url = databases.create()
        if spread:
            await _claim(url, "14.0-1")
        config = StoreConfig(url=url, archive_dir=tmp_path / "archive")
        async with open_store(config) as store:
            await store.sessions.get_or_create("s-1")
            await store.turns.append("s-1", role="user", content="first")
            with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
                caplog.clear()
                for _ in range(3):
                    await store.turns.append("s-1", role="user", content="again")
            told[spread] = [r.getMessage() for r in caplog.records]
            assert (await store.sessions.get("s-1")).turn_count == 4
        databases.drop(url)

    def both(statement: str) -> bool:
        return "UPDATE" in statement and "INSERT INTO" in statement

    assert any(map(both, told[False]))
    assert not any(map(both, told[True]))
    assert any("INSERT INTO" in statement for statement in told[True])


_WRITES = re.compile(
    r"INSERT INTO (\S+)|DELETE FROM (\S+)"
    r"|(?<!FOR )(?<!KEY )(?<!DO )UPDATE (?!SET\b|OF\b|SKIP\b)(\S+)"
)


async def test_no_statement_of_a_whole_life_writes_to_two_tables_there(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    databases: Any = request.getfixturevalue("postgres_databases")
    url = databases.create()
    await _claim(url, "14.0-1")
    config = StoreConfig(
        url=url, archive_dir=tmp_path / "archive", search=SearchPolicy("inline")
    )
    async with open_store(config) as store:
        with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
            for name in ("s-1", "s-2", "s-3"):
                await fill(store, name)
            await store.run_retention(older_than_s=0, batch=1)
            await store.archive.compact()
            await store.restore("s-1")
            await store.sessions.fork("s-1", "s-4")
            await store.sessions.delete("s-4")
            await store.erase(session_id="s-2")
            await store.archive.recover(alone=True)
        said = [record.getMessage() for record in caplog.records]
    databases.drop(url)

    assert {"turns", "sessions", "archive_entries"} <= set().union(*map(_written, said))
    assert [text for text in said if len(_written(text)) > 1] == []


def _written(statement: str) -> set[str]:
    """The tables that a statement writes to."""
    found = ("".join(names) for names in _WRITES.findall(statement))
    return {name.rpartition(".")[2].strip('"') for name in found}


def test_another_kind_of_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"

    with pytest.raises(ConfigError, match="an extension of PostgreSQL"):
        migration.upgrade(f"sqlite:///{path}", on_citus=True)

    assert not path.exists()


def test_the_statements_are_those_of_the_page() -> None:
    page = (HOWTO / "citus.md").read_text("utf-8")

    made = statements('"s0"', exists=False, distributed=False)
    there = statements('"s0"', exists=True, distributed=False)

    assert made[-1] == 'CREATE SCHEMA "s0"'
    assert "citus_schema_distribute" in there[-1]
    assert "citus_schema_distribute" in page
    assert ";\n".join(made) in page
    assert statements('"s0"', exists=True, distributed=True) == []
