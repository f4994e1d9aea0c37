"""A graph whose messages are a conversation passes what every adapter passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convstore import Store
from convstore.adapters.langgraph import ConvstoreSaver
from tests.frameworks.langgraph import talk
from tests.frameworks.on_both import OnBothDatabases


class TestLangGraph(OnBothDatabases):
    # Of two runs of one thread the later one's messages are the thread's.
    shares = False

    def talk(self) -> list[Any]:
        return list(talk.talk())

    def odd(self) -> list[Any]:
        return list(talk.odd())

    def asked(self, text: str) -> Any:
        return talk.asked(text)

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        app = talk.keeping(ConvstoreSaver(store))
        await app.ainvoke({"messages": list(messages)}, talk.thread(session_id))

    async def read(self, store: Store, session_id: str) -> list[Any]:
        app = talk.keeping(ConvstoreSaver(store))
        state = await app.aget_state(talk.thread(session_id))
        return list(state.values.get("messages", []))

    async def delete(self, store: Store, session_id: str) -> None:
        await ConvstoreSaver(store).adelete_thread(session_id)
