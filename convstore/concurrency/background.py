"""One piece of work that goes on beside another: a segment is purged while the next is
being written. Both wait for the disk most of the time, and neither touches what the
other does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any


class BackgroundTask:
    """Runs one coroutine at a time beside its owner; left only when that has ended.

    Args:
        on_done: Called in the owner's task when one has ended well.
    """

    def __init__(self, on_done: Callable[[], None]) -> None:
        self._on_done = on_done
        self._task: asyncio.Task[None] | None = None

    async def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin when the work before has ended. Raises the error of the work before."""
        try:
            await self._finish()
        except BaseException:
            work.close()
            raise
        self._task = asyncio.create_task(work)

    async def __aenter__(self) -> BackgroundTask:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self._finish()
        elif self._task is not None:
            # What was begun is finished, even when its owner was cancelled: a second
            # cancellation ends it too. Gathered, so that its own error does not hide
            # the one that led here.
            await asyncio.gather(self._task, return_exceptions=True)

    async def _finish(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        try:
            await task  # cancelled with us
        finally:
            await asyncio.gather(task, return_exceptions=True)
        self._on_done()
