"""Each framework's own SQL backend, and ours in its place: the same calls of both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.contestants import TEXT, Target

Figures = dict[str, Any]
Call = Callable[[str], Awaitable[object]]


async def adding(
    contestant: str,
    target: list[Any],
    framework: str,
    callers: int,
    calls: int,
) -> Figures:
    """So many callers at once, each with a session of its own, add to it."""
    names = [f"s-{number}" for number in range(callers)]
    openers = {"openai_agents": _openai_agents, "google_adk": _google_adk}
    async with openers[framework](contestant, Target(*target), names) as add:

        async def one(name: str) -> None:
            for _ in range(calls):
                await add(name)

        await asyncio.gather(*(add(name) for name in names))
        began = time.perf_counter()
        await asyncio.gather(*(one(name) for name in names))
        wall = time.perf_counter() - began
    return {"per_s": round(callers * calls / wall, 1)}


async def graph(contestant: str, target: list[Any], turns: int) -> Figures:
    """A graph of one step that keeps messages: so many turns of 1 KB in one thread."""
    from langchain_core.messages import AIMessage, HumanMessage
    from langgraph.graph import START, MessagesState, StateGraph

    where, text = Target(*target), (TEXT * 2)[:500]
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda _: {"messages": [AIMessage(text)]})
    builder.add_edge(START, "answer")
    async with open_saver(contestant, where) as saver:
        empty = await _size(where)
        app = builder.compile(checkpointer=saver)
        thread: Any = {"configurable": {"thread_id": "s-1"}}
        began = time.perf_counter()
        for _ in range(turns):
            await app.ainvoke({"messages": [HumanMessage(text)]}, thread)
        wall = time.perf_counter() - began
    return {"per_s": round(turns / wall, 1), "bytes": await _size(where) - empty}


@asynccontextmanager
async def _ours(target: Target) -> AsyncIterator[Any]:
    from convstore import StoreConfig, open_store
    from convstore.db.migrate import upgrade

    await asyncio.to_thread(upgrade, target.url)
    async with open_store(StoreConfig(url=target.url)) as store:
        yield store


@asynccontextmanager
async def _openai_agents(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Call]:
    items: Any = [{"role": role, "content": TEXT} for role in ("user", "assistant")]
    if contestant == "ours":
        from convstore.adapters.openai_agents import ConvstoreSession

        async with _ours(target) as store:
            own = {name: ConvstoreSession(name, store) for name in names}
            yield lambda name: own[name].add_items(items)
        return
    from agents.extensions.memory.sqlalchemy_session import SQLAlchemySession
    from sqlalchemy.ext.asyncio import create_async_engine

    options = target.engine_options if target.postgres else {}
    engine = create_async_engine(target.async_url, **options)
    of = {n: SQLAlchemySession(n, engine=engine, create_tables=True) for n in names}
    await of[names[0]].get_items(1)  # makes the tables
    yield lambda name: of[name].add_items(items)
    await engine.dispose()


@asynccontextmanager
async def _google_adk(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Call]:
    from google.adk.events.event import Event
    from google.genai import types

    async def sessions(service: Any) -> Call:
        who = {"app_name": "bench", "user_id": "u-1"}
        of = {n: await service.create_session(**who, session_id=n) for n in names}

        def append(name: str) -> Awaitable[object]:
            content = types.Content(parts=[types.Part(text=TEXT)])
            event = Event(author="user", invocation_id="i", content=content)
            added: Awaitable[object] = service.append_event(of[name], event)
            return added

        return append

    if contestant == "ours":
        from convstore.adapters.google_adk import ConvstoreSessionService

        async with _ours(target) as store:
            yield await sessions(ConvstoreSessionService(store))
        return
    from google.adk.sessions.database_session_service import DatabaseSessionService

    service = DatabaseSessionService(target.async_url, **target.engine_options)
    yield await sessions(service)
    await service.close()


@asynccontextmanager
async def open_saver(contestant: str, target: Target) -> AsyncIterator[Any]:
    if contestant == "ours":
        from convstore.adapters.langgraph import ConvstoreSaver

        async with _ours(target) as store:
            yield ConvstoreSaver(store)
    elif target.postgres:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

        async with AsyncPostgresSaver.from_conn_string(target.postgres) as saver:
            await saver.setup()
            yield saver
    else:
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        async with AsyncSqliteSaver.from_conn_string(target.path) as saver:
            await saver.setup()
            yield saver


async def _size(target: Target) -> int:
    """Bytes of the database; of SQLite's file and its log."""
    if not target.postgres:
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
