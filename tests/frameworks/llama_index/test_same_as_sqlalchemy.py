"""Whatever is done, the store answers as the framework's own does."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from convstore import Store
from convstore.adapters.llama_index import ConvstoreChatStore
from tests.frameworks.llama_index.talk import TALK

KEYS = ("a", "b" * 300)
keys, few = st.sampled_from(KEYS), st.integers(0, 4)
status = st.sampled_from(list(MessageStatus))
STEPS = st.one_of(
    st.tuples(st.just("add"), keys, few, status),
    st.tuples(st.just("put"), keys, few, few, status),
    st.tuples(st.just("archive"), keys, few),
    st.tuples(st.just("shorten"), keys, few),
    st.tuples(st.just("clear"), keys, st.none() | status),
)
tenants = count()


def said(number: int) -> ChatMessage:
    if number % 3:
        return ChatMessage(role=("user", "assistant")[number % 2], content=str(number))
    return TALK[number % len(TALK)]


class Side:
    """One of the two stores."""

    def __init__(self, chats: Any) -> None:
        self.chats, self.next = chats, 0

    def more(self, number: int) -> list[ChatMessage]:
        self.next += number
        return [said(n) for n in range(self.next - number, self.next)]

    async def do(self, step: tuple[Any, ...]) -> Any:
        told = [
            await getattr(self, step[0])(*step[1:]),
            set(await self.chats.get_keys()),
        ]
        for key in KEYS:
            told.append(await self.chats.get_messages(key, None))
            told.append(await self.chats.get_messages(key, MessageStatus.ARCHIVED))
            told.append(await self.chats.get_messages(key, limit=2, offset=1))
            told.append(await self.chats.count_messages(key))
        return told

    async def add(self, key: str, number: int, status: MessageStatus) -> None:
        messages = self.more(number)
        if number == 1:
            await self.chats.add_message(key, messages[0], status)
        elif messages:  # their statement has no rows then
            await self.chats.add_messages(key, messages, status)

    async def put(self, key: str, kept: int, more: int, status: MessageStatus) -> None:
        messages = await self.chats.get_messages(key, None)
        messages = [*messages[:kept], *self.more(more)]
        await self.chats.set_messages(key, messages, status)

    async def archive(self, key: str, number: int) -> Any:
        return await self.chats.archive_oldest_messages(key, number)

    async def shorten(self, key: str, number: int) -> Any:
        return await self.chats.delete_oldest_messages(key, number)

    async def clear(self, key: str, status: MessageStatus | None) -> None:
        await self.chats.delete_messages(key, status)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=4, max_size=10))
async def test_the_same_steps_give_the_same(
    store: Store, steps: list[tuple[Any, ...]]
) -> None:
    theirs = SQLAlchemyChatStore("messages")
    ours = ConvstoreChatStore(store.for_tenant(f"t-{next(tenants)}"))
    try:
        expected, side = Side(theirs), Side(ours)
        for step in steps:
            assert await side.do(step) == await expected.do(step), step
    finally:
        if theirs._async_engine is not None:
            await theirs._async_engine.dispose()
