"""The databases that a simulation grows: their bytes, what they write, their vacuum."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from benchmarks.processor import server_seconds, spent

_DATABASE = "convstore_simulation"


class Ground(Protocol):
    """A database as the simulation sees it."""

    name: str
    url: str
    target: list[Any]
    """As `benchmarks.archiving.conversations.fill` takes it."""
    written_is: str
    dead_are: str

    async def settle(self) -> None:
        """Bring statistics up to date, and write what is to be written."""

    async def bytes_of(self, table: str) -> float:
        """Of a table with its indexes."""

    async def written(self) -> float:
        """Bytes, so far."""

    async def server_s(self) -> float:
        """Processor time of a server, so far; 0 without one."""

    async def vacuum(self, store: Any) -> tuple[float, float]:
        """Clear up, as from time to time; processor time, and what there was to do."""

    async def shrink(self, table: str) -> None:
        """Give back all that a table does not need."""


class Postgres:
    """A database of PostgreSQL, of a server on this machine."""

    name, written_is = "PostgreSQL", "write-ahead log"
    dead_are = "dead rows"

    def __init__(self, url: str, server: Any) -> None:
        self.url, self.target, self._server = url, ["/nowhere", url], server

    async def settle(self) -> None:
        await self._server.execute("VACUUM ANALYZE")
        await self._server.execute("CHECKPOINT")

    async def bytes_of(self, table: str) -> float:
        asked = "SELECT pg_total_relation_size($1::regclass)"
        return float(await self._server.fetchval(asked, table))

    async def written(self) -> float:
        asked = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
        return float(await self._server.fetchval(asked))

    async def server_s(self) -> float:
        return await server_seconds(self.url)

    async def vacuum(self, store: Any) -> tuple[float, float]:
        await self._server.execute("SELECT pg_stat_force_next_flush()")
        await self._server.execute("SELECT pg_stat_clear_snapshot()")
        asked = "SELECT sum(n_dead_tup) FROM pg_stat_user_tables"
        dead = await self._server.fetchval(asked)
        pid = await self._server.fetchval("SELECT pg_backend_pid()")
        before = spent(pid)
        await self._server.execute("VACUUM (PARALLEL 0)")
        return spent(pid) - before, float(dead or 0)

    async def shrink(self, table: str) -> None:
        await self._server.execute(f"VACUUM FULL {table}")


class Sqlite:
    """A file of SQLite, which has no server: what it writes is this process's."""

    name, written_is = "SQLite", "bytes written, log and file"
    dead_are = "free pages"

    def __init__(self, path: Path) -> None:
        self.url, self.target = f"sqlite:///{path}", [str(path)]
        self._path = path

    async def settle(self) -> None:
        self._ask("ANALYZE")
        self._ask("PRAGMA wal_checkpoint(TRUNCATE)")

    async def bytes_of(self, table: str) -> float:
        names = self._ask("SELECT name FROM sqlite_schema WHERE tbl_name = ?", table)
        asked = "SELECT pgsize FROM dbstat WHERE aggregate = TRUE AND name = ?"
        sizes = [self._ask(asked, name) for (name,) in names]
        return float(sum(found[0][0] for found in sizes if found))

    async def written(self) -> float:
        return _written_here()

    async def server_s(self) -> float:
        return 0.0

    async def vacuum(self, store: Any) -> tuple[float, float]:
        ((free,),) = self._ask("PRAGMA freelist_count")
        before = time.process_time()
        await store.maintain()
        return time.process_time() - before, float(free)

    async def shrink(self, table: str) -> None:
        """Nothing: pages that are free are no table's."""

    def _ask(self, statement: str, *given: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=60)) as connection:
            return connection.execute(statement, given).fetchall()


def _written_here() -> float:
    said = Path("/proc/self/io").read_text("ascii").split()
    return float(said[said.index("wchar:") + 1])


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection to PostgreSQL."""
    import asyncpg

    connection = await asyncpg.connect(url, command_timeout=3_600)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def fresh_database(url: str, *, own: bool) -> Iterator[str]:
    """A database of our own on a server; `own` says that the server is, too."""

    async def run(*statements: str) -> None:
        async with connected(url) as server:
            for statement in statements:
                await server.execute(statement)

    drop = f"DROP DATABASE IF EXISTS {_DATABASE} WITH (FORCE)"
    # What vacuum has to do is counted when it is asked for.
    quiet = ("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
    asyncio.run(run(*(quiet if own else ()), drop, f"CREATE DATABASE {_DATABASE}"))
    try:
        yield urlsplit(url)._replace(path=f"/{_DATABASE}").geturl()
    finally:
        asyncio.run(run(drop))
