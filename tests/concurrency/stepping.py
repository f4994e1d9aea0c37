"""Cancels a call at a chosen one of the places where it waits, and not at a moment.

A moment depends on how fast threads and servers are; the n-th wait of a call is the
same place in every run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from enum import Enum
from typing import Any


class How(Enum):
    """How a caller is cancelled at a wait."""

    WAITING = "while it waits"
    TOLD = "when what it waits for has come, and before it is told"
    AGAIN = "at this wait and at each that follows"


class Stepped:
    """Carries out a call, and cancels its task at its wait number `at`, from 1.

    Args:
        at: None lets it go on to its end.
    """

    def __init__(
        self,
        call: Coroutine[Any, Any, Any],
        at: int | None = None,
        how: How = How.WAITING,
    ) -> None:
        self._call, self._at, self._how = call, at, how
        self.waits = 0

    async def run(self) -> Any:
        """The result, or the error as a value."""
        (result,) = await asyncio.gather(self._carried(), return_exceptions=True)
        return result

    async def _carried(self) -> Any:
        return await self

    def __await__(self) -> Generator[Any, Any, Any]:
        # As `yield from`, which shows nobody what is waited for.
        step: Any = self._call.send
        given: Any = None
        while True:
            try:
                waited = step(given)
            except StopIteration as done:
                return done.value
            self._interrupt(waited)
            try:
                step, given = self._call.send, (yield waited)
            except BaseException as error:  # noqa: BLE001 - the call's own affair
                step, given = self._call.throw, error

    def _interrupt(self, waited: asyncio.Future[Any] | None) -> None:
        self.waits += 1
        again = self._how is How.AGAIN and self.waits > (self._at or self.waits)
        if self.waits != self._at and not again:
            return
        task = asyncio.current_task()
        assert task is not None
        if self._how is How.TOLD and waited is not None:
            # Asked for before the task asks, and so called first.
            waited.add_done_callback(lambda _: task.cancel())
        else:
            task.cancel()
