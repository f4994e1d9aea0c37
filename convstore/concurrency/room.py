"""Room for what is held in memory, by size: who finds it full waits for some.

No `asyncio.Semaphore`: that counts holders, where this counts bytes, each thing once,
and lets one that is larger than all the room in by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Room:
    """So many bytes, or one thing that is larger.

    Things are counted once, however many hold them. Belongs to one event loop.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        # Holders and bytes, by thing.
        self._held: dict[Hashable, tuple[int, int]] = {}
        self._taken = 0
        self._freed = asyncio.Event()

    async def free(self) -> int:
        """The bytes that are free, once any are."""
        while self._taken >= self._size:
            self._freed.clear()
            await self._freed.wait()
        return self._size - self._taken

    @contextmanager
    def holding(self, thing: Hashable, size: int) -> Iterator[None]:
        """Hold a thing; the last who does gives its bytes back."""
        count, _ = self._held.get(thing, (0, size))
        self._held[thing] = count + 1, size
        if not count:
            self._taken += size
        try:
            yield
        finally:
            count, size = self._held[thing]
            if count > 1:
                self._held[thing] = count - 1, size
            else:
                del self._held[thing]
                self._taken -= size
                self._freed.set()
