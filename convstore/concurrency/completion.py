"""Work that is seen through to its end, however often its caller is cancelled.

A cancelled task is usually told so once. anyio, and with it Starlette and FastAPI,
tells it again at every turn of the loop until it has ended, so that waiting once more
after the first time is not enough: a commit or a thread would go on behind its caller's
back, on a connection or a file that somebody else has by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

told_at_the_end: ContextVar[bool] = ContextVar(
    "convstore_told_at_the_end", default=False
)
"""Whether a caller that is cancelled is told so only when a commit that carries its
write has ended, where otherwise it is let go at once."""


async def finished(work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """The result of `work`, which goes on to its end even if the caller is cancelled.

    Raises:
        CancelledError: The caller was cancelled; the work has ended all the same, and
            what became of it is not told.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        # `asyncio.wait` does the same for many, at three times the price.
        waiter: asyncio.Future[None] = task.get_loop().create_future()
        wake = partial(_wake, waiter)
        task.add_done_callback(wake)
        try:
            await waiter
        except asyncio.CancelledError as error:
            cancelled = error
            task.remove_done_callback(wake)
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # looked at: nobody is left to be told
    raise cancelled


def _wake(waiter: asyncio.Future[None], _: object) -> None:
    if not waiter.done():
        waiter.set_result(None)
