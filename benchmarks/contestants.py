"""Who is measured: convstore, its peers, the bare drivers and the prototype.

Each is opened on an empty database for a list of sessions, and gives two coroutine
functions: append one turn, and read the newest twenty.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

TEXT = ("Der schnelle braune Fuchs springt über den faulen Hund. ¿Qué tal? " * 7)[:400]
WINDOW = 20
REDIS = "BENCH_REDIS_URL"
"""Names the server of the contestants that use one; emptied by nobody."""

PEERS = ("openai_agents", "google_adk", "langchain")

Append = Callable[[str], Awaitable[object]]
Read = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Target:
    """An empty database: a file of SQLite, or the URL of PostgreSQL."""

    path: str
    postgres: str | None = None

    @property
    def url(self) -> str:
        """As users of convstore write it."""
        return self.postgres or f"sqlite:///{self.path}"

    @property
    def async_url(self) -> str:
        """As users of SQLAlchemy write it."""
        if self.postgres:
            return self.postgres.replace("postgresql://", "postgresql+asyncpg://", 1)
        return f"sqlite+aiosqlite:///{self.path}"

    @property
    def engine_options(self) -> dict[str, Any]:
        """Enough connections, and enough patience with SQLite's lock."""
        return {"pool_size": 20} if self.postgres else {"connect_args": {"timeout": 60}}


@asynccontextmanager
async def open_contestant(
    name: str, target: Target, sessions: Sequence[str]
) -> AsyncIterator[tuple[Append, Read]]:
    """Open one by its name.

    Raises:
        ImportError: It is not installed.
    """
    async with _OPENERS[name](target, sessions) as opened:
        yield opened


@asynccontextmanager
async def _convstore(
    target: Target, sessions: Sequence[str], **settings: Any
) -> AsyncIterator[Any]:
    from convstore import StoreConfig, open_store
    from convstore.db.migrate import upgrade

    await asyncio.to_thread(upgrade, target.url)
    async with open_store(StoreConfig(url=target.url, **settings)) as store:
        for session in sessions:
            await store.sessions.get_or_create(session, user_id="u-1")
        turns = store.turns
        yield (
            lambda session: turns.append(session, role="user", content=TEXT),
            lambda session: turns.window(session, limit=WINDOW),
        )


@asynccontextmanager
async def _convstore_redis(
    target: Target, sessions: Sequence[str]
) -> AsyncIterator[Any]:
    cache = {"kind": "redis", "url": os.environ[REDIS]}
    async with _convstore(target, sessions, cache=cache) as opened:
        yield opened


@asynccontextmanager
async def _openai_agents(target: Target, sessions: Sequence[str]) -> AsyncIterator[Any]:
    from agents.extensions.memory.sqlalchemy_session import SQLAlchemySession
    from sqlalchemy.ext.asyncio import create_async_engine

    options = target.engine_options if target.postgres else {}
    engine = create_async_engine(target.async_url, **options)
    of = {
        session: SQLAlchemySession(session, engine=engine, create_tables=True)
        for session in sessions
    }
    await of[sessions[0]].get_items(1)  # makes the tables
    item: Any = {"role": "user", "content": TEXT}
    yield (
        lambda session: of[session].add_items([item]),
        lambda session: of[session].get_items(WINDOW),
    )
    await engine.dispose()


@asynccontextmanager
async def _google_adk(target: Target, sessions: Sequence[str]) -> AsyncIterator[Any]:
    from google.adk.events.event import Event
    from google.adk.sessions.base_session_service import GetSessionConfig
    from google.adk.sessions.database_session_service import DatabaseSessionService
    from google.genai import types

    service = DatabaseSessionService(target.async_url, **target.engine_options)
    who: dict[str, Any] = {"app_name": "bench", "user_id": "u-1"}
    of = {
        session: await service.create_session(**who, session_id=session)
        for session in sessions
    }
    newest = GetSessionConfig(num_recent_events=WINDOW)

    def event() -> Event:
        content = types.Content(parts=[types.Part(text=TEXT)])
        return Event(author="user", content=content)

    yield (
        lambda session: service.append_event(of[session], event()),
        lambda session: service.get_session(**who, session_id=session, config=newest),
    )
    await service.close()


@asynccontextmanager
async def _langchain(target: Target, sessions: Sequence[str]) -> AsyncIterator[Any]:
    from langchain_community.chat_message_histories import SQLChatMessageHistory
    from langchain_core.messages import HumanMessage
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(target.async_url, **target.engine_options)
    of = {
        session: SQLChatMessageHistory(session, connection=engine, async_mode=True)
        for session in sessions
    }
    for session in sessions:
        await of[session].aget_messages()  # makes the table, which they would race for
    yield (
        lambda session: of[session].aadd_messages([HumanMessage(content=TEXT)]),
        lambda session: of[session].aget_messages(),
    )
    await engine.dispose()


_TABLE = (
    "CREATE TABLE turns (session_id text, seq integer, role text, content text, "
    "created_at double precision, PRIMARY KEY (session_id, seq))"
)


def bare_sqlite(path: str) -> tuple[Callable[[str], None], Callable[[str], list[Any]]]:
    """sqlite3 itself, no event loop: one commit, synchronous=FULL, for each turn."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(_TABLE + " WITHOUT ROWID")
    seqs: dict[str, int] = {}

    def append(session: str) -> None:
        seq = seqs[session] = seqs.get(session, 0) + 1
        connection.execute(
            "INSERT INTO turns VALUES (?,?,?,?,?)",
            (session, seq, "user", TEXT, time.time()),
        )

    def read(session: str) -> list[Any]:
        return connection.execute(
            "SELECT * FROM turns WHERE session_id = ? ORDER BY seq DESC LIMIT ?",
            (session, WINDOW),
        ).fetchall()

    return append, read


@asynccontextmanager
async def _bare(target: Target, sessions: Sequence[str]) -> AsyncIterator[Any]:
    if target.postgres is None:
        append, read = bare_sqlite(target.path)

        async def wrapped(session: str) -> None:
            append(session)

        async def reading(session: str) -> list[Any]:
            return read(session)

        yield wrapped, reading
        return
    import asyncpg

    async with asyncpg.create_pool(target.postgres, min_size=20, max_size=20) as pool:
        await pool.execute(_TABLE)
        seqs = dict.fromkeys(sessions, 0)

        async def insert(session: str) -> None:
            seqs[session] += 1
            row = (session, seqs[session], "user", TEXT, time.time())
            await pool.execute("INSERT INTO turns VALUES ($1,$2,$3,$4,$5)", *row)

        yield (
            insert,
            lambda session: pool.fetch(
                "SELECT * FROM turns WHERE session_id = $1 ORDER BY seq DESC LIMIT 20",
                session,
            ),
        )


_OPENERS: dict[str, Any] = {
    "convstore": _convstore,
    "convstore_warm": partial(_convstore, cache={"kind": "memory"}),
    "convstore_redis": _convstore_redis,
    "openai_agents": _openai_agents,
    "google_adk": _google_adk,
    "langchain": _langchain,
    "bare": _bare,
}


def enter(name: str, opener: Any) -> None:
    """Add a contestant that is written elsewhere."""
    _OPENERS[name] = opener
