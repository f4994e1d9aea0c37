"""The schema: made by migrations alone, equal to what the code declares, both ways."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, Table, text

from convstore import Choice, ConfigError, SchemaMismatchError, StoreConfig, open_store
from convstore.db import migrate, models, schema
from tests.integration.conversations import everything, say

ROOT = Path(__file__).resolve().parents[2]
# What belongs to the deployment: it says nothing of anybody.
DEPLOYMENT = {
    "archive_folder",
    "archive_segments",
    "leases",
    "retention_runs",
    "schema_info",
    "shard_marks",
}
# What belongs to a tenant or a user, lies outside conversations, and must be there
# without them; and how erasure finds what there is of a user.
OUTSIDE = {
    "attachments": "by the notes of which session names them",
    "cost_days": "by the user; the costs stay, and are nobody's",
    "cost_totals": "by the user, the last of all",
    "erasures": "it is what remains of them: a salted hash, and ids to refuse",
    "items": "by their owner",
    "prefix_entries": "not at all: a hash and another server's id, until they expire",
    "session_counts": "not at all: counts name nobody",
    "shard_erasures": "by the receipt; it forgets the user when it is done",
}
OPERATIONAL = DEPLOYMENT | OUTSIDE.keys()
# What is looked up by something else than its session. Erasure finds entries by an
# index on tenant and session, and takes the others by their key.
DERIVED = {
    "search_entries",
    "search_marks",
    "search_sessions",
    "search_state",
    "session_title_words",
}
CONVERSATIONS = [
    t for name, t in models.metadata.tables.items() if name not in OPERATIONAL | DERIVED
]


def test_the_code_needs_the_newest_revision() -> None:
    assert migrate.head() == schema.REVISION


def test_no_operational_table_is_gone_from_the_list() -> None:
    assert models.metadata.tables.keys() >= OPERATIONAL | DERIVED


@pytest.mark.parametrize("name", sorted(DERIVED | OUTSIDE.keys()))
def test_the_tenant_is_in_the_key_of_what_lies_outside_conversations(name: str) -> None:
    assert "tenant_id" in models.metadata.tables[name].primary_key.columns


@pytest.mark.parametrize("name", sorted(DEPLOYMENT))
def test_what_is_of_the_deployment_names_nobody(name: str) -> None:
    columns = {column.name for column in models.metadata.tables[name].columns}

    assert not columns & {"tenant_id", "session_id", "user_id", "actor_id"}


@pytest.mark.parametrize("table", CONVERSATIONS, ids=lambda t: t.name)
def test_keys_of_conversation_data_are_headed_by_tenant_and_session(
    table: Table,
) -> None:
    head = ["tenant_id", "session_id"]

    assert [c.name for c in table.primary_key.columns][:2] == head
    for index in table.indexes:
        if index.unique:
            # What is unique within a session is so in whatever order it is looked up.
            names = [column.name for column in index.columns]
            assert names[0] == "tenant_id"
            assert "session_id" in names
    foreign = [list(key.column_keys) for key in table.foreign_key_constraints]
    assert foreign == ([] if table.name == "sessions" else [head])


@pytest.mark.parametrize("table", models.metadata.tables.values(), ids=lambda t: t.name)
def test_every_table_and_column_says_what_it_is(table: Table) -> None:
    assert table.comment
    assert [c.name for c in table.columns if not c.comment] == []


def test_migrations_make_just_what_the_code_declares(database_url: str) -> None:
    assert migrate.differences(database_url) == []
    assert migrate.current(database_url) == schema.REVISION


def test_upgrading_twice_is_upgrading_once(empty_database_url: str) -> None:
    assert migrate.upgrade(empty_database_url) == schema.REVISION
    assert migrate.upgrade(empty_database_url) == schema.REVISION
    assert migrate.differences(empty_database_url) == []


UPGRADE = """
import sys
from convstore import migration
wait_for_all()
report(migration.upgrade(sys.argv[1]))
"""


@pytest.mark.mostly_slow("postgres")
def test_several_that_find_an_empty_database_upgrade_it_once(
    empty_database_url: str, run_processes: Callable[..., list[list[Any]]]
) -> None:
    told = run_processes(3, UPGRADE, empty_database_url, together=True)

    assert told == [[migrate.head()]] * 3
    assert migrate.differences(empty_database_url) == []


def test_a_difference_is_found(sqlite_url: str) -> None:
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute("ALTER TABLE turns ADD COLUMN surprise TEXT")
    connection.close()

    (difference,) = migrate.differences(sqlite_url)

    assert "surprise" in difference


def test_tables_of_another_program_are_none_of_our_business(sqlite_url: str) -> None:
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute("CREATE TABLE of_another_program (x INTEGER)")
    connection.close()

    assert migrate.differences(sqlite_url) == []


async def _fill(url: str) -> list[object]:
    async with open_store(StoreConfig(url=url)) as store:
        await say(store, "s-1", "q", "a")
        await store.interactions.record("s-1", action="feedback", feedback="x")
        await store.graph_states.put("s-1", {"n": 1})
        await store.sessions.update("s-1", tags=["t"], metadata={"k": 1})
        await store.holds.place("s-1", reason="case")
        await store.ledger.pin("s-1", model="m", tier="t")
        return await everything(store, "s-1")


def test_a_database_with_data_goes_down_and_comes_up_again(database_url: str) -> None:
    asyncio.run(_fill(database_url))

    migrate.downgrade(database_url, "base")
    assert migrate.current(database_url) is None
    migrate.upgrade(database_url)

    assert migrate.differences(database_url) == []
    assert asyncio.run(_fill(database_url))


def test_upgrading_keeps_the_data(database_url: str) -> None:
    before = asyncio.run(_fill(database_url))

    migrate.upgrade(database_url)

    async def after() -> list[object]:
        async with open_store(StoreConfig(url=database_url)) as store:
            return await everything(store, "s-1")

    assert asyncio.run(after()) == before


def test_every_single_step_goes_down_and_up_again(database_url: str) -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(migrate.configure())
    for step in script.walk_revisions():
        down = str(step.down_revision or "base")
        migrate.downgrade(database_url, down)
        assert migrate.current(database_url) == (None if down == "base" else down)
        migrate.upgrade(database_url, step.revision)
        assert migrate.current(database_url) == step.revision
        migrate.downgrade(database_url, down)

    migrate.upgrade(database_url)
    assert migrate.differences(database_url) == []


def test_titles_of_before_are_found_by_their_words(database_url: str) -> None:
    async def titled() -> list[str]:
        async with open_store(StoreConfig(url=database_url)) as store:
            await store.sessions.get_or_create("s-1", title="Archieven in Enschede")
            await say(store.for_tenant("other"), "s-1", "今天天气怎么样")
            found = await store.sessions.list(title="ensch arch")
            other = await store.for_tenant("other").sessions.list(title="天气")
            return [session.id for session in (*found.items, *other.items)]

    before = asyncio.run(titled())
    migrate.downgrade(database_url, "convstore_0023")
    migrate.upgrade(database_url)

    assert before == asyncio.run(titled()) == ["s-1", "s-1"]


def test_labels_and_counts_are_made_anew_of_what_is_there(database_url: str) -> None:
    async def prepared() -> None:
        async with open_store(StoreConfig(url=database_url)) as store:
            await say(store, "s-1", "q", "a", "b")
            record = store.interactions.record
            await record("s-1", action="feedback", turn_seq=2, feedback="up")
            await record("s-1", action="feedback", turn_seq=2, score=1.0)
            for chosen, rejected in ((2, 3), (3, 2)):
                choice = Choice(chosen, (rejected,))
                await record("s-1", action="choose", choice=choice, feedback="better")
            await store.interactions.add_feedback("s-1", node_id="n", feedback="ok")

    # What a release of before had counted: it took each for a target of its own.
    forged = text('UPDATE sessions SET feedback_counts = \'{"up": 1, "better": 2}\'')

    async def seen() -> tuple[dict[str, int], list[str]]:
        async with open_store(StoreConfig(url=database_url)) as store:
            before = (await store.sessions.get("s-1")).feedback_counts
            listed = [
                label
                for label in ("up", "better", "ok")
                if (await store.sessions.list(label=label)).items
            ]
            # The names of targets were made anew as well.
            choice = Choice(2, (3,))
            await store.interactions.record(
                "s-1", action="choose", choice=choice, feedback="worse"
            )
            after = (await store.sessions.get("s-1")).feedback_counts
            assert after == {"ok": 1, "worse": 1}
            return before, listed

    asyncio.run(prepared())
    migrate.downgrade(database_url, "convstore_0004")
    migrate.run_on(database_url, lambda connection: connection.execute(forged) and None)
    migrate.upgrade(database_url)

    assert asyncio.run(seen()) == ({"better": 1, "ok": 1}, ["better", "ok"])


def test_revisions_are_numbers_in_one_line() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(migrate.configure())

    revisions = [s.revision for s in script.walk_revisions()]
    assert revisions[::-1] == [
        f"convstore_{n:04}" for n in range(1, len(revisions) + 1)
    ]
    assert len(script.get_heads()) == 1
    assert all(s.doc and s.module.__doc__ for s in script.walk_revisions())


def test_a_revision_that_is_not_there_is_refused(database_url: str) -> None:
    for call in (migrate.upgrade, migrate.downgrade):
        with pytest.raises(ConfigError, match="no revision"):
            call(database_url, "nope")

    assert migrate.current(database_url) == schema.REVISION


def test_a_database_of_a_newer_release_is_left_to_that(database_url: str) -> None:
    def age(connection: Connection) -> None:
        connection.exec_driver_sql(
            "UPDATE convstore_version SET version_num = 'convstore_9999'"
        )

    migrate.run_on(database_url, age)

    for verb, revision in ((migrate.upgrade, "head"), (migrate.downgrade, "base")):
        with pytest.raises(SchemaMismatchError, match="upgrade convstore"):
            verb(database_url, revision)

    assert migrate.current(database_url) == "convstore_9999"


async def _break(url: str) -> None:
    """Let the last table of the first revision be in the way."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute("CREATE TABLE turns (x INTEGER)")
        connection.close()
    else:
        connection_ = await asyncpg.connect(url)
        await connection_.execute("CREATE TABLE turns (x INTEGER)")
        await connection_.close()


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_database_url: str) -> None:
    asyncio.run(_break(empty_database_url))

    with pytest.raises(SchemaMismatchError, match=r"in the way \(turns\)"):
        migrate.upgrade(empty_database_url)

    assert migrate.current(empty_database_url) is None
    with pytest.raises(SchemaMismatchError):
        migrate.differences(empty_database_url)


@pytest.mark.mostly_slow("sqlite")
def test_alembic_upgrades_from_a_checkout(empty_database_url: str) -> None:
    alembic = [sys.executable, "-m", "alembic", "-x", f"url={empty_database_url}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    for arguments in (["upgrade", "head"], ["check"], ["current"]):
        done = subprocess.run(
            [*alembic, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]

    assert migrate.differences(empty_database_url) == []


def test_alembic_takes_the_url_of_the_settings(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"

    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CONVSTORE_URL": url},
        check=True,
        capture_output=True,
    )

    assert migrate.current(url) == schema.REVISION


def test_a_new_file_is_migrated_on_opening_and_another_is_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    asyncio.run(_fill(url))
    assert migrate.differences(url) == []
    migrate.downgrade(url, "base")
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (x INTEGER)")
    connection.close()

    with pytest.raises(SchemaMismatchError, match="convstore db upgrade"):
        asyncio.run(_fill(url))
