from __future__ import annotations

from langchain_core.messages import AIMessage, HumanMessage

from convstore import Store
from convstore.adapters.langchain import ConvstoreChatMessageHistory
from tests.frameworks.writers import Found


class Writer:
    whole = True

    def __init__(self, store: Store) -> None:
        self.history = ConvstoreChatMessageHistory(store, "langchain", user_id="ann")

    async def write(self, names: list[str]) -> None:
        asked, answer = names
        await self.history.aadd_messages([HumanMessage(asked), AIMessage(answer)])

    async def read(self) -> Found:
        return [str(one.content) for one in await self.history.aget_messages()], []
