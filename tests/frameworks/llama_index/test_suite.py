"""A chat store of LlamaIndex passes what every adapter passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convstore import Store
from convstore.adapters.llama_index import ConvstoreChatStore
from convstore.testing.framework_suite import OWNER
from tests.frameworks.llama_index.talk import ODD, TALK, asked
from tests.frameworks.on_both import OnBothDatabases


class TestLlamaIndex(OnBothDatabases):
    clears = True

    def talk(self) -> list[Any]:
        return list(TALK)

    def odd(self) -> list[Any]:
        return list(ODD)

    def asked(self, text: str) -> Any:
        return asked(text)

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        chats = ConvstoreChatStore(store, user_id=OWNER)
        await chats.add_messages(session_id, messages)

    async def read(self, store: Store, session_id: str) -> list[Any]:
        return await ConvstoreChatStore(store, user_id=OWNER).get_messages(session_id)

    async def clear(self, store: Store, session_id: str) -> None:
        await ConvstoreChatStore(store, user_id=OWNER).delete_messages(session_id)
