"""From the release that kept its revision in `alembic_version`, with data, and back.

`former/` has what its code made, see `former/make.py`.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from convstore import SchemaMismatchError, Store, StoreConfig, open_store
from convstore.db import migrate, schema
from tests.databases import FORMER, former_dump, make_former
from tests.integration.conversations import everything, say
from tests.migration.test_shared_database import execute, rows


@dataclass(frozen=True)
class Former:
    """A database as the former release left it, and its archive."""

    url: str
    archive_dir: Path

    @property
    def config(self) -> StoreConfig:
        return StoreConfig(url=self.url, archive_dir=self.archive_dir)


@pytest.fixture(params=["sqlite", "postgres"])
def former(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Former]:
    kind = request.param
    dump = former_dump(kind)
    folder = shutil.copytree(FORMER / f"{kind}-archive", tmp_path / "archive")
    if kind == "sqlite":
        with closing(sqlite3.connect(tmp_path / "former.db")) as connection:
            connection.executescript(dump)
        yield Former(f"sqlite:///{tmp_path / 'former.db'}", folder)
        return
    databases = request.getfixturevalue("postgres_databases")
    url = databases.create_empty()
    asyncio.run(_load(url, dump))
    yield Former(url, folder)
    databases.drop(url)


async def _load(url: str, dump: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(dump)
    await connection.close()


def test_it_is_told_from_a_database_that_is_not_ours(former: Former) -> None:
    async def scenario() -> None:
        async with open_store(former.config):
            pass

    assert migrate.current(former.url) == "convstore_0002"
    with pytest.raises(SchemaMismatchError, match="convstore db upgrade"):
        asyncio.run(scenario())


_POSTGRES_SAYS = """
SELECT c.relname, relkind::text, reloptions, relpersistence::text
  FROM pg_class c WHERE relnamespace = 'public'::regnamespace;
SELECT table_name, ordinal_position, column_name, data_type, is_nullable,
       character_maximum_length, column_default, generation_expression, collation_name
  FROM information_schema.columns WHERE table_schema = 'public';
SELECT c.relname, attname, attstattarget, attstorage::text, attoptions
  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
 WHERE relnamespace = 'public'::regnamespace AND attnum > 0;
SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public';
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace;
SELECT tgrelid::regclass::text, pg_get_triggerdef(oid), tgenabled::text
  FROM pg_trigger WHERE NOT tgisinternal;
SELECT proname, pg_get_functiondef(oid)
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f';
SELECT objoid::regclass::text, objsubid, description
  FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid >= 16384
"""
_SQLITE_SAYS = """
SELECT tbl_name, type, name, sql FROM sqlite_master;
SELECT 'PRAGMA', auto_vacuum, encoding, page_size
  FROM pragma_auto_vacuum, pragma_encoding, pragma_page_size
"""


def _everything(url: str) -> list[str]:
    """All that a database says of itself, but for what is of alembic's own table."""
    said = _SQLITE_SAYS if url.startswith("sqlite") else _POSTGRES_SAYS
    lines = [str(row) for query in said.split(";") for row in rows(url, query)]
    return sorted(line for line in lines if "alembic_version" not in line)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_an_upgraded_database_is_made_as_a_new_one(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """Columns in their order, indexes, constraints, triggers: whatever runs on the one
    runs alike on the other."""
    if kind == "sqlite":
        urls = [f"sqlite:///{tmp_path / name}.db" for name in ("new", "former")]
    else:
        databases = request.getfixturevalue("postgres_databases")
        urls = [databases.create_empty() for _ in range(2)]
    make_former(urls[1])
    for url in urls:
        migrate.upgrade(url)

    new, upgraded = map(_everything, urls)

    assert upgraded == new
    assert sum("ix_sessions_recent" in line for line in new) > 1
    for url in urls if kind == "postgres" else ():
        databases.drop(url)


def test_after_the_upgrade_everything_is_there_and_works(former: Former) -> None:
    migrate.upgrade(former.url)

    assert migrate.current(former.url) == schema.REVISION
    assert migrate.differences(former.url) == []
    assert rows(former.url, "SELECT * FROM alembic_version") == []
    asyncio.run(_whole_life(former.config))


async def _whole_life(config: StoreConfig) -> None:
    async with open_store(config) as store:
        states = {s.id: s.state for s in (await store.sessions.list()).items}
        assert states == {"archived": "archived", "held": "active", "live": "active"}
        assert (await store.archive.verify()).faults == ()
        for name in ("live", "held", "archived"):
            await _is_whole(store, name)
        await say(store, "live", "more")
        report = await store.run_retention(older_than_s=0)
        assert (report.purged, report.problems) == (2, ())
        before = await store.archive.read("live")
        await store.restore("live")
        assert [t.content for t in before.turns][-1] == "more"
        receipt = await store.erase(session_id="archived")
        assert receipt.session_ids == ("archived",)
        assert await everything(store, "live")


async def _is_whole(store: Store, name: str) -> None:
    session, _ = await store.sessions.get_or_create(name)
    assert (session.user_id, session.metadata) == ("u-1", {"app": "chat"})
    assert session.feedback_counts == {"correct": 1}
    turns = await store.turns.window(name)
    assert [turn.content for turn in turns] == [f"Vraag van {name}?", "Drie."]
    # As it is kept: by the clock, an entry of that day has expired long ago.
    (document,) = [d async for d in store.documents(session_ids=[name])]
    assert document.ledger is not None
    assert document.ledger.model == "m"
    assert (await store.graph_states.get(name)).state == {"nodes": [1]}


def test_a_worker_of_the_former_release_cannot_purge_after_the_upgrade(
    former: Former,
) -> None:
    """What it asks before it seals, purges, restores, or goes on after a crash."""
    asks = "SELECT segment_id, holder, problem FROM archive_segments"
    assert rows(former.url, asks)

    migrate.upgrade(former.url)

    with pytest.raises(Exception, match="refused a statement"):
        execute(former.url, asks)


@pytest.mark.parametrize("then", ["stays", "comes back"])
def test_a_downgrade_gives_the_former_release_what_it_left(
    former: Former, then: str
) -> None:
    before = rows(former.url, "SELECT * FROM archive_segments")
    migrate.upgrade(former.url)

    migrate.downgrade(former.url, "0002")

    assert rows(former.url, "SELECT * FROM alembic_version") == [("0002",)]
    assert rows(former.url, "SELECT * FROM schema_info") == [(1, "0001")]
    assert rows(former.url, "SELECT * FROM archive_segments") == before
    assert migrate.current(former.url) == "convstore_0002"
    if then == "comes back":
        migrate.upgrade(former.url)
        asyncio.run(_whole_life(former.config))


def test_a_host_that_has_moved_its_row_on_is_not_robbed(former: Former) -> None:
    """Both wrote into one row: whose it is cannot be told, so it is left alone."""
    execute(former.url, "UPDATE alembic_version SET version_num = 'of-the-host'")

    assert migrate.current(former.url) is None
    with pytest.raises(SchemaMismatchError, match="sessions"):
        migrate.upgrade(former.url)

    assert rows(former.url, "SELECT * FROM alembic_version") == [("of-the-host",)]
