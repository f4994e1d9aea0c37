"""Each framework's own store, and ours in its place, by the same two calls of both.

Each is opened on an empty database for a list of sessions. `add` stores what one
exchange adds, a question and an answer of 400 characters; `read` reads what the next
run begins with.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contestants import TEXT, WINDOW, Target

_SYNCED = "theirs, synced"
Call = Callable[[str], Awaitable[object]]
_CHAINLIT = """
CREATE TABLE users ("id" UUID PRIMARY KEY, "identifier" TEXT NOT NULL UNIQUE,
  "metadata" JSONB NOT NULL, "createdAt" TEXT);
CREATE TABLE threads ("id" UUID PRIMARY KEY, "createdAt" TEXT, "name" TEXT,
  "userId" UUID, "userIdentifier" TEXT, "tags" TEXT[], "metadata" JSONB,
  FOREIGN KEY ("userId") REFERENCES users("id") ON DELETE CASCADE);
CREATE TABLE steps ("id" UUID PRIMARY KEY, "name" TEXT NOT NULL, "type" TEXT NOT NULL,
  "threadId" UUID NOT NULL, "parentId" UUID, "streaming" BOOLEAN NOT NULL,
  "waitForAnswer" BOOLEAN, "isError" BOOLEAN, "metadata" JSONB, "tags" TEXT[],
  "input" TEXT, "output" TEXT, "createdAt" TEXT, "start" TEXT, "end" TEXT,
  "generation" JSONB, "showInput" TEXT, "language" TEXT,
  FOREIGN KEY ("threadId") REFERENCES threads("id") ON DELETE CASCADE);
CREATE TABLE elements ("id" UUID PRIMARY KEY, "threadId" UUID, "type" TEXT,
  "url" TEXT, "chainlitKey" TEXT, "name" TEXT NOT NULL, "display" TEXT,
  "objectKey" TEXT, "size" TEXT, "page" INT, "language" TEXT, "forId" UUID,
  "mime" TEXT, "props" JSONB);
CREATE TABLE feedbacks ("id" UUID PRIMARY KEY, "forId" UUID NOT NULL,
  "threadId" UUID NOT NULL, "value" INT NOT NULL, "comment" TEXT)
"""
"""The tables that Chainlit's documentation says to make."""


class Face(NamedTuple):
    """What is called of a store, by the name of a session."""

    add: Call
    read: Call


Opened = AbstractAsyncContextManager[Face]


@asynccontextmanager
async def ours(target: Target) -> AsyncIterator[Any]:
    """An open store of convstore."""
    from convstore import StoreConfig, open_store
    from convstore.db.migrate import upgrade

    await asyncio.to_thread(upgrade, target.url)
    async with open_store(StoreConfig(url=target.url)) as store:
        yield store


def _engine(target: Target) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine(target.async_url, **target.engine_options)


@asynccontextmanager
async def _openai_agents(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Face]:
    from agents import SQLiteSession
    from agents.extensions.memory.sqlalchemy_session import SQLAlchemySession

    items: Any = [{"role": role, "content": TEXT} for role in ("user", "assistant")]

    def face(of: dict[str, Any]) -> Face:
        return Face(lambda n: of[n].add_items(items), lambda n: of[n].get_items(WINDOW))

    if contestant == "ours":
        from convstore.adapters.openai_agents import ConvstoreSession

        async with ours(target) as store:
            yield face({name: ConvstoreSession(name, store) for name in names})
    elif contestant == "theirs, of SQLite":
        of = {name: SQLiteSession(name, target.path) for name in names}
        yield face(of)
        for session in of.values():
            session.close()
    else:
        engine = _engine(target)
        make = {"engine": engine, "create_tables": True}
        yield face({name: SQLAlchemySession(name, **make) for name in names})
        await engine.dispose()


@asynccontextmanager
async def _google_adk(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Face]:
    from google.adk.events.event import Event
    from google.adk.sessions.base_session_service import GetSessionConfig
    from google.genai import types

    who: dict[str, Any] = {"app_name": "bench", "user_id": "u-1"}
    newest = GetSessionConfig(num_recent_events=WINDOW)

    async def face(service: Any) -> Face:
        of = {n: await service.create_session(**who, session_id=n) for n in names}

        async def add(name: str) -> None:
            for author in ("user", "model"):
                content = types.Content(role=author, parts=[types.Part(text=TEXT)])
                event = Event(author=author, invocation_id="i", content=content)
                await service.append_event(of[name], event)

        given = {**who, "config": newest}
        return Face(add, lambda name: service.get_session(session_id=name, **given))

    if contestant == "ours":
        from convstore.adapters.google_adk import ConvstoreSessionService

        async with ours(target) as store:
            yield await face(ConvstoreSessionService(store))
        return
    from google.adk.sessions.database_session_service import DatabaseSessionService

    service = DatabaseSessionService(target.async_url, **target.engine_options)
    yield await face(service)
    await service.close()


@asynccontextmanager
async def _langchain(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Face]:
    from langchain_core.messages import AIMessage, HumanMessage

    def face(of: dict[str, Any]) -> Face:
        def add(name: str) -> Awaitable[object]:
            added: Awaitable[object] = of[name].aadd_messages(
                [HumanMessage(TEXT), AIMessage(TEXT)]
            )
            return added

        return Face(add, lambda name: of[name].aget_messages())

    if contestant == "ours":
        from convstore.adapters.langchain import ConvstoreChatMessageHistory

        async with ours(target) as store:
            yield face({n: ConvstoreChatMessageHistory(store, n) for n in names})
        return
    from langchain_community.chat_message_histories import SQLChatMessageHistory

    engine = _engine(target)
    given = {"connection": engine, "async_mode": True}
    yield face({name: SQLChatMessageHistory(name, **given) for name in names})
    await engine.dispose()


@asynccontextmanager
async def _llama_index(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Face]:
    from llama_index.core.llms import ChatMessage

    def face(store: Any) -> Face:
        def add(name: str) -> Awaitable[object]:
            said = [ChatMessage(TEXT, role=role) for role in ("user", "assistant")]
            added: Awaitable[object] = store.add_messages(name, said)
            return added

        return Face(add, store.get_messages)

    if contestant == "ours":
        from convstore.adapters.llama_index import ConvstoreChatStore

        async with ours(target) as store:
            yield face(ConvstoreChatStore(store))
        return
    from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

    engine = _engine(target)
    yield face(SQLAlchemyChatStore("bench", None, engine))
    await engine.dispose()


@asynccontextmanager
async def _agent_framework(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Face]:
    from agent_framework import FileHistoryProvider, Message

    numbers = count()

    def face(history: Any) -> Face:
        def add(name: str) -> Awaitable[object]:
            # Different ones: its files take no message that is there already.
            said = [
                Message(role, [f"{next(numbers)} {TEXT}"])
                for role in ("user", "assistant")
            ]
            added: Awaitable[object] = history.save_messages(name, said)
            return added

        return Face(add, history.get_messages)

    if contestant == "ours":
        from convstore.adapters.agent_framework import ConvstoreHistory

        async with ours(target) as store:
            yield face(ConvstoreHistory(store))
    else:
        # It has none over SQL: files, which it does not sync.
        files = Path(target.path).with_suffix(".files")
        history: Any = FileHistoryProvider(files)
        if contestant == _SYNCED:
            history = _synced(FileHistoryProvider)(files)
        yield face(history)


def _synced(files: Any) -> Any:
    """A provider of files whose writes are on the disk when it says so, as ours are."""

    class Synced(files):  # type: ignore[misc]
        async def save_messages(self, session_id: str, *args: Any, **more: Any) -> None:
            await super().save_messages(session_id, *args, **more)
            await asyncio.to_thread(_sync, self._session_file_path(session_id))

    return Synced


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@asynccontextmanager
async def _chainlit(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Face]:
    os.environ["CHAINLIT_APP_ROOT"] = str(Path(target.path).parent)
    import chainlit.data.base  # noqa: F401 - first of all, or its modules go round
    from chainlit.context import ChainlitContext, context_var
    from chainlit.session import HTTPSession
    from chainlit.user import PersistedUser, User

    threads = {n: str(uuid.uuid5(uuid.NAMESPACE_URL, n)) for n in names}
    seconds = count()

    async def face(layer: Any) -> Face:
        user = await layer.create_user(User(identifier="u-1"))
        assert isinstance(user, PersistedUser)
        for thread_id in threads.values():
            await layer.update_thread(thread_id, user_id=user.id)
        session = HTTPSession(
            id="s", thread_id="", user=user, client_type="webapp", token=None,
            user_env=None,
        )  # fmt: skip
        context_var.set(ChainlitContext(session))

        async def add(name: str) -> None:
            for kind in ("user_message", "assistant_message"):
                at = next(seconds)
                created = f"2026-03-{at // 86400 + 1:02}T"
                clock = f"{at // 3600 % 24:02}:{at // 60 % 60:02}:{at % 60:02}"
                await layer.create_step(
                    {
                        "id": str(uuid.uuid4()),
                        "threadId": threads[name],
                        "name": kind,
                        "type": kind,
                        "output": TEXT,
                        "input": "",
                        "streaming": False,
                        "createdAt": f"{created}{clock}.000000Z",
                    }
                )

        return Face(add, lambda name: layer.get_thread(threads[name]))

    if contestant == "ours":
        from convstore.adapters.chainlit import ConvstoreDataLayer

        async with ours(target) as store:
            yield await face(ConvstoreDataLayer(store))
        return
    from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
    from sqlalchemy import text

    options = {} if target.postgres else {"connect_args": {"timeout": 60}}
    layer = SQLAlchemyDataLayer(target.async_url, **options)
    async with layer.engine.begin() as connection:
        for statement in _CHAINLIT.split(";"):
            await connection.execute(text(statement))
    yield await face(layer)
    await layer.engine.dispose()


@asynccontextmanager
async def open_saver(contestant: str, target: Target) -> AsyncIterator[Any]:
    """A checkpointer of LangGraph."""
    if contestant == "ours":
        from convstore.adapters.langgraph import ConvstoreSaver

        async with ours(target) as store:
            yield ConvstoreSaver(store)
    elif target.postgres:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool

        given = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool: Any = AsyncConnectionPool(
            target.postgres, min_size=4, max_size=20, kwargs=given, open=False
        )
        async with pool:
            made = AsyncPostgresSaver(pool)
            await made.setup()
            yield made
    else:
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        async with AsyncSqliteSaver.from_conn_string(target.path) as made:
            await made.setup()
            yield made


def graph(checkpointer: Any, text: str) -> Any:
    """A graph of one step that keeps messages."""
    from langchain_core.messages import AIMessage
    from langgraph.graph import START, MessagesState, StateGraph

    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda _: {"messages": [AIMessage(text)]})
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=checkpointer)


@asynccontextmanager
async def _langgraph(
    contestant: str, target: Target, names: list[str]
) -> AsyncIterator[Face]:
    from langchain_core.messages import HumanMessage

    async with open_saver(contestant, target) as made:
        app = graph(made, TEXT)
        of: Any = {name: {"configurable": {"thread_id": name}} for name in names}

        def add(name: str) -> Awaitable[object]:
            run: Awaitable[object] = app.ainvoke(
                {"messages": [HumanMessage(TEXT)]}, of[name]
            )
            return run

        yield Face(add, lambda name: app.aget_state(of[name]))


OPENERS: dict[str, Callable[[str, Target, list[str]], Opened]] = {
    "agent_framework": _agent_framework,
    "chainlit": _chainlit,
    "google_adk": _google_adk,
    "langchain": _langchain,
    "langgraph": _langgraph,
    "llama_index": _llama_index,
    "openai_agents": _openai_agents,
}
