"""Fixtures of every test: fresh databases on both engines, stores, servers, time.

A test that asks for `database_url` or `store` runs once on SQLite and once on
PostgreSQL. A database that cannot be had is named at the end of the run; where CI is
set it fails the tests instead.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import hypothesis
import pytest

from convstore.vocabulary.clock import ManualClock
from tests.databases import (
    PostgresDatabases,
    SqliteDatabases,
    are_sharded,
    shards_of,
    which,
)
from tests.leaks import pytest_collection_finish
from tests.processes import Process, run_processes
from tests.real_files import NAMED, REAL, STAND_INS, packed
from tests.servers import (
    PostgresServer,
    RedisServer,
    S3Server,
    ServerUnavailableError,
    ValkeyServer,
    object_server,
)
from tests.slowness import check_cases, mark_slow
from tests.summary import (
    give_up,
    note_tested,
    pytest_configure,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

if TYPE_CHECKING:
    from convstore.store import Store

__all__ = [  # Hooks that pytest finds here.
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

S = TypeVar("S", PostgresServer, RedisServer, S3Server)
ROOT = Path(__file__).resolve().parents[1]
# The same examples in every run; `--hypothesis-profile=explore` looks for new ones.
hypothesis.settings.register_profile("convstore", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None, print_blob=True)
hypothesis.settings.load_profile("convstore")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Look at what `mostly_slow` names while every case of the function is at hand."""
    made = yield
    check_cases(each for each in made or () if isinstance(each, pytest.Function))
    return made


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at what is slow
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out, over several databases, what looks behind the face at one of them."""
    mark_slow(items)
    if not are_sharded():
        return
    listed = (ROOT / "tests" / "shards" / "of-one-database.txt").read_text("utf-8")
    names = {line.partition("  #")[0] for line in listed.splitlines()}
    left_out = [item for item in items if item.nodeid.partition("[")[0] in names]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


# Time and folders


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def archive_dir(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture(scope="session")
def real_data(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of real conversations; where there is none, of their stand-ins."""
    if REAL.is_dir():
        note_tested(pytestconfig, "real data", str(REAL))
        return REAL
    if NAMED:
        give_up(pytestconfig, "real data", f"CONVSTORE_TEST_DATA: no folder {NAMED}")
    told = "stand-ins from tests/data; CONVSTORE_TEST_DATA names a folder of real ones"
    note_tested(pytestconfig, "real data", told)
    return packed(STAND_INS, tmp_path_factory.mktemp("conversations"))


# Databases and servers


@pytest.fixture(scope="session", autouse=True)
def once_for_all() -> None:
    """What every test would do again, where the package can be imported."""
    with suppress(ImportError):
        from tests.compiled import share_compiled
        from tests.migrated import share_migrated

        share_compiled()
        share_migrated()


@pytest.fixture(scope="session")
def sqlite_databases(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> SqliteDatabases:
    note_tested(pytestconfig, "sqlite", sqlite3.sqlite_version + which())
    return SqliteDatabases(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_databases(pytestconfig: pytest.Config) -> Iterator[PostgresDatabases]:
    """Databases on this worker's own server, or on CONVSTORE_TEST_POSTGRES_URL."""
    with ExitStack() as stack:
        try:
            origin, url = _server("POSTGRES", PostgresServer, stack)
            databases = stack.enter_context(closing(PostgresDatabases(url)))
            version = databases.version()
        except (ServerUnavailableError, ImportError, OSError) as error:
            give_up(pytestconfig, "postgres", str(error))
        note_tested(pytestconfig, "postgres", f"{version}, {origin}{which()}")
        yield databases


def _server(name: str, kind: type[S], stack: ExitStack) -> tuple[str, str]:
    """Where the server comes from, and its URL."""
    variable = f"CONVSTORE_TEST_{name}_URL"
    if url := os.environ.get(variable):
        return f"named by {variable}", url
    return "from its wheel", stack.enter_context(running(kind)).url


@contextmanager
def running(kind: type[S]) -> Iterator[S]:
    """A server of our own, stopped at the end."""
    server = kind()
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


@pytest.fixture
def sqlite_url(sqlite_databases: SqliteDatabases, tmp_path: Path) -> str:
    return sqlite_databases.create(tmp_path / "convstore.db")


@pytest.fixture
def postgres_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    url = postgres_databases.create()
    yield url
    postgres_databases.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh migrated database, dropped after the test."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table; the file of the SQLite one does not exist yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    url = databases.create_empty()
    yield url
    databases.drop(url)


@pytest.fixture
def new_database(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[str], str]]:
    """Make further fresh databases: `new_database("sqlite")`, `…("postgres")`."""
    made: list[str] = []

    def make(kind: str) -> str:
        if kind == "sqlite":
            sqlite: SqliteDatabases = request.getfixturevalue("sqlite_databases")
            number = sum(1 for _ in tmp_path.iterdir())
            return sqlite.create(tmp_path / f"another-{number}.db")
        made.append(request.getfixturevalue("postgres_databases").create())
        return made[-1]

    yield make
    for url in made:
        request.getfixturevalue("postgres_databases").drop(url)


@pytest.fixture
def copy_database(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[str], str]:
    """Copy a database of which no store is open: `copy_database(url)` is the URL."""

    def copy(url: str) -> str:
        if url.startswith("sqlite"):
            sqlite: SqliteDatabases = request.getfixturevalue("sqlite_databases")
            number = sum(1 for _ in tmp_path.iterdir())
            return sqlite.copy(url, tmp_path / f"copy-{number}.db")
        # Dropped with the server's last ones: stores are open on it until then.
        return str(request.getfixturevalue("postgres_databases").copy(url))

    return copy


@pytest.fixture(scope="session")
def shared_redis(pytestconfig: pytest.Config) -> Iterator[str]:
    yield from _shared("redis", RedisServer, pytestconfig)


@pytest.fixture(scope="session")
def shared_valkey(pytestconfig: pytest.Config) -> Iterator[str]:
    yield from _shared("valkey", ValkeyServer, pytestconfig)


def _shared(name: str, kind: type[RedisServer], config: pytest.Config) -> Iterator[str]:
    import redis

    with ExitStack() as stack:
        try:
            origin, url = _server(name.upper(), kind, stack)
            client = stack.enter_context(redis.from_url(url))
            server = client.info("server")
        except (ServerUnavailableError, redis.RedisError, OSError) as error:
            give_up(config, name, str(error))
        # Valkey gives, as Redis' version, the one that it stands in for.
        version = server.get("valkey_version") or server["redis_version"]
        note_tested(config, name, f"{version}, {origin}")
        yield url


@pytest.fixture
def redis_url(shared_redis: str) -> str:
    """An empty Redis database; one that CONVSTORE_TEST_REDIS_URL names is emptied."""
    return _emptied(shared_redis)


@pytest.fixture
def valkey_url(shared_valkey: str) -> str:
    """An empty Valkey database; one that CONVSTORE_TEST_VALKEY_URL names is emptied."""
    return _emptied(shared_valkey)


def _emptied(url: str) -> str:
    import redis

    with redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def s3_server(pytestconfig: pytest.Config) -> Iterator[S3Server]:
    """An S3 server with the buckets of `moto_process`, and the right to use it.

    moto, or what CONVSTORE_TEST_OBJECT_STORAGE names: `ceph` or `azurite`.
    """
    with ExitStack() as stack:
        try:
            pytest.importorskip("obstore")
            server = stack.enter_context(running(object_server()))
        except (ServerUnavailableError, pytest.skip.Exception, OSError) as error:
            give_up(pytestconfig, "object storage", str(error))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in server.environment.items():
            environment.setenv(name, value)
        note_tested(pytestconfig, "object storage", server.told)
        yield server


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """The URL of a prefix that nobody uses."""
    return f"{s3_server.scheme}://archive/{uuid4().hex}"


@pytest.fixture
def own_redis(pytestconfig: pytest.Config) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed, paused and started again."""
    yield from _own(RedisServer, "redis", pytestconfig)


@pytest.fixture
def own_postgres(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to be killed, paused and started again."""
    yield from _own(PostgresServer, "postgres", pytestconfig)


def _own(kind: type[S], name: str, config: pytest.Config) -> Iterator[S]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running(kind))
        except (ServerUnavailableError, OSError) as error:
            give_up(config, name, str(error))
        yield server


# Stores


@pytest.fixture
async def open_another(
    database_url: str, archive_dir: Path, clock: ManualClock
) -> AsyncIterator[Callable[..., Awaitable[Store]]]:
    """Open stores on the test's database: `await open_another(**settings)`.

    When the test is over they are closed, and must leave no task alive and no
    connection in use.
    """
    from convstore import StoreConfig, open_store

    stores: list[Store] = []
    async with AsyncExitStack() as stack:

        async def open_one(*, on_step: Any = None, **settings: Any) -> Store:
            given: dict[str, Any] = {"url": database_url, "archive_dir": archive_dir}
            if are_sharded():
                given["shards"] = shards_of(database_url)
            settings = {**given, **settings}
            opening = open_store(StoreConfig(**settings), clock=clock, on_step=on_step)
            stores.append(await stack.enter_async_context(opening))
            return stores[-1]

        yield open_one
        in_use: list[int] = []
        # A commit whose caller was cancelled may still be on its way.
        for _ in range(12_000):
            in_use = [store._parts.backend.checked_out() for store in stores]
            if not any(in_use):
                break
            await asyncio.sleep(0.01)
        assert not any(in_use), f"connections left in use: {in_use}"
    alive = asyncio.all_tasks() - {asyncio.current_task()}
    assert not alive, f"tasks left alive: {alive}"


@pytest.fixture
async def store(open_another: Callable[..., Awaitable[Store]]) -> Store:
    """A store on a fresh database, once on SQLite and once on PostgreSQL."""
    return await open_another()


# Processes


@pytest.fixture
def start_process() -> Iterator[Callable[..., Process]]:
    """Start a Python process as `tests.processes.Process`; killed after the test."""
    started: list[Process] = []

    def start(program: str | Path, *args: object, index: int = 0) -> Process:
        started.append(Process(program, *args, index=index))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture(name="run_processes")
def run_processes_fixture() -> Callable[..., list[list[Any]]]:
    """`tests.processes.run_processes`, without an import."""
    return run_processes
