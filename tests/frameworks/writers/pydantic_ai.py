from __future__ import annotations

from typing import Any

from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)

from convstore import Store
from convstore.adapters.pydantic_ai import ConvstoreConversations
from tests.frameworks.writers import Found


class Writer:
    whole = True

    def __init__(self, store: Store) -> None:
        self.conversations = ConvstoreConversations(store)

    async def _load(self) -> Conversation:
        talk = await self.conversations.load("pydantic", scope="ann")
        return talk or Conversation(conversation_id="pydantic")

    async def write(self, names: list[str]) -> None:
        talk = await self._load()
        asked, answer = names
        talk.messages = [
            *talk.messages,
            ModelRequest([UserPromptPart(asked)]),
            ModelResponse([TextPart(answer)]),
        ]
        talk.usage.requests += 1
        await self.conversations.save(talk, scope="ann")

    async def read(self) -> Found:
        talk = await self._load()
        wrong = []
        if 2 * talk.usage.requests != len(talk.messages):
            wrong.append("the usage is not that of the messages")
        parts: list[Any] = [message.parts[0] for message in talk.messages]
        return [part.content for part in parts], wrong
