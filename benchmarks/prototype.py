"""The prototype: the least that group commit can be. It keeps five columns, checks
nothing, numbers nothing and returns nothing; how near convstore comes is the point."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from benchmarks.contestants import TEXT, WINDOW, Target

TURNS = sa.Table(
    "turns",
    sa.MetaData(),
    sa.Column("session_id", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("role", sa.String),
    sa.Column("content", sa.Text),
    sa.Column("created_at", sa.Float),
    sqlite_with_rowid=False,
)


class Lane:
    """What gathers while a commit is in flight goes down in the next one."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def append(self, row: dict[str, Any]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((row, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit())
        await done

    async def _commit(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._connection.execute(TURNS.insert(), [row for row, _ in batch])
            await self._connection.commit()
            for _, done in batch:
                done.set_result(None)
            await asyncio.sleep(0)  # those who wake may write again


@asynccontextmanager
async def open_prototype(target: Target, sessions: Sequence[str]) -> AsyncIterator[Any]:
    """One lane on SQLite, two on PostgreSQL."""
    engine = create_async_engine(target.async_url)
    if target.postgres is None:

        @sa.event.listens_for(engine.sync_engine, "connect")
        def durable(connection: Any, _: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.close()

    async with engine.begin() as connection:
        await connection.run_sync(TURNS.metadata.create_all)
    lanes = [Lane(await engine.connect()) for _ in range(2 if target.postgres else 1)]
    lane_of = {session: lanes[i % len(lanes)] for i, session in enumerate(sessions)}
    seqs = dict.fromkeys(sessions, 0)
    reader = await engine.connect()
    newest = sa.select(TURNS).order_by(TURNS.c.seq.desc()).limit(WINDOW)

    async def append(session: str) -> None:
        seqs[session] += 1
        await lane_of[session].append(
            {
                "session_id": session,
                "seq": seqs[session],
                "role": "user",
                "content": TEXT,
                "created_at": time.time(),
            }
        )

    async def read(session: str) -> Any:
        return await reader.execute(newest.where(TURNS.c.session_id == session))

    yield append, read
    for lane in lanes:
        await lane._connection.close()
    await reader.close()
    await engine.dispose()
