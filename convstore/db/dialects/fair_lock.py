"""One at a time, in the order of coming, within one event loop.

As `asyncio.Lock`, but whoever finds it free gets in without a coroutine, and waiting
has a limit.
"""

from __future__ import annotations

import asyncio
from collections import deque


class FairLock:
    """Lets one in after the other."""

    def __init__(self) -> None:
        self._taken = False
        self._line: deque[asyncio.Future[None]] = deque()

    def try_enter(self) -> bool:
        """Get in at once if nobody is in, or waits to be."""
        if self._taken:
            return False
        self._taken = True
        return True

    async def enter(self, timeout_s: float | None) -> None:
        """Wait for all who came before; with None, however long it takes.

        Raises:
            TimeoutError: It took longer than `timeout_s` seconds.
        """
        if self.try_enter():
            return
        place = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(timeout_s):
                await place
        except BaseException:
            if place.done() and not place.cancelled():
                self.leave()  # it was our turn already: the next may have it
            elif place in self._line:
                self._line.remove(place)
            raise

    def leave(self) -> None:
        """Let the next in; it stays taken if somebody waits."""
        while self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._taken = False
