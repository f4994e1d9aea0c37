"""Grows a real PostgreSQL database to what fits, measures it, and extrapolates.

    scripts/simulate --sessions 20000 --live 1000

Prints two tables in Markdown: what was measured, and what is arithmetic on it. Nothing
is kept; the server is one of its own unless `--postgres` names another.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.archiving.conversations import TURNS, fill
from benchmarks.contestants import TEXT
from benchmarks.processor import spent

STEPS = 4
"""Sizes at which the bytes of a row are asked for: if they differ, nothing follows."""
AT_ONCE = 50
SESSIONS, TURNS_IN_ALL = 10_000_000, 1_000_000_000
"""What is extrapolated to."""
SHARDS = 16
_DATABASE = "convstore_simulation"


@dataclass
class Measured:
    """What a run has found, in the order in which it was found."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float, what: str, unit: str) -> None:
        """Keep a figure, and its line of the table."""
        self.values[name] = value = float(value)
        shown = (
            f"{value:,.0f}"
            if value.is_integer() or abs(value) >= 10
            else f"{value:.2f}"
        )
        self.rows.append((what, f"{shown} {unit}".rstrip()))


async def simulate(url: str, folder: Path, sessions: int, live: int) -> Measured:
    """Measure a fresh database: appends, bytes, vacuum, archive, compaction."""
    from convstore import StoreConfig, open_store
    from convstore.db.migrate import upgrade

    await asyncio.to_thread(upgrade, url)
    found = Measured()
    async with _connected(url) as server:
        config = StoreConfig(url=url, archive_dir=folder / "archive")
        async with open_store(config) as store:
            await _append(server, store, live, found)
        await _vacuum(server, "after_appends", "vacuum behind these appends", found)
        await _grow(server, url, folder, sessions, found)
        async with open_store(config) as store:
            await _archive(server, store, found)
            report = await store.archive.compact()
            joined = f"{report.joined} to {report.made}"
            found.rows.append(("segments that `archive compact` joins", joined))
        await _vacuum(server, "after_purge", "vacuum behind that purge", found)
        await _stubs(server, found)
    return found


async def _append(server: Any, store: Any, sessions: int, found: Measured) -> None:
    """Turn by turn, as people talk, fifty at once."""
    names = iter([f"live-{number:07}" for number in range(sessions)])

    async def one() -> None:
        for name in names:
            await store.sessions.get_or_create(name, user_id="u-1")
            for number in range(TURNS):
                await store.turns.append(
                    name, role=("user", "assistant")[number % 2], content=TEXT
                )

    await server.execute("CHECKPOINT")
    before, spent, began = await _wal(server), time.process_time(), time.perf_counter()
    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    wall, count = time.perf_counter() - began, sessions * TURNS
    cpu = (time.process_time() - spent) / count * 1e6
    wal = (await _wal(server) - before) / count
    found.note("appends_per_s", count / wall, "appends, 50 callers", "/s")
    found.note("append_cpu", cpu, "processor time of an append, client", "µs")
    found.note("append_wal", wal, "write-ahead log of an append", "bytes")
    hot = await server.fetchval(
        "SELECT n_tup_hot_upd * 100.0 / nullif(n_tup_upd, 0) "
        "FROM pg_stat_user_tables WHERE relname = 'sessions'"
    )
    found.note("hot", float(hot or 0), "updates of a session's row in place (HOT)", "%")


async def _grow(
    server: Any, url: str, folder: Path, sessions: int, found: Measured
) -> None:
    """Rows put straight into the tables; bytes of a row at each size."""
    sizes = []
    for step in range(1, STEPS + 1):
        part = sessions // STEPS
        await fill([str(folder / "unused"), url], part, first=(step - 1) * part)
        await server.execute("VACUUM ANALYZE")
        turns = await server.fetchval("SELECT count(*) FROM turns")
        sizes.append((turns, await _bytes(server, "turns") / turns))
    first, last = sizes[0][1], sizes[-1][1]
    found.note("turn_bytes", last, "a live turn of 400 characters", "bytes")
    found.note(
        "drift",
        (last / first - 1) * 100,
        f"of which more at {sizes[-1][0]:,} turns than at {sizes[0][0]:,}",
        "%",
    )
    count = await server.fetchval("SELECT count(*) FROM sessions")
    found.note(
        "session_bytes",
        await _bytes(server, "sessions") / count,
        "a session's row with its indexes",
        "bytes",
    )


async def _archive(server: Any, store: Any, found: Measured) -> None:
    before, spent, began = await _wal(server), time.process_time(), time.perf_counter()
    report = await store.run_retention(older_than_s=0)
    wall, count = time.perf_counter() - began, report.purged
    cpu = (time.process_time() - spent) / count * 1e6
    wal = (await _wal(server) - before) / count
    found.note("archived_per_s", count / wall, "sessions archived and purged", "/s")
    found.note("archive_cpu", cpu, "processor time of that, client, a session", "µs")
    found.note("archive_wal", wal, "write-ahead log of that, a session", "bytes")
    packed = report.archived_bytes / count
    found.note("packed", packed, "an archived session of ten turns", "bytes")
    found.note("segments", len(report.segments), "segments written", "")


async def _vacuum(server: Any, name: str, what: str, found: Measured) -> None:
    dead = await server.fetchval("SELECT sum(n_dead_tup) FROM pg_stat_user_tables")
    pid = await server.fetchval("SELECT pg_backend_pid()")
    before = spent(pid)
    await server.execute("VACUUM")
    found.note(f"{name}_s", spent(pid) - before, f"{what}, processor time", "s")
    found.note(f"{name}_dead", float(dead or 0), "dead rows that it met", "")


async def _stubs(server: Any, found: Measured) -> None:
    """What stays in the database of an archived session, when vacuum is done."""
    for table in ("sessions", "archive_entries"):
        await server.execute(f"VACUUM FULL {table}")
    count = await server.fetchval("SELECT count(*) FROM sessions")
    stub = await _bytes(server, "sessions") + await _bytes(server, "archive_entries")
    found.note("stub_bytes", stub / count, "what stays of an archived session", "bytes")


async def _bytes(server: Any, table: str) -> float:
    found = await server.fetchval("SELECT pg_total_relation_size($1::regclass)", table)
    return float(found)


async def _wal(server: Any) -> float:
    await server.execute("SELECT pg_stat_clear_snapshot()")
    found = await server.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    return float(found)


def arithmetic(found: Measured) -> list[tuple[str, str]]:
    """Ten million sessions and a thousand million turns, by multiplication."""
    at = found.values
    turns_a_session = TURNS_IN_ALL / SESSIONS
    live = TURNS_IN_ALL * at["turn_bytes"] + SESSIONS * at["session_bytes"]
    packed = TURNS_IN_ALL * at["packed"] / TURNS
    stubs = SESSIONS * at["stub_bytes"]
    archiving_s = TURNS_IN_ALL / TURNS * at["archive_cpu"] / 1e6
    day = 86_400
    return [
        ("all of it live, tables and indexes", _size(live)),
        (f"the same, in each of {SHARDS} shards", _size(live / SHARDS)),
        ("all of it archived: segments", _size(packed)),
        ("all of it archived: what stays in the database", _size(stubs)),
        (f"the same, in each of {SHARDS} shards", _size(stubs / SHARDS)),
        ("segments of 256 MiB", f"{packed / 2**28:,.0f}"),
        (
            f"write-ahead log of appending it ({turns_a_session:.0f} turns a session)",
            _size(TURNS_IN_ALL * at["append_wal"]),
        ),
        (
            "appending it over a year: a second, and cores of the client",
            (
                f"{TURNS_IN_ALL / day / 365:,.0f}/s, "
                f"{TURNS_IN_ALL * at['append_cpu'] / 1e6 / day / 365:.3f}"
            ),
        ),
        (
            "archiving and purging it, ten turns a session: processor time here",
            f"{archiving_s / 3600:,.0f} core-hours",
        ),
        (
            "write-ahead log of archiving and purging it",
            _size(TURNS_IN_ALL / TURNS * at["archive_wal"]),
        ),
    ]


def _size(value: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:,.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    """Markdown."""
    lines = [f"| {head[0]} | {head[1]} |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {what} | {value} |" for what, value in rows)])


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def _fresh(url: str) -> Iterator[str]:
    """A database of our own on a server."""

    async def run(*statements: str) -> None:
        async with _connected(url) as server:
            for statement in statements:
                await server.execute(statement)

    drop = f"DROP DATABASE IF EXISTS {_DATABASE} WITH (FORCE)"
    asyncio.run(run(drop, f"CREATE DATABASE {_DATABASE}"))
    try:
        yield urlsplit(url)._replace(path=f"/{_DATABASE}").geturl()
    finally:
        asyncio.run(run(drop))


def main() -> int:
    """Measure, and print."""
    from benchmarks.bench import postgres_server

    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--sessions", type=int, default=20_000, help="of ten turns")
    parser.add_argument("--live", type=int, default=1_000, help="appended one by one")
    parser.add_argument("--postgres", metavar="URL", help="a server; else one is begun")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = asked.postgres or stack.enter_context(postgres_server())
        if url is None:
            return 1
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fresh = stack.enter_context(_fresh(url))
        found = asyncio.run(simulate(fresh, folder, asked.sessions, asked.live))
    sys.stdout.write(table(("measured", "figure"), found.rows) + "\n\n")
    head = (f"arithmetic: {SESSIONS:,} sessions, {TURNS_IN_ALL:,} turns", "figure")
    sys.stdout.write(table(head, arithmetic(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
