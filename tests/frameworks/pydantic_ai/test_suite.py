"""Conversations of Pydantic AI pass what every adapter passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)

from convstore import Store
from convstore.adapters.pydantic_ai import ConvstoreConversations
from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    OWNER,
    QUESTION,
    RESULTS,
    WEATHER,
)
from tests.frameworks.on_both import OnBothDatabases
from tests.frameworks.pydantic_ai.talk import BEGIN, ODD, asked


class TestPydanticAI(OnBothDatabases):
    limits = True
    conflicts = (ConversationConflict,)

    def talk(self) -> list[Any]:
        called = [
            ToolCallPart(WEATHER, {"city": city}, call_id)
            for call_id, city in CITIES.items()
        ]
        given = [
            ToolReturnPart(WEATHER, result, call_id, timestamp=BEGIN)
            for call_id, result in RESULTS.items()
        ]
        return [
            asked(QUESTION),
            ModelResponse(called, timestamp=BEGIN),
            ModelRequest(given, timestamp=BEGIN),
            ModelResponse([TextPart(ANSWER)], timestamp=BEGIN),
        ]

    def odd(self) -> list[Any]:
        return list(ODD)

    def asked(self, text: str) -> Any:
        return asked(text)

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        await (await self.late(store, session_id, messages))()

    async def late(
        self, store: Store, session_id: str, messages: Sequence[Any]
    ) -> Callable[[], Awaitable[None]]:
        conversations = ConvstoreConversations(store)
        talk = await conversations.load(session_id, scope=OWNER)
        talk = talk or Conversation(conversation_id=session_id)
        talk.messages = [*talk.messages, *messages]

        async def end() -> None:
            await conversations.save(talk, scope=OWNER)

        return end

    async def read(self, store: Store, session_id: str) -> list[Any]:
        talk = await ConvstoreConversations(store).load(session_id, scope=OWNER)
        return [] if talk is None else talk.messages

    async def newest(self, store: Store, session_id: str, limit: int) -> list[Any]:
        conversations = ConvstoreConversations(store)
        talk = await conversations.load(session_id, scope=OWNER, limit=limit)
        return [] if talk is None else talk.messages

    async def delete(self, store: Store, session_id: str) -> None:
        await ConvstoreConversations(store).delete(session_id, scope=OWNER)
