from __future__ import annotations

from convstore import Store
from convstore.adapters.openai_agents import ConvstoreSession
from tests.frameworks.writers import Found


class Writer:
    whole = True

    def __init__(self, store: Store) -> None:
        self.session = ConvstoreSession("openai", store, user_id="ann")

    async def write(self, names: list[str]) -> None:
        roles = zip(("user", "assistant"), names, strict=True)
        said = [{"role": role, "content": name} for role, name in roles]
        await self.session.add_items(said)

    async def read(self) -> Found:
        return [str(item["content"]) for item in await self.session.get_items()], []
