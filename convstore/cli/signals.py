"""Waiting until somebody stops the process: SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Stop:
    """Set by the first signal."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def now(self) -> None:
        """Ask for the end."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until the end is asked for."""
        await self._event.wait()

    async def within(self, seconds: float) -> bool:
        """Wait so long at most; whether the end was asked for."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def stopping() -> AsyncIterator[Stop]:
    """Take SIGTERM and SIGINT as a wish to end in order; the second one is obeyed at
    once, as the handlers are gone by then."""
    loop, stop = asyncio.get_running_loop(), Stop()
    wanted = (signal.SIGTERM, signal.SIGINT)

    def end() -> None:
        stop.now()
        for number in wanted:
            loop.remove_signal_handler(number)

    for number in wanted:
        loop.add_signal_handler(number, end)
    try:
        yield stop
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)
