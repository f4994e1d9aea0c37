"""Grows a real database to what fits, at several sizes, and extrapolates from the line.

    scripts/simulate --database sqlite --sessions 100000

It grows to an eighth, a quarter, half and all of the sessions, then archives a quarter
of them after the other. Prints tables in Markdown: what was measured at each size, and
what is arithmetic on it. Nothing is kept; a server of PostgreSQL is one of its own
unless `--postgres` names another.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.archiving.conversations import TURNS, fill
from benchmarks.contestants import TEXT
from benchmarks.grounds import Ground, Postgres, Sqlite, connected, fresh_database

STEPS = 4
AT_ONCE = 50
SESSIONS, TURNS_IN_ALL = 10_000_000, 1_000_000_000
"""What is extrapolated to."""
SHARDS = 16
BATCH = 500


@dataclass
class Series:
    """One figure at several sizes."""

    what: str
    unit: str
    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Over all sizes."""
        return statistics.fmean(value for _, value in self.points)

    @property
    def doubling(self) -> float:
        """What comes to it each time that the size doubles, by the straight line
        through the logarithms of the sizes."""
        return _slope([(math.log2(size), value) for size, value in self.points])

    def at(self, size: float) -> float:
        """Further along that line; not less than was measured last."""
        last, value = self.points[-1]
        return value + max(0.0, self.doubling * math.log2(size / last))


@dataclass
class Measured:
    """What a run has found, by name, in the order in which it was found."""

    live: dict[str, Series] = field(default_factory=dict)
    archived: dict[str, Series] = field(default_factory=dict)
    totals: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)


def _slope(points: list[tuple[float, float]]) -> float:
    return statistics.linear_regression(*zip(*points, strict=True)).slope


class Run:
    """One database, from empty to grown, and to archived."""

    def __init__(self, ground: Ground, store: Any, found: Measured) -> None:
        self._ground, self._store, self.found = ground, store, found
        self._named = self._purged = 0

    async def grow(self, sessions: int, sample: int) -> None:
        """Rows put straight into the tables, then turns as people append them."""
        there = 0
        for step in reversed(range(STEPS)):
            more = (sessions >> step) - there
            await fill(self._ground.target, more, first=there)
            there += more
            await self._ground.settle()
            await self._append(there, sample)
            await self._vacuum(self.found.live, there)
            await self._sizes(there + self._named)
            _say(f"{self._ground.name}: {there:,} sessions")

    async def drain(self, sessions: int) -> None:
        """A quarter after the other goes to the archive."""
        for _ in range(STEPS):
            await self._archive(sessions // STEPS)
            await self._vacuum(self.found.archived, self._purged)
            _say(f"{self._ground.name}: {self._purged:,} archived")
        rest = await self._store.run_retention(older_than_s=0)
        count = self._purged + rest.purged
        for table in ("sessions", "archive_entries"):
            await self._ground.shrink(table)
        entries = await self._ground.bytes_of("archive_entries")
        stub = (await self._ground.bytes_of("sessions") + entries) / count
        self.found.totals["stub"] = [(count, stub)]
        self.found.notes.append(
            ("what stays of an archived session", f"{stub:,.0f} bytes")
        )
        cpu = time.process_time()
        report = await self._store.archive.compact()
        cpu = time.process_time() - cpu
        self.found.notes.append(
            (
                "joining segments, processor time",
                f"{report.joined} to {report.made}: {cpu:.1f} s",
            )
        )

    async def _append(self, there: int, sessions: int) -> None:
        store = self._store
        names = iter([f"live-{self._named + n:07}" for n in range(sessions)])
        self._named += sessions

        async def one() -> None:
            for name in names:
                await store.sessions.get_or_create(name, user_id="u-1")
                for number in range(TURNS):
                    await store.turns.append(
                        name, role=("user", "assistant")[number % 2], content=TEXT
                    )

        before = await self._spent()
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))
        self._note(self.found.live, "append", before, await self._spent(), there,
                   sessions * TURNS, "an append")  # fmt: skip

    async def _archive(self, sessions: int) -> None:
        before = await self._spent()
        report = await self._store.run_retention(
            older_than_s=0, batch=BATCH, max_batches=sessions // BATCH
        )
        after, count = await self._spent(), report.purged
        self._purged += count
        there = self._purged
        self._note(self.found.archived, "archive", before, after, there, count,
                   "archiving and purging a session")  # fmt: skip
        packed = report.archived_bytes / count
        _put(self.found.archived, "packed", "a session in its segment", "bytes",
             there, packed)  # fmt: skip

    async def _spent(self) -> tuple[float, float, float]:
        server = await self._ground.server_s()
        return time.process_time(), server, await self._ground.written()

    def _note(
        self,
        series: dict[str, Series],
        name: str,
        before: tuple[float, ...],
        after: tuple[float, ...],
        size: float,
        count: int,
        what: str,
    ) -> None:
        client, server, written = (
            (b - a) / count for a, b in zip(before, after, strict=True)
        )
        put = lambda *of: _put(series, *of)  # noqa: E731
        put(f"{name} client", f"{what}: client", "µs", size, client * 1e6)
        if server:
            put(f"{name} server", f"{what}: server", "µs", size, server * 1e6)
        put(
            f"{name} written",
            f"{what}: {self._ground.written_is}",
            "bytes",
            size,
            written,
        )

    async def _vacuum(self, series: dict[str, Series], size: float) -> None:
        cpu, dead = await self._ground.vacuum(self._store)
        _put(series, "vacuum", "vacuum behind it", "ms", size, cpu * 1000)
        _put(series, "dead", f"{self._ground.dead_are} that it met", "", size, dead)

    async def _sizes(self, sessions: int) -> None:
        found, turns = self.found, sessions * TURNS
        for table, count in (("turns", turns), ("sessions", sessions)):
            size = await self._ground.bytes_of(table)
            found.totals.setdefault(table, []).append((count, size))
            what = {"turns": "a turn of 400 characters", "sessions": "a session's row"}
            _put(found.live, table, f"{what[table]}, with indexes", "bytes",
                 sessions, size / count)  # fmt: skip


def _put(
    series: dict[str, Series], name: str, what: str, unit: str, size: float, v: float
) -> None:
    series.setdefault(name, Series(what, unit)).points.append((size, v))


async def simulate(ground: Ground, folder: Path, sessions: int, live: int) -> Measured:
    """Measure a fresh database: appends, bytes, vacuum, archive, compaction."""
    from convstore import StoreConfig, open_store
    from convstore.db.migrate import upgrade

    await asyncio.to_thread(upgrade, ground.url)
    config = StoreConfig(url=ground.url, archive_dir=folder / "archive")
    async with open_store(config) as store:
        run = Run(ground, store, Measured())
        await run.grow(sessions, live)
        await run.drain(sessions)
    return run.found


def arithmetic(found: Measured) -> list[tuple[str, str]]:
    """Ten million sessions and a thousand million turns, along the lines."""
    turn, row = (_slope(found.totals[name]) for name in ("turns", "sessions"))
    live = TURNS_IN_ALL * turn + SESSIONS * row
    packed = TURNS_IN_ALL / TURNS * found.archived["packed"].mean
    stubs = SESSIONS * found.totals["stub"][0][1]

    def cost(name: str, size: float) -> float:
        series = found.live if name.startswith("append") else found.archived
        return series[name].at(size) if name in series else 0.0

    def hours(name: str, times: float, size: float) -> str:
        both = cost(f"{name} client", size) + cost(f"{name} server", size)
        return f"{times * both / 1e6 / 3600:,.0f} core-hours"

    appended = found.live["append written"].mean * TURNS_IN_ALL
    purged = found.archived["archive written"].mean * TURNS_IN_ALL / TURNS
    return [
        ("all of it live, tables and indexes", _size(live)),
        (f"the same, in each of {SHARDS} shards", _size(live / SHARDS)),
        ("all of it archived: segments", _size(packed)),
        ("all of it archived: what stays in the database", _size(stubs)),
        ("segments of 256 MiB", f"{packed / 2**28:,.0f}"),
        ("written while appending it", _size(appended)),
        ("written while archiving and purging it", _size(purged)),
        (
            "appending it: processor time here, client and server",
            hours("append", TURNS_IN_ALL, SESSIONS),
        ),
        (
            "archiving and purging it, ten turns a session: the same",
            hours("archive", TURNS_IN_ALL / TURNS, SESSIONS),
        ),
    ]


def _size(value: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:,.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def shown(head: str, series: dict[str, Series]) -> str:
    """A table in Markdown, with a column for each size."""
    sizes = [f"{size:,.0f}" for size, _ in next(iter(series.values())).points]
    rows = []
    for one in series.values():
        unit = f", {one.unit}" if one.unit else ""
        values = [_number(value) for _, value in one.points]
        share = one.doubling / one.mean * 100 if one.mean else 0.0
        rows.append([f"{one.what}{unit}", *values, f"{share:+.1f} %"])
    return _table([head, *sizes, "each doubling"], rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _tell(ground: Ground, found: Measured) -> None:
    head = f"arithmetic: {SESSIONS:,} sessions, {TURNS_IN_ALL:,} turns"
    tables = [
        shown(f"{ground.name}: live sessions", found.live),
        shown(f"{ground.name}: archived sessions", found.archived),
        _table(["and then", "figure"], [list(note) for note in found.notes]),
        _table([head, ground.name], [list(row) for row in arithmetic(found)]),
    ]
    sys.stdout.write("\n\n".join(tables) + "\n")


async def _on_postgres(url: str, folder: Path, sessions: int, live: int) -> None:
    async with connected(url) as server:
        ground = Postgres(url, server)
        _tell(ground, await simulate(ground, folder, sessions, live))


async def _on_sqlite(folder: Path, sessions: int, live: int) -> None:
    ground = Sqlite(folder / "chat.db")
    _tell(ground, await simulate(ground, folder, sessions, live))


def main() -> int:
    """Measure, and print."""
    from benchmarks.bench import postgres_server

    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--sessions", type=int, default=20_000, help="of ten turns")
    parser.add_argument("--live", type=int, default=200, help="appended at each size")
    parser.add_argument("--postgres", metavar="URL", help="a server; else one is begun")
    asked = parser.parse_args()
    least = BATCH * STEPS * 2
    if asked.sessions < least:
        parser.error(f"--sessions: at least {least}")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if asked.database == "sqlite":
            asyncio.run(_on_sqlite(folder, asked.sessions, asked.live))
            return 0
        url = asked.postgres or stack.enter_context(postgres_server())
        if url is None:
            return 1
        own = asked.postgres is None
        fresh = stack.enter_context(fresh_database(url, own=own))
        asyncio.run(_on_postgres(fresh, folder, asked.sessions, asked.live))
    return 0


if __name__ == "__main__":
    sys.exit(main())
