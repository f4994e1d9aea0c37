from __future__ import annotations

from convstore import Store
from convstore.adapters.langgraph import ConvstoreMemory
from tests.frameworks.writers import Found

PLACE = ("ann", "memories")


class Writer:
    whole = False

    def __init__(self, store: Store) -> None:
        self.memory = ConvstoreMemory(store)

    async def write(self, names: list[str]) -> None:
        for name in names:
            await self.memory.aput(PLACE, name, {"name": name})

    async def read(self) -> Found:
        found = await self.memory.asearch(PLACE, limit=100_000)
        wrong = [
            "a memory is not what was put there"
            for item in found
            if item.value != {"name": item.key}
        ]
        return sorted((item.key for item in found), key=_written), wrong


def _written(name: str) -> tuple[int, int, str]:
    _, run, number, part = name.split("-")
    return int(run), int(number), part
