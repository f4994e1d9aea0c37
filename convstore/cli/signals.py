"""SIGTERM and Ctrl-C: waiting for them, and work that they interrupt."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def complete(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` in an event loop of its own.

    An interrupt waits until the loop can take it, and then cancels `work`: one that
    came while the loop was being made would leave parts behind that complain.
    """

    async def interruptible() -> T:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return await work()

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return asyncio.run(interruptible())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
