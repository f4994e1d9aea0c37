from __future__ import annotations

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.base_db import MessageStatus

from convstore import Store
from convstore.adapters.llama_index import ConvstoreChatStore
from tests.frameworks.writers import Found


class Writer:
    whole = True

    def __init__(self, store: Store) -> None:
        self.chats = ConvstoreChatStore(store, user_id="ann")

    async def write(self, names: list[str]) -> None:
        roles = zip(("user", "assistant"), names, strict=True)
        said = [ChatMessage(role=role, content=name) for role, name in roles]
        await self.chats.add_messages("llama", said)
        if await self.chats.count_messages("llama", MessageStatus.ACTIVE) > 8:
            await self.chats.archive_oldest_messages("llama", 4)

    async def read(self) -> Found:
        messages = await self.chats.get_messages("llama", None)
        statuses = (MessageStatus.ARCHIVED, MessageStatus.ACTIVE)
        counts = [await self.chats.count_messages("llama", one) for one in statuses]
        wrong = []
        if sum(counts) != len(messages):
            wrong.append("messages have no status, or two")
        return [str(message.content) for message in messages], wrong
