"""Databases that are away, full, damaged or of another schema: typed errors only."""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from convstore import (
    ConfigError,
    ConvstoreError,
    CorruptionError,
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    SchemaMismatchError,
    StorageFullError,
    Store,
    StoreClosedError,
    StoreConfig,
    UnavailableError,
    open_store,
)
from convstore.vocabulary.clock import SystemClock
from tests.concurrency.stepping import How, Stepped
from tests.databases import PostgresDatabases, make
from tests.denials import files_up_to, without_rights
from tests.integration.conversations import contents, say
from tests.servers import PostgresServer


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


# Opening


async def _opening(url: str) -> ConvstoreError:
    with pytest.raises(ConvstoreError) as caught:
        async with open_store(url):
            pass
    return caught.value


@pytest.mark.parametrize(
    "url", ["chat.db", "mysql://localhost/x", "sqlite", "://", "redis://x"]
)
async def test_a_url_of_no_database_of_ours_is_refused(url: str) -> None:
    assert isinstance(await _opening(url), ConfigError)


@pytest.mark.parametrize("url", ["sqlite://chat.db", "sqlite://data/chat.db"])
async def test_a_file_behind_two_slashes_is_not_taken_for_memory(url: str) -> None:
    error = await _opening(url)

    assert isinstance(error, ConfigError)
    assert "sqlite:///FILE" in str(error)


async def test_a_refused_url_is_not_repeated_with_its_password() -> None:
    error = await _opening("mysql://me:hunter2@localhost/x")

    assert "hunter2" not in str(error)


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    error = await _opening(f"postgresql://me:hunter2@/x?host={tmp_path}")

    assert isinstance(error, DatabaseUnavailableError)
    assert error.transient
    assert "hunter2" not in str(error)


async def test_a_database_that_is_not_there_is_a_wrong_setting(
    postgres_url: str,
) -> None:
    absent = urlsplit(postgres_url)._replace(path="/no_such_database").geturl()

    error = await _opening(absent)

    assert isinstance(error, ConfigError)


async def test_a_wrong_password_is_a_wrong_setting(
    own_postgres: PostgresServer,
) -> None:
    own_postgres.demand_passwords()

    error = await _opening(own_postgres.url.replace("postgres@", "postgres:wrong@"))

    assert isinstance(error, ConfigError)
    assert "wrong" not in str(error)


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and not a database\n" * 200)
    before = path.read_bytes()

    error = await _opening(f"sqlite:///{path}")

    assert isinstance(error, CorruptionError)
    assert path.read_bytes() == before


async def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    error = await _opening(f"sqlite:///{tmp_path}")

    assert isinstance(error, ConfigError | DatabaseUnavailableError)


@pytest.mark.parametrize("kind", ["empty", "behind", "ahead"])
async def test_another_schema_is_refused_with_the_command_to_run(
    empty_database_url: str, kind: str
) -> None:
    if empty_database_url.startswith("sqlite"):
        url = empty_database_url
        statements = {
            "empty": ["CREATE TABLE of_another_program (x INTEGER)"],
            "behind": _at_revision("convstore_0000"),
            "ahead": _at_revision("convstore_9999"),
        }[kind]
        with sqlite3.connect(_path(url)) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
    else:
        import asyncpg

        url = empty_database_url
        server = await asyncpg.connect(url)
        for statement in (
            [] if (revision := _REVISIONS[kind]) is None else _at_revision(revision)
        ):
            await server.execute(statement)
        await server.close()

    error = await _opening(url)

    assert isinstance(error, SchemaMismatchError)
    assert "convstore db" in error.remedy or "upgrade convstore" in error.remedy
    assert error.remedy in str(error)
    assert error.found == _REVISIONS[kind]


_REVISIONS = {"empty": None, "behind": "convstore_0000", "ahead": "convstore_9999"}


def _at_revision(revision: str) -> list[str]:
    return [
        "CREATE TABLE convstore_version (version_num VARCHAR(32) NOT NULL)",
        f"INSERT INTO convstore_version VALUES ('{revision}')",
        "CREATE TABLE schema_info (id INTEGER, oldest_code VARCHAR(32))",
        f"INSERT INTO schema_info VALUES (1, '{revision}')",
    ]


async def test_a_newer_schema_that_still_takes_our_code_is_opened(
    sqlite_url: str,
) -> None:
    with sqlite3.connect(_path(sqlite_url)) as connection:
        connection.execute(
            "UPDATE convstore_version SET version_num = 'convstore_9999'"
        )
    connection.close()

    async with open_store(sqlite_url) as store:
        await say(store, "s-1", "x")


async def test_opening_never_makes_tables_in_a_server_database(
    postgres_databases: PostgresDatabases,
) -> None:
    url = postgres_databases.create_empty()

    for _ in range(2):
        assert isinstance(await _opening(url), SchemaMismatchError)

    postgres_databases.drop(url)


# A server that goes away


@pytest.fixture
async def on_own_server(own_postgres: PostgresServer) -> AsyncIterator[Store]:
    make(own_postgres.url)
    config = StoreConfig(url=own_postgres.url, limits={"busy_timeout_s": 5})  # type: ignore[arg-type]
    async with open_store(config) as store:
        await say(store, "s-1", "before")
        yield store


async def test_reads_and_writes_recover_from_a_server_that_was_killed(
    on_own_server: Store, own_postgres: PostgresServer
) -> None:
    store = on_own_server
    # Several connections of the pool, all of which die.
    await asyncio.gather(*(store.turns.window("s-1") for _ in range(5)))
    own_postgres.kill()

    for call in (
        store.turns.append("s-1", role="user", content="lost", external_id="m-1"),
        store.turns.window("s-1"),
        store.sessions.get("s-1"),
    ):
        with pytest.raises(DatabaseUnavailableError) as caught:
            await call
        assert caught.value.transient
    own_postgres.start()

    assert await contents(store, "s-1") == ["before"]
    for _ in range(2):  # as a caller does whose answer was lost
        await store.turns.append("s-1", role="user", content="after", external_id="m-2")
    await asyncio.gather(*(store.turns.window("s-1") for _ in range(5)))
    assert await contents(store, "s-1") == ["before", "after"]


async def test_a_restart_between_two_writes_is_not_noticed(
    on_own_server: Store, own_postgres: PostgresServer
) -> None:
    own_postgres.kill()
    own_postgres.start()

    await on_own_server.turns.append("s-1", role="user", content="after")

    assert await contents(on_own_server, "s-1") == ["before", "after"]


async def test_a_transaction_over_a_killed_server_is_not_committed(
    on_own_server: Store, own_postgres: PostgresServer
) -> None:
    store = on_own_server

    async def transact() -> None:
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content="gone")
            await asyncio.to_thread(own_postgres.kill)

    with pytest.raises(DatabaseUnavailableError):
        await transact()
    own_postgres.start()

    assert await contents(store, "s-1") == ["before"]


async def test_writes_under_way_when_the_server_dies_fail_typed_or_are_there(
    on_own_server: Store, own_postgres: PostgresServer
) -> None:
    store = on_own_server
    writing = asyncio.gather(
        *(
            store.turns.append("s-1", role="user", content=str(i), external_id=str(i))
            for i in range(300)
        ),
        return_exceptions=True,
    )
    await asyncio.to_thread(own_postgres.kill)
    done = await writing
    own_postgres.start()

    stored = await contents(store, "s-1")
    for number, result in enumerate(done):
        if isinstance(result, BaseException):
            assert isinstance(result, UnavailableError)
        else:
            assert str(number) in stored
    turns = (await store.turns.list("s-1", limit=1000)).items
    assert [t.seq for t in turns] == list(range(1, len(turns) + 1))


# Files


async def test_a_file_that_cannot_be_opened_for_want_of_room_is_told_so(
    sqlite_url: str,
) -> None:
    """Beside it there must be room for the index of its log."""
    with files_up_to(16_000):
        error = await _opening(sqlite_url)

    assert isinstance(error, StorageFullError)
    async with open_store(sqlite_url) as store:
        await say(store, "s-1", "after")


async def test_a_full_database_refuses_typed_and_stays_readable(
    open_another: Callable[..., Awaitable[Store]], database_url: str
) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("only a file of SQLite can be told how far it may grow")
    store = await open_another()
    await say(store, "s-1", "before")
    await _bound_pages(store, 10)

    with pytest.raises(StorageFullError) as caught:
        await store.turns.append("s-1", role="user", content="x" * 1_000_000)

    assert caught.value.transient
    assert await contents(store, "s-1") == ["before"]
    await _bound_pages(store, 2**30)
    await say(store, "s-1", "after")
    assert await contents(store, "s-1") == ["before", "after"]


async def _bound_pages(store: Store, more: int) -> None:
    def bound(connection: object) -> None:
        run = connection.exec_driver_sql  # type: ignore[attr-defined]
        pages = run("PRAGMA page_count").scalar_one()
        run(f"PRAGMA max_page_count={pages + more}")

    await store._parts.backend.write(bound)


@pytest.fixture(params=["file", "folder", "way"])
def refusing(sqlite_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A file that is read-only; in a folder that is; or that cannot be reached."""
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), Path(name, "chat.db")
        path.write_bytes(_path(sqlite_url).read_bytes())
        path.chmod(0o444 if request.param == "file" else 0o666)
        folder.chmod({"file": 0o755, "folder": 0o555, "way": 0o600}[request.param])
        yield f"sqlite:///{path}"
        folder.chmod(0o700)


async def test_a_file_without_rights_is_refused_for_good(
    sqlite_url: str, refusing: str
) -> None:
    async with open_store(sqlite_url):
        pass  # what is imported late is there when rights are gone

    with without_rights():
        error = await _opening_to_write(refusing)

    assert isinstance(error, ConfigError)
    assert not error.transient
    assert "rights" in str(error) or "Permission denied" in str(error)


async def _opening_to_write(url: str) -> ConvstoreError:
    with pytest.raises(ConvstoreError) as caught:
        async with open_store(url) as store:
            await store.sessions.get_or_create("s-1")
    return caught.value


async def test_a_role_without_rights_is_refused_for_good_until_it_has_them(
    own_postgres: PostgresServer,
) -> None:
    make(own_postgres.url)
    connection = await asyncpg.connect(own_postgres.url)
    await connection.execute("CREATE ROLE app LOGIN")
    await connection.execute("REVOKE ALL ON SCHEMA public FROM public")
    url = own_postgres.url.replace("postgres@", "app@")
    grants = (
        "USAGE ON SCHEMA public",
        "SELECT ON ALL TABLES IN SCHEMA public",
        "INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public",
    )

    for grant in grants:
        error = await _opening_to_write(url)
        assert isinstance(error, DatabaseAccessError)
        assert not error.transient
        assert all(word in str(error) for word in ("USAGE", "SELECT", "INSERT"))
        await connection.execute(f"GRANT {grant} TO app")

    async with open_store(url) as store:
        await say(store, "s-1", "one")
    await connection.close()


async def test_a_lock_held_by_a_stranger_gives_busy_after_the_time_set(
    sqlite_url: str,
) -> None:
    config = StoreConfig(url=sqlite_url, limits={"busy_timeout_s": 3})  # type: ignore[arg-type]
    async with open_store(config) as store:
        await say(store, "s-1", "before")
        stranger = sqlite3.connect(_path(sqlite_url), isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")

        with pytest.raises(DatabaseBusyError):
            await store.turns.append("s-1", role="user", content="late")
        assert await contents(store, "s-1") == ["before"], "reading goes on"
        stranger.execute("ROLLBACK")
        stranger.close()

        await say(store, "s-1", "after")
        assert await contents(store, "s-1") == ["before", "after"]


async def test_a_row_lock_held_by_a_stranger_gives_busy_after_the_time_set(
    postgres_url: str,
) -> None:
    import asyncpg

    config = StoreConfig(url=postgres_url, limits={"busy_timeout_s": 3})  # type: ignore[arg-type]
    async with open_store(config) as store:
        await say(store, "s-1", "before")
        stranger = await asyncpg.connect(postgres_url)
        async with stranger.transaction():
            await stranger.execute("SELECT 1 FROM sessions FOR UPDATE")

            with pytest.raises(DatabaseBusyError):
                await store.turns.append("s-1", role="user", content="late")
        await stranger.close()

        await say(store, "s-1", "after")
        assert await contents(store, "s-1") == ["before", "after"]


@pytest.mark.slow
async def test_the_time_set_for_a_lock_is_waited_once(postgres_url: str) -> None:
    import asyncpg

    config = StoreConfig(url=postgres_url, limits={"busy_timeout_s": 3})  # type: ignore[arg-type]
    tries = []

    def lock(connection: Any) -> None:
        tries.append(1)
        connection.exec_driver_sql("SELECT 1 FROM sessions FOR UPDATE")

    async with open_store(config) as store:
        await say(store, "s-1", "before")
        stranger = await asyncpg.connect(postgres_url)
        async with stranger.transaction():
            await stranger.execute("SELECT 1 FROM sessions FOR UPDATE")

            with pytest.raises(DatabaseBusyError):
                await store._parts.backend.write(lock)
        await stranger.close()

    assert len(tries) == 1


async def test_statements_prepared_before_a_migration_are_prepared_again(
    postgres_url: str,
) -> None:
    import asyncpg

    async with open_store(postgres_url) as store:
        await say(store, "s-1", "one")
        readers = [store.turns.window("s-1", limit=1) for _ in range(20)]
        await asyncio.gather(*readers, store.sessions.list(), store.archive.list())
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content="two")
        migration = await asyncpg.connect(postgres_url)
        for column in ("title", "language", "current_template_id"):
            await migration.execute(
                f"ALTER TABLE sessions ALTER COLUMN {column} TYPE varchar(9999)"
            )
        await migration.execute("ALTER TABLE turns ALTER COLUMN content TYPE varchar")
        await migration.close()

        reads = [store.turns.window("s-1", limit=9) for _ in range(20)]
        found = await asyncio.gather(*reads)
        await store.turns.append("s-1", role="user", content="three")
        await store.sessions.list()

        assert {len(window) for window in found} == {2}
        assert await contents(store, "s-1") == ["one", "two", "three"]


async def test_a_closed_store_says_so(store: Store) -> None:
    await say(store, "s-1", "x")
    await store.close()
    await store.close()

    for call in (
        store.turns.append("s-1", role="user"),
        store.turns.window("s-1"),
        store.sessions.list(),
        store.for_tenant("acme").sessions.find("s-1"),
    ):
        with pytest.raises(StoreClosedError):
            await call
    with pytest.raises(StoreClosedError):
        async with store.transaction():
            pass


async def test_a_store_in_memory_is_gone_when_it_is_closed() -> None:
    async with open_store("sqlite://") as first, open_store("sqlite://") as second:
        await say(first, "s-1", "x")
        assert await second.sessions.find("s-1") is None

    async with open_store("sqlite://") as third:
        assert await third.sessions.count() == 0


async def test_a_close_that_was_cancelled_can_be_repeated() -> None:
    store = await Store.open(StoreConfig(url="sqlite://"), SystemClock())
    folder = store._parts.backend.file
    assert folder is not None
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def transact() -> None:
        async with store.transaction():
            begun.set()
            await may_end.wait()

    transaction = asyncio.create_task(transact())
    await begun.wait()
    assert isinstance(
        await Stepped(store.close(), 1, How.AGAIN).run(), asyncio.CancelledError
    )
    may_end.set()
    await asyncio.gather(transaction, return_exceptions=True)

    await store.close()

    assert not folder.parent.exists()


async def test_a_new_file_and_its_folder_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "chat.db"
    async with open_store(f"sqlite:///{path}") as store:
        await say(store, "s-1", "x")
        modes = {p.name: p.stat().st_mode & 0o777 for p in path.parent.iterdir()}

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}, modes


# What happens to a file while it is open


async def test_a_program_may_change_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    async with open_store(StoreConfig(url="sqlite:///chat.db")) as store:
        await say(store, "s-1", "one")
        os.chdir(tmp_path / "elsewhere")

        # Connections that are made only now.
        await asyncio.gather(*(store.sessions.get("s-1") for _ in range(20)))
        store._parts.backend._writer.close()  # type: ignore[attr-defined]
        await say(store, "s-1", "two")
        report = await store.run_retention(older_than_s=0)
        await store.restore("s-1")

        assert report.purged == 1
        assert await contents(store, "s-1") == ["one", "two"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_two_names_of_one_file_meet_at_one_gate(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        (tmp_path / "link.db").symlink_to(tmp_path / "chat.db")
        async with open_store(f"sqlite:///{tmp_path / 'link.db'}") as linked:
            await asyncio.gather(say(store, "s-1", "a"), say(linked, "s-2", "b"))

    names = set(os.listdir(tmp_path))
    assert names == {"chat.db", "chat.db-gate", "link.db"}


@pytest.mark.parametrize("how", ["removed", "moved", "exchanged"])
async def test_nothing_is_acknowledged_into_a_file_that_lost_its_name(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "chat.db"
    async with open_store(f"sqlite:///{tmp_path / 'other.db'}"):
        pass
    async with open_store(f"sqlite:///{path}") as store:
        await say(store, "s-1", "one")
        if how == "exchanged":
            os.replace(tmp_path / "other.db", path)
        else:
            path.rename(tmp_path / "kept.db")
        if how == "removed":
            (tmp_path / "kept.db").unlink()

        with pytest.raises(DatabaseUnavailableError, match="moved, removed"):
            await say(store, "s-1", "two")
        with pytest.raises(DatabaseUnavailableError, match="moved, removed"):
            async with store.transaction():
                pass
        if how == "moved":
            (tmp_path / "kept.db").rename(path)
            await say(store, "s-1", "three")
            assert await contents(store, "s-1") == ["one", "three"]


@pytest.mark.parametrize("name", ["chat.db-wal", "chat.db-shm"])
@pytest.mark.parametrize("how", ["removed", "moved", "exchanged"])
async def test_nothing_is_acknowledged_into_a_log_that_lost_its_name(
    tmp_path: Path, name: str, how: str
) -> None:
    beside = tmp_path / name
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        await say(store, "s-1", "one")
        beside.rename(tmp_path / "kept")
        if how == "removed":
            (tmp_path / "kept").unlink()
        if how == "exchanged":
            beside.write_bytes((tmp_path / "kept").read_bytes())

        with pytest.raises(DatabaseUnavailableError, match=rf"{name} was removed"):
            await say(store, "s-1", "two")
        with pytest.raises(DatabaseUnavailableError, match=rf"{name} was removed"):
            await store.maintain()
        if how == "moved":
            (tmp_path / "kept").rename(beside)
            await say(store, "s-1", "three")
            assert await contents(store, "s-1") == ["one", "three"]


async def test_a_log_that_goes_before_the_first_write_is_missed(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        await store.sessions.find("s-1")
        (tmp_path / "chat.db-wal").unlink()

        with pytest.raises(DatabaseUnavailableError, match=r"-wal was removed"):
            await say(store, "s-1", "one")


async def test_a_log_that_goes_during_a_commit_is_missed(tmp_path: Path) -> None:
    """The commit itself went to a file without a name: it is not acknowledged."""
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        await say(store, "s-1", "one")

        async def write() -> None:
            async with store.transaction() as tx:
                await say(tx, "s-1", "two")
                (tmp_path / "chat.db-wal").unlink()

        with pytest.raises(DatabaseUnavailableError, match=r"-wal was removed"):
            await write()


async def test_a_log_that_sqlite_takes_away_itself_is_not_missed(
    tmp_path: Path,
) -> None:
    for text in ("one", "two"):
        async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
            await say(store, "s-1", text)
            await store.maintain()
            await say(store, "s-1", f"{text} more")

    assert not (tmp_path / "chat.db-wal").exists()


@pytest.mark.parametrize("what", ["folder", "link"])
async def test_a_gate_that_cannot_be_used_is_said(tmp_path: Path, what: str) -> None:
    gate = tmp_path / "chat.db-gate"
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}"):
        pass
    async with open_store(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        gate.unlink()
        if what == "folder":
            gate.mkdir()
        else:
            gate.symlink_to(tmp_path / "somewhere")

        with pytest.raises(DatabaseUnavailableError, match="gate"):
            await store.sessions.get_or_create("s-1")

        (gate.rmdir if what == "folder" else gate.unlink)()
        await store.sessions.get_or_create("s-1")
    assert not (tmp_path / "somewhere").exists()
