from __future__ import annotations

from agent_framework import Message

from convstore import Store
from convstore.adapters.agent_framework import ConvstoreHistory
from tests.frameworks.writers import Found


class Writer:
    whole = True

    def __init__(self, store: Store) -> None:
        self.history = ConvstoreHistory(store, user_id="ann")

    async def write(self, names: list[str]) -> None:
        roles = zip(("user", "assistant"), names, strict=True)
        said = [Message(role, [name]) for role, name in roles]
        await self.history.save_messages("agent-framework", said)

    async def read(self) -> Found:
        messages = await self.history.get_messages("agent-framework")
        return [message.text for message in messages], []
