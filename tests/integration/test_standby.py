"""A real hot standby: what is read there, and what becomes of callers when it takes
over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, StoreConfig, open_store
from convstore.db import replica
from convstore.errors import ConfigError, ConvstoreError, ReadOnlyDatabaseError
from tests.databases import PostgresDatabases
from tests.integration.archives import archived, documents, ids, segment_files
from tests.servers import PostgresServer, ServerUnavailableError, StandbyServer
from tests.summary import give_up


@dataclass
class Pair:
    """A primary with a migrated database, and its standby."""

    primary: PostgresServer
    standby: StandbyServer
    url: str

    @property
    def standby_url(self) -> str:
        return self.url.replace(str(self.primary.folder), str(self.standby.folder))

    @property
    def both(self) -> str:
        """Whichever of them takes writes."""
        hosts = f"{self.primary.folder},{self.standby.folder}"
        url = self.url.replace(str(self.primary.folder), hosts)
        return f"{url}&target_session_attrs=read-write"


@contextmanager
def paired() -> Iterator[Pair]:
    with ExitStack() as stack:
        primary = PostgresServer()
        stack.callback(primary.stop)
        primary.start()
        with closing(PostgresDatabases(primary.url)) as databases:
            url = databases.create()
            databases.keep()  # it goes with its server
        standby = StandbyServer(primary)
        stack.callback(standby.stop)
        standby.start()
        yield Pair(primary, standby, url)


def _made(config: pytest.Config) -> Iterator[Pair]:
    with ExitStack() as stack:
        try:
            pair = stack.enter_context(paired())
        except (ServerUnavailableError, ImportError, OSError) as error:
            give_up(config, "standby", str(error))
        yield pair


@pytest.fixture(scope="module")
def pair(pytestconfig: pytest.Config) -> Iterator[Pair]:
    yield from _made(pytestconfig)


@pytest.fixture
def own_pair(pytestconfig: pytest.Config) -> Iterator[Pair]:
    yield from _made(pytestconfig)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def config_of(pair: Pair, tenant: str, **settings: Any) -> StoreConfig:
    given = {"url": pair.url, "replica_url": pair.standby_url} | settings
    return StoreConfig(
        archive_dir=pair.standby.folder / "archive", tenant=tenant, **given
    )


async def listed(store: Store) -> list[str]:
    return sorted(s.id for s in (await store.sessions.list()).items)


async def test_what_is_read_from_a_replica_is_as_fresh_as_from_the_database(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "PATIENCE_S", 300.0)
    async with open_store(config_of(pair, "fresh")) as store:
        for number in range(1, 31):
            await store.conversation(f"s-{number:02}").append(
                role="user", content="Hoi"
            )
            names = [f"s-{n:02}" for n in range(1, number + 1)]
            assert await listed(store) == names
        assert sorted(await documents(store)) == names
        assert (await store.stats()).sessions == {"active": 30}
        report = await store.export("messages", to=tmp_path / "out")
        assert report.documents == 30
        assert await listed(store) == names
        async with connected(pair.standby_url) as standby:
            asked = await standby.fetch(
                "SELECT query FROM pg_stat_activity WHERE backend_type = "
                "'client backend' AND pid <> pg_backend_pid()"
            )
    assert any("sessions" in row["query"] for row in asked)


async def test_a_session_that_is_archived_reads_from_beside_a_replica(
    pair: Pair, tmp_path: Path
) -> None:
    async with open_store(config_of(pair, "default")) as store:
        await archived(store, *ids("s", 2))
        before = await documents(store)
        await store.restore("s-1")
        await store.erase(session_id="s-0")

        assert set(before) == {"s-0", "s-1"}
        assert set(await documents(store)) == {"s-1"}


async def test_a_replica_that_lags_is_passed_over(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "PATIENCE_S", 0.0)
    async with connected(pair.standby_url) as standby:
        await standby.execute("SELECT pg_wal_replay_pause()")
        try:
            async with open_store(config_of(pair, "lags")) as store:
                await store.conversation("s-1").append(role="user", content="Hoi")
                assert await listed(store) == ["s-1"]
        finally:
            await standby.execute("SELECT pg_wal_replay_resume()")


async def test_a_transaction_reads_its_own_writes_beside_a_replica(
    pair: Pair, tmp_path: Path
) -> None:
    async with (
        open_store(config_of(pair, "own")) as store,
        store.transaction() as tx,
    ):
        await tx.conversation("s-1").append(role="user", content="Hoi")
        assert [s.id for s in (await tx.sessions.list()).items] == ["s-1"]


async def test_a_replica_that_is_away_leaves_everything_to_the_database(
    pair: Pair, tmp_path: Path
) -> None:
    nobody = pair.url.replace(str(pair.primary.folder), str(tmp_path))
    config = config_of(pair, "away", replica_url=nobody)
    async with open_store(config) as store:
        await store.conversation("s-1").append(role="user", content="Hoi")

        assert await listed(store) == ["s-1"]
        assert (await store.stats()).sessions == {"active": 1}


async def test_a_primary_is_no_replica_of_itself(pair: Pair, tmp_path: Path) -> None:
    """As a standby that was promoted, and goes its own way since."""
    config = config_of(pair, "itself", replica_url=pair.url)
    async with open_store(config) as store:
        await store.conversation("s-1").append(role="user", content="Hoi")
        assert await listed(store) == ["s-1"]


async def test_another_database_is_no_replica(
    pair: Pair, postgres_url: str, tmp_path: Path
) -> None:
    config = config_of(pair, "other", replica_url=postgres_url)
    async with open_store(config) as store:
        with pytest.raises(ConfigError, match="REPLICA_URL"):
            await store.sessions.list()


async def test_sqlite_has_no_replicas(sqlite_url: str) -> None:
    with pytest.raises(ConfigError, match="REPLICA_URL"):
        async with open_store(StoreConfig(url=sqlite_url, replica_url=sqlite_url)):
            pass


async def test_a_standby_reads_and_verifies_and_says_that_it_takes_no_writes(
    pair: Pair, tmp_path: Path
) -> None:
    config = config_of(pair, "default", replica_url="")
    async with open_store(config) as store:
        await archived(store, "v-1")
        await store.conversation("v-2").append(role="user", content="Hoi")
        before = await documents(store)
        async with connected(pair.url) as primary, connected(pair.standby_url) as other:
            written = await primary.fetchval("SELECT pg_current_wal_insert_lsn()::text")
            while not await other.fetchval(  # noqa: ASYNC110 - of another process
                "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written
            ):
                await asyncio.sleep(0.01)
    on_standby = config.model_copy(update={"url": pair.standby_url})
    async with open_store(on_standby) as store:
        assert await documents(store) == before
        assert (await store.sessions.get_or_create("v-2"))[1] is False
        report = await store.archive.verify(record=False)
        assert report.ok
        assert report.segments >= 1
        for call in (
            lambda: store.archive.verify(),
            lambda: store.conversation("v-2").append(role="user", content="Hoi"),
            lambda: store.sessions.get_or_create("v-3"),
            lambda: store.erase(session_id="v-2"),
            lambda: store.run_retention(older_than_s=0),
        ):
            with pytest.raises(ReadOnlyDatabaseError, match="standby"):
                await call()


async def test_a_damaged_segment_is_told_and_not_noted_where_nothing_is_recorded(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, *ids("s", 2))
    (segment,) = segment_files(archive_dir)
    segment.write_bytes(segment.read_bytes()[:-40])

    report = await store.archive.verify(record=False)

    assert report.faults
    damaged = {fault.session_id for fault in report.faults if fault.session_id}
    assert {p.session_id for p in report.sessions_at_risk} == damaged
    assert (await store.stats()).quarantined_segments == 0
    assert (await store.archive.verify()).faults == report.faults
    assert (await store.stats()).quarantined_segments == 1


class Writer:
    """Appends to a session of its own, each turn until it is acknowledged; what is not
    transient ends it."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self.name = store, name
        self.acknowledged: list[str] = []

    async def write(self, count: int) -> None:
        for _ in range(count):
            said = f"{self.name}-{len(self.acknowledged)}"
            while not await self._is_acknowledged(said):
                pass
            self.acknowledged.append(said)

    async def _is_acknowledged(self, said: str) -> bool:
        try:
            await self._store.conversation(self.name).append(
                role="user", content=said, external_id=said
            )
        except ConvstoreError as error:
            if not error.transient:
                raise
            await asyncio.sleep(0.05)
            return False
        return True


async def test_a_promoted_standby_has_every_acknowledged_write_once(
    own_pair: Pair, tmp_path: Path
) -> None:
    async with connected(own_pair.url) as primary:
        await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await primary.execute("SELECT pg_reload_conf()")
    config = StoreConfig(url=own_pair.both, archive_dir=tmp_path / "archive")
    async with open_store(config) as store:
        writers = [Writer(store, f"w-{n}") for n in range(4)]
        await asyncio.gather(*(w.write(5) for w in writers))
        async with asyncio.TaskGroup() as group:
            for writer in writers:  # in the midst of it the primary dies
                group.create_task(writer.write(15))
            own_pair.primary.kill()
            async with connected(own_pair.standby_url) as standby:
                assert await standby.fetchval("SELECT pg_promote()")

        for writer in writers:
            (document,) = [d async for d in store.documents(session_ids=[writer.name])]
            assert [turn.content for turn in document.turns] == writer.acknowledged
            numbers = [turn.seq for turn in document.turns]
            assert numbers == list(range(1, len(numbers) + 1))
