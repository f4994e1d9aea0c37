"""Fresh, migrated databases: one per test, cheap because copied from a template."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")

FORMER = Path(__file__).parent / "migration" / "former"
"""What the last release made that kept its revision in `alembic_version`."""

VARIABLE = "CONVSTORE_TEST_DATABASES"
"""`upgraded`: tests get databases that the former release made, emptied and upgraded,
in place of new ones. `sharded`: the home database of a store over several."""

# What says at which revision a database is: kept where the rest is emptied.
_OF_THE_SCHEMA = ("alembic_version", "schema_info")
_KEPT = tuple(f'INSERT INTO "{name}"' for name in _OF_THE_SCHEMA)


def _asked() -> str:
    asked = os.environ.get(VARIABLE, "new")
    assert asked in ("new", "upgraded", "sharded"), f"{VARIABLE}: {asked}?"
    return asked


def are_upgraded() -> bool:
    """Whether tests are to get upgraded databases in place of new ones."""
    return _asked() == "upgraded"


def are_sharded() -> bool:
    """Whether stores of tests are to lie over several databases."""
    return _asked() == "sharded"


def shards_of(url: str) -> list[str]:
    """The shards beside a home database: files, or schemas in it."""
    if url.startswith("sqlite"):
        home = url.removesuffix(".db")
        return [f"{home}-{number}.db" for number in range(SHARDS)]
    more = "&" if urlsplit(url).query else "?"
    return [f"{url}{more}schema=s{number}" for number in range(SHARDS)]


def which() -> str:
    """In words, for the summary of a run; nothing of new ones."""
    if are_sharded():
        return f", stores over {SHARDS} shards"
    return ", databases upgraded from the former release" if are_upgraded() else ""


def former_dump(kind: str) -> str:
    """The statements that make a database of the former release, with data."""
    return (FORMER / f"{kind}.sql").read_text()


def make(url: str) -> None:
    """Give a database without tables the newest schema, in the way that is asked for:
    made new, or by the former release and upgraded."""
    if are_upgraded():
        make_former(url)
    migrate(url)


def make_former(url: str) -> None:
    """Give a database without tables those of the former release, with no rows."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            # As that release made its files; a dump does not say it.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            make_former_with(connection.execute)
            connection.commit()
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _make_former(url)).result()


async def _make_former(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute(former_dump("postgres"))
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        f" AND tablename NOT IN {_OF_THE_SCHEMA}"
    )
    names = ", ".join(f'public."{row["tablename"]}"' for row in tables)
    await connection.execute(f"TRUNCATE {names}")
    await connection.close()


def make_former_with(execute: Callable[[str], Any]) -> None:
    """The same for a SQLite file, by statements of a transaction that is open."""
    statement = ""
    for line in former_dump("sqlite").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            # Its rows point at each other in an order that the dump does not have.
            if statement.lstrip().startswith(("CREATE ", *_KEPT)):
                execute(statement)
            statement = ""


def migrate(url: str) -> None:
    """Bring a database to the newest schema, by the call that users have."""
    # Imported late: tests of pure parts must run where nothing else works.
    from convstore.db.migrate import upgrade

    # The call is for programs without an event loop; a test may be inside of one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(upgrade, url).result()


SHARDS = 2
"""Of a store over several databases in a test."""


class SqliteDatabases:
    """Files copied from one that was migrated once."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.db"

    def create(self, path: Path) -> str:
        """A fresh migrated database at `path`; its URL."""
        if not self._template.exists():
            make(f"sqlite:///{self._template}")
            # A write-ahead log left behind would be missing from the copies.
            assert not Path(f"{self._template}-wal").exists()
        url = f"sqlite:///{path}"
        for shard in shards_of(url) if are_sharded() else ():
            shutil.copyfile(self._template, shard.removeprefix("sqlite:///"))
        shutil.copyfile(self._template, path)
        return url

    def create_several(self, folder: Path) -> dict[str, Any]:
        """A home database and its shards, each a file, as settings."""
        home = self.create(folder / "home.db")
        shards = shards_of(home)
        for shard in shards:
            shutil.copyfile(self._template, shard.removeprefix("sqlite:///"))
        return {"url": home, "shards": shards}

    def copy(self, url: str, path: Path) -> str:
        """A copy of a database as a backup makes it; its URL."""
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as live:
            live.execute("VACUUM INTO ?", [str(path)])
        path.chmod(0o600)
        return f"sqlite:///{path}"


class PostgresDatabases:
    """Databases of one server, made from a template that was migrated once.

    Statements run on a thread with an event loop of its own, so that fixtures and
    tests may call from anywhere, inside a running loop too.
    """

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._thread = ThreadPoolExecutor(1, "test-databases")
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._connection: asyncpg.Connection | None = None
        self._prefix = f"convstore_test_{os.getpid()}"
        self._template: str | None = None
        self._several: str | None = None
        self._way = ""
        self._made = 0
        self._alive: set[str] = set()

    def version(self) -> str:
        """The server's version, in a few words."""
        return str(self._run(self._fetch("SHOW server_version")))

    def create(self) -> str:
        """A fresh migrated database; its URL."""
        if are_sharded():
            return str(self.create_several()["url"])
        return self._create_one()

    def _create_one(self) -> str:
        if self._template is None:
            self._template = self.create_empty()
            make(self._template)
            self._way = self._run(self._quickest())
        return self._create(f"TEMPLATE {self._name(self._template)}{self._way}")

    async def _quickest(self) -> str:
        """How the server copies a database in the least time.

        As files, where it need not wait for the disk: to log every page of the copy
        takes twice as long.
        """
        durable = await self._fetch("SHOW fsync") != "off"
        version = int(str(await self._fetch("SHOW server_version_num")))
        return "" if durable or version < 150_000 else " STRATEGY FILE_COPY"

    def create_several(self) -> dict[str, Any]:
        """A home database and its shards, each a schema of it, as settings."""
        if self._several is None:
            self._several = self._create_one()
            for shard in shards_of(self._several):
                migrate(shard)
        home = self.copy(self._several)
        return {"url": home, "shards": shards_of(home)}

    def copy(self, url: str) -> str:
        """A copy of a database that nobody is connected to; its URL."""
        return self._create(f"TEMPLATE {self._name(url)}{self._way}")

    def create_empty(self) -> str:
        """A database without any table; its URL."""
        return self._create("TEMPLATE template0")

    def drop(self, url: str) -> None:
        """Remove it, whoever is still connected; dropping twice does nothing."""
        if url in self._alive:
            self._run(self._fetch(f"DROP DATABASE {self._name(url)} WITH (FORCE)"))
            self._alive.remove(url)

    def keep(self) -> None:
        """Drop none of those that are left."""
        self._alive.clear()

    def close(self) -> None:
        """Drop what is left and disconnect."""
        for url in list(self._alive):
            self.drop(url)
        if self._connection is not None:
            self._run(self._connection.close())
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def _create(self, clause: str) -> str:
        name = f"{self._prefix}_{self._made}"
        self._made += 1
        self._run(self._fetch(f"CREATE DATABASE {name} {clause}"))
        url = urlsplit(self._server_url)._replace(path=f"/{name}").geturl()
        self._alive.add(url)
        return url

    def _name(self, url: str) -> str:
        return urlsplit(url).path.removeprefix("/")

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._runner.run, coroutine).result()

    async def _fetch(self, statement: str) -> object:
        import asyncpg

        if self._connection is None:
            self._connection = await asyncpg.connect(self._server_url, timeout=120)
        return await self._connection.fetchval(statement)
