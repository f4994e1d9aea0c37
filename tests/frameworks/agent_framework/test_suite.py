"""A history of the Agent Framework passes what every adapter passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convstore import Store
from convstore.adapters.agent_framework import ConvstoreHistory
from convstore.testing.framework_suite import OWNER
from tests.frameworks.agent_framework.talk import ODD, TALK, asked
from tests.frameworks.on_both import OnBothDatabases


class TestAgentFramework(OnBothDatabases):
    def talk(self) -> list[Any]:
        return list(TALK)

    def odd(self) -> list[Any]:
        return list(ODD)

    def asked(self, text: str) -> Any:
        return asked(text)

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        history = ConvstoreHistory(store, user_id=OWNER)
        await history.save_messages(session_id, messages)

    async def read(self, store: Store, session_id: str) -> list[Any]:
        return await ConvstoreHistory(store, user_id=OWNER).get_messages(session_id)

    def plain(self, message: Any) -> Any:
        return message.to_dict()

    def told(self, message: Any) -> str:
        return repr(message.to_dict())
