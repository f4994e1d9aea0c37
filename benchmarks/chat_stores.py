"""The stores of agent frameworks, as the conformance kit opens them: each on a database
of its own, called as an application calls it.

A store that knows no tenant or no user is not told of it: an application that serves
several has to see to it by itself, and the kit shows what follows from that.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from benchmarks.contestants import Target
from convstore.testing.chat_store import ChatKey

_TRIES = 200
"""How often a caller tries again that was told that somebody else was first: long
before, thirty others have been."""


def _target(where: str) -> Target:
    if where.startswith("sqlite:///"):
        return Target(where.removeprefix("sqlite:///"))
    return Target("", where)


class _Convstore:
    def __init__(self, store: Any) -> None:
        self._store = store

    def _chat(self, key: ChatKey) -> Any:
        store = self._store.for_tenant(key.tenant_id)
        return store.conversation(key.session_id, user_id=key.user_id)

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        turns = [{"role": "user", "content": text} for text in texts]
        await self._chat(key).append_many(turns)

    async def history(self, key: ChatKey) -> list[str]:
        from convstore.errors import SessionNotFoundError

        with suppress(SessionNotFoundError):
            return [turn.content for turn in await self._chat(key).branch()]
        return []

    async def delete(self, key: ChatKey) -> None:
        store = self._store.for_tenant(key.tenant_id)
        session = await self._chat(key).session()
        await store.sessions.delete(session.id)


@asynccontextmanager
async def convstore(where: str) -> AsyncIterator[_Convstore]:
    """convstore itself; on a server an operator makes the tables, once."""
    from convstore import StoreConfig, migration, open_store

    if where.startswith("postgresql:"):
        await asyncio.to_thread(migration.upgrade, where)
    with tempfile.TemporaryDirectory() as home:  # for what is deleted, and so archived
        async with open_store(StoreConfig(url=where, home=home)) as store:
            yield _Convstore(store)


class _OpenAIAgents:
    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._of: dict[str, Any] = {}

    def _session(self, key: ChatKey) -> Any:
        from agents.extensions.memory.sqlalchemy_session import SQLAlchemySession

        name = key.session_id
        if name not in self._of:
            self._of[name] = SQLAlchemySession(
                name, engine=self._engine, create_tables=True
            )
        return self._of[name]

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        items = [{"role": "user", "content": text} for text in texts]
        await self._session(key).add_items(items)

    async def history(self, key: ChatKey) -> list[str]:
        return [item["content"] for item in await self._session(key).get_items()]

    async def delete(self, key: ChatKey) -> None:
        await self._session(key).clear_session()


@asynccontextmanager
async def openai_agents(where: str) -> AsyncIterator[_OpenAIAgents]:
    """`SQLAlchemySession` of the OpenAI Agents SDK."""
    import agents.extensions.memory.sqlalchemy_session  # noqa: F401 - or it is missing

    async with _engine(where) as engine:
        yield _OpenAIAgents(engine)


@asynccontextmanager
async def _engine(where: str) -> AsyncIterator[Any]:
    from sqlalchemy.ext.asyncio import create_async_engine

    target = _target(where)
    engine = create_async_engine(target.async_url, **target.engine_options)
    try:
        yield engine
    finally:
        await engine.dispose()


class _LangChain:
    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._of: dict[str, Any] = {}

    def _history(self, key: ChatKey) -> Any:
        from langchain_community.chat_message_histories import SQLChatMessageHistory

        name = key.session_id
        if name not in self._of:
            self._of[name] = SQLChatMessageHistory(
                name, connection=self._engine, async_mode=True
            )
        return self._of[name]

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        from langchain_core.messages import HumanMessage

        messages = [HumanMessage(content=text) for text in texts]
        await self._history(key).aadd_messages(messages)

    async def history(self, key: ChatKey) -> list[str]:
        return [m.content for m in await self._history(key).aget_messages()]

    async def delete(self, key: ChatKey) -> None:
        await self._history(key).aclear()


@asynccontextmanager
async def langchain(where: str) -> AsyncIterator[_LangChain]:
    """`SQLChatMessageHistory` of LangChain."""
    import langchain_community.chat_message_histories  # noqa: F401

    async with _engine(where) as engine:
        yield _LangChain(engine)


class _LlamaIndex:
    def __init__(self, store: Any) -> None:
        self._store = store

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        from llama_index.core.base.llms.types import ChatMessage

        messages = [ChatMessage(role="user", content=text) for text in texts]
        await self._store.add_messages(key.session_id, messages)

    async def history(self, key: ChatKey) -> list[str]:
        found = await self._store.get_messages(key.session_id)
        return [message.content or "" for message in found]

    async def delete(self, key: ChatKey) -> None:
        await self._store.delete_messages(key.session_id)


@asynccontextmanager
async def llama_index(where: str) -> AsyncIterator[_LlamaIndex]:
    """`SQLAlchemyChatStore` of LlamaIndex."""
    from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

    async with _engine(where) as engine:
        yield _LlamaIndex(SQLAlchemyChatStore("chats", async_engine=engine))


class _GoogleADK:
    def __init__(self, service: Any) -> None:
        self._service = service

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        for text in texts:
            await self._append_one(key, text)

    async def _append_one(self, key: ChatKey, text: str) -> None:
        from google.adk.errors._stale_session_error import StaleSessionError
        from google.adk.events.event import Event
        from google.genai import types

        for _ in range(_TRIES):
            session = await self._session(key)
            content = types.Content(role="user", parts=[types.Part(text=text)])
            event = Event(author="user", content=content)
            with suppress(StaleSessionError):
                await self._service.append_event(session, event)
                return
        raise TimeoutError("somebody else was always first")

    async def _session(self, key: ChatKey) -> Any:
        from google.adk.errors.already_exists_error import AlreadyExistsError

        session = await self._service.get_session(**self._named(key))
        if session is not None:
            return session
        with suppress(AlreadyExistsError):
            return await self._service.create_session(**self._named(key))
        return await self._service.get_session(**self._named(key))

    @staticmethod
    def _named(key: ChatKey) -> dict[str, str]:
        app, user, session = key
        return {"app_name": app, "user_id": user, "session_id": session}

    async def history(self, key: ChatKey) -> list[str]:
        session = await self._service.get_session(**self._named(key))
        if session is None:
            return []
        return [event.content.parts[0].text for event in session.events]

    async def delete(self, key: ChatKey) -> None:
        await self._service.delete_session(**self._named(key))


@asynccontextmanager
async def google_adk(where: str) -> AsyncIterator[_GoogleADK]:
    """`DatabaseSessionService` of Google ADK; an application is a tenant."""
    from google.adk.sessions.database_session_service import DatabaseSessionService

    target = _target(where)
    service = DatabaseSessionService(target.async_url, **target.engine_options)
    yield _GoogleADK(service)
    await service.close()


class _LangGraph:
    def __init__(self, saver: Any) -> None:
        from langgraph.graph import START, MessagesState, StateGraph

        builder = StateGraph(MessagesState)
        builder.add_node("nothing", lambda _: {})
        builder.add_edge(START, "nothing")
        self._saver, self._graph = saver, builder.compile(checkpointer=saver)

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        from langchain_core.messages import HumanMessage

        messages = [HumanMessage(text) for text in texts]
        await self._graph.ainvoke({"messages": messages}, self._thread(key))

    @staticmethod
    def _thread(key: ChatKey) -> Any:
        return {"configurable": {"thread_id": key.session_id}}

    async def history(self, key: ChatKey) -> list[str]:
        state = await self._graph.aget_state(self._thread(key))
        return [message.content for message in state.values.get("messages", [])]

    async def delete(self, key: ChatKey) -> None:
        await self._saver.adelete_thread(key.session_id)


@asynccontextmanager
async def langgraph(where: str) -> AsyncIterator[_LangGraph]:
    """The checkpoints of LangGraph, with a graph that keeps messages."""
    from benchmarks.framework_faces import open_saver

    async with open_saver("theirs", _target(where)) as opened:
        yield _LangGraph(opened)


_TABLES = (
    """users ("id" UUID PRIMARY KEY, "identifier" TEXT NOT NULL UNIQUE,
    "metadata" JSONB NOT NULL, "createdAt" TEXT)""",
    """threads ("id" UUID PRIMARY KEY, "createdAt" TEXT, "name" TEXT, "userId" UUID,
    "userIdentifier" TEXT, "tags" TEXT[], "metadata" JSONB)""",
    """steps ("id" UUID PRIMARY KEY, "name" TEXT NOT NULL, "type" TEXT NOT NULL,
    "threadId" UUID NOT NULL, "parentId" UUID, "streaming" BOOLEAN NOT NULL,
    "waitForAnswer" BOOLEAN, "isError" BOOLEAN, "metadata" JSONB, "tags" TEXT[],
    "input" TEXT, "output" TEXT, "createdAt" TEXT, "command" TEXT, "start" TEXT,
    "end" TEXT, "generation" JSONB, "showInput" TEXT, "language" TEXT, "indent" INT,
    "defaultOpen" BOOLEAN)""",
    """elements ("id" UUID PRIMARY KEY, "threadId" UUID, "type" TEXT, "url" TEXT,
    "chainlitKey" TEXT, "name" TEXT NOT NULL, "display" TEXT, "objectKey" TEXT,
    "size" TEXT, "page" INT, "language" TEXT, "forId" UUID, "mime" TEXT,
    "props" JSONB)""",
    """feedbacks ("id" UUID PRIMARY KEY, "forId" UUID NOT NULL,
    "threadId" UUID NOT NULL, "value" INT NOT NULL, "comment" TEXT)""",
)
"""What Chainlit's manual has its users make."""


class _Chainlit:
    def __init__(self, layer: Any) -> None:
        self._layer = layer

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        for text in texts:
            await self._layer.create_step(
                {
                    "id": str(uuid.uuid4()),
                    "threadId": _uuid(key),
                    "name": "user",
                    "type": "user_message",
                    "streaming": False,
                    "output": text,
                    "createdAt": await self._layer.get_current_timestamp(),
                }
            )

    async def history(self, key: ChatKey) -> list[str]:
        thread = await self._layer.get_thread(_uuid(key))
        return [step["output"] for step in thread["steps"]] if thread else []

    async def delete(self, key: ChatKey) -> None:
        await self._layer.delete_thread(_uuid(key))


def _uuid(key: ChatKey) -> str:
    """Chainlit numbers threads by itself."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(key.session_id)))


@asynccontextmanager
async def chainlit(where: str) -> AsyncIterator[_Chainlit]:
    """`SQLAlchemyDataLayer` of Chainlit."""
    import logging
    import os

    # It writes a folder of settings where it is imported, unless told where else.
    os.environ.setdefault("CHAINLIT_APP_ROOT", tempfile.gettempdir())
    from chainlit.context import init_http_context
    from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("chainlit").setLevel(logging.CRITICAL)
    init_http_context()
    target = _target(where)
    given = {} if target.postgres else {"timeout": 60}
    layer = SQLAlchemyDataLayer(target.async_url, connect_args=given)
    # Its users make the tables, once; whoever comes second finds them made.
    with suppress(SQLAlchemyError):
        async with layer.engine.begin() as connection:
            for table in _TABLES:
                await connection.execute(text(f"CREATE TABLE IF NOT EXISTS {table}"))
    yield _Chainlit(layer)
    await layer.close()
