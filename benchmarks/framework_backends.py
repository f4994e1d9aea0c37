"""What is measured of a framework's own store, and of ours in its place."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

from benchmarks.contestants import TEXT, Target
from benchmarks.framework_faces import OPENERS, Call, graph, open_saver
from benchmarks.processor import server_seconds

Figures = dict[str, Any]
MANY = 30


async def calls(
    contestant: str, target: list[Any], framework: str, alone: int, together: int
) -> Figures:
    """Adding to sessions and reading them: one caller, and thirty at once.

    Each of the thirty has a session of its own. Given are calls a second, and
    microseconds of processor time for each call: of this process, which is the client,
    and of the server's.
    """
    names, where = [f"s-{number}" for number in range(MANY)], Target(*target)
    figures: Figures = {}
    async with OPENERS[framework](contestant, where, names) as face:
        for name in names:  # one by one: several make their tables now
            await face.add(name)
            await face.read(name)
        for what, call in (("add", face.add), ("read", face.read)):
            figures[f"{what} 1"] = await _timed(call, names[:1], alone, where)
            figures[f"{what} {MANY}"] = await _timed(call, names, together, where)
    return figures


async def _timed(call: Call, names: list[str], each: int, where: Target) -> Figures:
    async def one(name: str) -> None:
        for _ in range(each):
            await call(name)

    made = len(names) * each
    server = await _server_seconds(where)
    wall, client = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(one, names))
    wall, client = time.perf_counter() - wall, time.process_time() - client
    server = await _server_seconds(where) - server
    return {
        "per_s": round(made / wall, 1),
        "client_us": round(1e6 * client / made),
        "server_us": round(1e6 * server / made),
    }


async def _server_seconds(where: Target) -> float:
    """0 where the server is not here to be asked."""
    try:
        return await server_seconds(where.postgres)
    except OSError:
        return 0.0


async def graph_on_disk(contestant: str, target: list[Any], turns: int) -> Figures:
    """A graph of one step that keeps messages: so many turns of 1 KB in one thread."""
    from langchain_core.messages import HumanMessage

    where, text = Target(*target), (TEXT * 2)[:500]
    async with open_saver(contestant, where) as made:
        empty = await _size(where)
        app, thread = graph(made, text), {"configurable": {"thread_id": "s-1"}}
        wall, client = time.perf_counter(), time.process_time()
        for _ in range(turns):
            await app.ainvoke({"messages": [HumanMessage(text)]}, thread)
        wall, client = time.perf_counter() - wall, time.process_time() - client
        size = await _size(where) - empty
    return {
        "per_s": round(turns / wall, 1),
        "client_us": round(1e6 * client / turns),
        "bytes": size,
    }


async def _size(target: Target) -> int:
    """Bytes of the database: of SQLite's file, after its log was written to it."""
    if not target.postgres:
        with contextlib.closing(sqlite3.connect(target.path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        paths = (Path(target.path + end) for end in ("", "-wal"))
        return sum(path.stat().st_size for path in paths if path.exists())
    import asyncpg

    connection = await asyncpg.connect(target.postgres)
    try:
        return int(
            await connection.fetchval("SELECT pg_database_size(current_database())")
        )
    finally:
        await connection.close()
