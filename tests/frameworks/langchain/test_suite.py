"""A message history of LangChain passes what every adapter passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convstore import Store
from convstore.adapters.langchain import ConvstoreChatMessageHistory
from convstore.testing.framework_suite import OWNER
from tests.frameworks.langchain.talk import ODD, TALK, asked
from tests.frameworks.on_both import OnBothDatabases


def history(store: Store, session_id: str) -> ConvstoreChatMessageHistory:
    return ConvstoreChatMessageHistory(store, session_id, user_id=OWNER)


class TestLangChain(OnBothDatabases):
    clears = True

    def talk(self) -> list[Any]:
        return list(TALK)

    def odd(self) -> list[Any]:
        return list(ODD)

    def asked(self, text: str) -> Any:
        return asked(text)

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        await history(store, session_id).aadd_messages(messages)

    async def read(self, store: Store, session_id: str) -> list[Any]:
        return await history(store, session_id).aget_messages()

    async def clear(self, store: Store, session_id: str) -> None:
        await history(store, session_id).aclear()
