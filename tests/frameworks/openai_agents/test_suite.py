"""A session of the OpenAI Agents SDK passes what every adapter passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convstore import Store
from convstore.adapters.openai_agents import ConvstoreSession
from convstore.testing.framework_suite import ANSWER, OWNER, QUESTION, RESULTS, calls
from tests.frameworks.on_both import OnBothDatabases
from tests.frameworks.openai_agents.test_session import ODD


def session(store: Store, session_id: str) -> ConvstoreSession:
    return ConvstoreSession(session_id, store, user_id=OWNER)


class TestOpenAIAgents(OnBothDatabases):
    pops = clears = limits = True

    def talk(self) -> list[Any]:
        called = [
            {
                "type": "function_call",
                "call_id": call["id"],
                "id": f"fc_{call['id']}",
                "status": "completed",
                **call["function"],
            }
            for call in calls()
        ]
        given = [
            {"type": "function_call_output", "call_id": call_id, "output": result}
            for call_id, result in RESULTS.items()
        ]
        answer = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": ANSWER, "annotations": []}],
        }
        return [self.asked(QUESTION), *called, *given, answer]

    def odd(self) -> list[Any]:
        return list(ODD)

    def asked(self, text: str) -> Any:
        return {"role": "user", "content": text}

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        await session(store, session_id).add_items(messages)

    async def read(self, store: Store, session_id: str) -> list[Any]:
        return await session(store, session_id).get_items()

    async def newest(self, store: Store, session_id: str, limit: int) -> list[Any]:
        return await session(store, session_id).get_items(limit)

    async def pop(self, store: Store, session_id: str) -> Any:
        return await session(store, session_id).pop_item()

    async def clear(self, store: Store, session_id: str) -> None:
        await session(store, session_id).clear_session()
