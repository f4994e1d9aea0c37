"""A conversation begun under one framework goes on under another, and comes back."""

from __future__ import annotations

import pytest

pytest.importorskip("agent_framework")
pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from agent_framework import Message
from langchain_core.messages import AIMessage, HumanMessage

from convstore import Store
from convstore.adapters.agent_framework import ConvstoreHistory
from convstore.adapters.langchain import ConvstoreChatMessageHistory
from convstore.adapters.llama_index import ConvstoreChatStore
from convstore.testing.framework_suite import ANSWER, CITIES, QUESTION, RESULTS
from tests.frameworks.agent_framework.talk import TALK as OF_AGENTS
from tests.frameworks.llama_index.talk import TALK as OF_LLAMA
from tests.frameworks.llama_index.talk import asked

SAID = (QUESTION, *CITIES, *CITIES.values(), *RESULTS.values(), ANSWER)


def seen(view: object, *more: str) -> bool:
    return all(word in repr(view) for word in (*SAID, *more))


async def test_from_llama_index_to_the_agent_framework_and_back(store: Store) -> None:
    chats, history = ConvstoreChatStore(store), ConvstoreHistory(store)
    await chats.add_messages("s", OF_LLAMA)
    told = [message.to_dict() for message in await history.get_messages("s")]
    assert seen(told)
    await history.save_messages("s", [Message("user", ["And then?"])])
    await history.save_messages("s", [Message("assistant", ["Home."])])

    back = await chats.get_messages("s")
    assert back[: len(OF_LLAMA)] == OF_LLAMA
    assert [one.content for one in back[len(OF_LLAMA) :]] == ["And then?", "Home."]


async def test_from_the_agent_framework_to_llama_index_and_back(store: Store) -> None:
    chats, history = ConvstoreChatStore(store), ConvstoreHistory(store)
    await history.save_messages("s", OF_AGENTS)
    assert seen(await chats.get_messages("s"))
    await chats.add_message("s", asked("And then?"))
    await chats.archive_oldest_messages("s", 2)

    back = [message.to_dict() for message in await history.get_messages("s")]
    assert back[:-1] == [message.to_dict() for message in OF_AGENTS]
    assert seen(back, "And then?")


async def test_through_langchain_both_see_what_was_said(store: Store) -> None:
    chats, history = ConvstoreChatStore(store), ConvstoreHistory(store)
    await chats.add_messages("s", OF_LLAMA)
    chain = ConvstoreChatMessageHistory(store, "s")
    assert seen(await chain.aget_messages())
    await chain.aadd_messages([HumanMessage("And then?"), AIMessage("Home.")])

    told = [message.to_dict() for message in await history.get_messages("s")]
    assert seen(told, "And then?", "Home.")
    assert seen(await chats.get_messages("s"), "And then?", "Home.")
