"""A database that another program uses too: what is shared by name is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from convstore import ConfigError, SchemaMismatchError, StoreConfig, open_store
from convstore.db import migrate, models, schema
from tests.databases import PostgresDatabases
from tests.integration.conversations import say


def execute(url: str, *statements: str) -> None:
    """Run statements as another program would."""

    def work(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    migrate.run_on(url, work)


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What a query gives."""
    found: list[Sequence[Any]] = []

    def work(connection: Connection) -> None:
        found.extend(connection.exec_driver_sql(statement).all())

    migrate.run_on(url, work)
    return [tuple(row) for row in found]


@pytest.mark.parametrize("revision", ["0001", "0002", "a1b2c3d4e5f6"])
def test_the_version_table_of_a_host_is_left_alone(
    empty_database_url: str, revision: str
) -> None:
    execute(
        empty_database_url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        f"INSERT INTO alembic_version VALUES ('{revision}')",
        "CREATE TABLE orders (id INTEGER)",
    )
    assert migrate.current(empty_database_url) is None

    migrate.upgrade(empty_database_url)

    assert migrate.current(empty_database_url) == schema.REVISION
    assert migrate.differences(empty_database_url) == []
    migrate.downgrade(empty_database_url, "base")
    assert rows(empty_database_url, "SELECT * FROM alembic_version") == [(revision,)]


def test_a_version_table_that_is_not_as_alembic_makes_it_does_no_harm(
    empty_database_url: str,
) -> None:
    execute(empty_database_url, "CREATE TABLE alembic_version (of_another INTEGER)")

    assert migrate.current(empty_database_url) is None
    migrate.upgrade(empty_database_url)

    assert migrate.current(empty_database_url) == schema.REVISION


def test_several_rows_of_others_do_no_harm(empty_database_url: str) -> None:
    execute(
        empty_database_url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('0001'), ('0002'), ('x')",
    )

    migrate.upgrade(empty_database_url)

    left = rows(empty_database_url, "SELECT count(*) FROM alembic_version")
    assert left == [(3,)]


def test_one_table_that_looks_like_ours_proves_nothing(empty_database_url: str) -> None:
    execute(
        empty_database_url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('0001')",
        "CREATE TABLE schema_info (id INTEGER, oldest_code VARCHAR(32))",
        "INSERT INTO schema_info VALUES (1, '0001')",
    )

    assert migrate.current(empty_database_url) is None
    with pytest.raises(SchemaMismatchError, match=r"\(schema_info\)"):
        migrate.upgrade(empty_database_url)

    assert rows(empty_database_url, "SELECT * FROM alembic_version") == [("0001",)]


@pytest.mark.parametrize("former", ["0001", "0002"])
def test_the_row_of_an_older_release_is_adopted_and_given_back(
    database_url: str, former: str
) -> None:
    migrate.downgrade(database_url, former)
    # As the older release has it, and beside it a branch of the host's.
    assert rows(database_url, "SELECT * FROM alembic_version") == [(former,)]
    execute(database_url, "INSERT INTO alembic_version VALUES ('of-the-host')")
    assert migrate.current(database_url) == f"convstore_{former}"

    migrate.upgrade(database_url)

    assert migrate.current(database_url) == schema.REVISION
    left = rows(database_url, "SELECT * FROM alembic_version")
    assert left == [("of-the-host",)]


def test_a_downgrade_does_not_write_among_the_revisions_of_a_host(
    database_url: str,
) -> None:
    execute(
        database_url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('of-the-host')",
    )

    with pytest.raises(ConfigError, match="alembic_version"):
        migrate.downgrade(database_url, "0002")

    assert migrate.current(database_url) == schema.REVISION
    assert migrate.differences(database_url) == []


def test_a_worker_stops_once_the_database_was_migrated(
    database_url: str, tmp_path: Path
) -> None:
    """It was opened before, and a store may go on; a job may not."""

    async def scenario() -> None:
        async with open_store(
            StoreConfig(url=database_url, archive_dir=tmp_path)
        ) as store:
            await say(store, "s-1", "kept")
            await store._parts.backend.write(_migrated)

            with pytest.raises(SchemaMismatchError, match="upgrade convstore"):
                await store.run_retention(older_than_s=0)
            with pytest.raises(SchemaMismatchError, match="upgrade convstore"):
                await store.erase(session_id="s-1")

            (turn,) = await store.turns.window("s-1")
            assert turn.content == "kept"
            await say(store, "s-1", "more")

    asyncio.run(scenario())


def test_a_purge_that_is_under_way_stops_once_the_database_was_migrated(
    database_url: str, tmp_path: Path
) -> None:
    """The migration comes between the lease and the purge of what was archived."""

    def migrate_then(step: str) -> None:
        if step == "seal.after_commit":
            with ThreadPoolExecutor(1) as thread:
                thread.submit(migrate.run_on, database_url, _migrated).result()

    async def scenario() -> None:
        config = StoreConfig(url=database_url, archive_dir=tmp_path)
        async with open_store(config, on_step=migrate_then) as store:
            await say(store, "s-1", "kept")

            with pytest.raises(SchemaMismatchError, match="upgrade convstore"):
                await store.run_retention(older_than_s=0)

            assert (await store.sessions.get("s-1")).state == "active"
            assert len(await store.turns.window("s-1")) == 1

    asyncio.run(scenario())


def _migrated(connection: Connection) -> None:
    connection.exec_driver_sql(
        "UPDATE convstore_version SET version_num = 'convstore_9999'"
    )


def test_foreign_tables_in_the_way_are_named_before_anything_is_made(
    empty_database_url: str,
) -> None:
    execute(
        empty_database_url,
        "CREATE TABLE sessions (id INTEGER)",
        "CREATE TABLE orders (id INTEGER)",
        "CREATE VIEW leases AS SELECT id FROM orders",
    )

    with pytest.raises(SchemaMismatchError, match=r"\(leases, sessions\)") as caught:
        migrate.upgrade(empty_database_url)

    assert "of its own" in caught.value.remedy
    assert migrate.current(empty_database_url) is None
    assert rows(empty_database_url, "SELECT * FROM sessions") == []


def test_a_foreign_table_in_the_way_of_a_later_revision_is_named(
    database_url: str,
) -> None:
    migrate.downgrade(database_url, "0001")
    execute(database_url, "CREATE TABLE archive_folder (id INTEGER)")

    # Nor does it make the database one of the revision that has such a table.
    with pytest.raises(SchemaMismatchError, match=r"archive_folder"):
        migrate.upgrade(database_url)


def test_every_table_of_ours_can_be_named_when_it_is_in_the_way() -> None:
    assert migrate._made_after("") >= models.metadata.tables.keys()


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        # What LangGraph's own saver calls its tables.
        (["CREATE TABLE checkpoints (x INTEGER)"], "checkpoints"),
        (["CREATE TABLE checkpoint_writes (x INTEGER)"], "checkpoint_writes"),
        (
            [
                "CREATE TABLE orders (id INTEGER)",
                "CREATE UNIQUE INDEX ix_items_user ON orders (id)",
            ],
            "index ix_items_user",
        ),
        (["CREATE TABLE ix_sessions_held (x INTEGER)"], "index ix_sessions_held"),
    ],
)
def test_names_in_the_way_of_any_revision_are_told(
    empty_database_url: str, statements: list[str], named: str
) -> None:
    execute(empty_database_url, *statements)

    with pytest.raises(SchemaMismatchError, match=rf"in the way \({named}\)") as told:
        migrate.upgrade(empty_database_url)

    assert "of its own" in told.value.remedy
    assert migrate.current(empty_database_url) is None


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE Sessions (x INTEGER)", "Sessions"),
        ("CREATE TABLE search_words_data (x INTEGER)", "table search_words"),
    ],
)
def test_names_that_sqlite_takes_for_ours_are_told(
    tmp_path: Path, statement: str, named: str
) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    execute(url, statement)

    with pytest.raises(SchemaMismatchError, match=rf"in the way \({named}\)"):
        migrate.upgrade(url)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TYPE items AS ENUM ('a')",
        "CREATE SEQUENCE items",
        "CREATE MATERIALIZED VIEW items AS SELECT 1 AS x",
        "CREATE TABLE orders (x INTEGER CONSTRAINT pk_items PRIMARY KEY)",
    ],
)
def test_other_things_that_have_a_name_of_ours_on_postgres_are_told(
    postgres_databases: PostgresDatabases, statement: str
) -> None:
    url = postgres_databases.create_empty()
    execute(url, statement)

    with pytest.raises(SchemaMismatchError, match=r"in the way \(table items\)"):
        migrate.upgrade(url)

    postgres_databases.drop(url)
