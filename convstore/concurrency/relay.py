"""Work of a coroutine that only the thread which waits for the coroutine may do.

A driver that blocks belongs to the thread of its caller; the coroutine runs on an event
loop in another one. So it hands such work back, and goes on when it is done.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Call = tuple["asyncio.Future[Any]", Callable[[], Any]]


class Relay:
    """One waiting thread's: `run` in the loop, `serve` in the thread."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._over = False

    async def run(self, work: Callable[[], T]) -> T:
        """Have the waiting thread do `work`; what it raises is raised here.

        Raises:
            CancelledError: The thread waits no more, and did not begin it.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._over:
                raise asyncio.CancelledError
            self._calls.put((done, work))
        return await done

    def serve(self, until: futures.Future[Any]) -> None:
        """Do what is handed over, until the coroutine behind `until` has ended."""
        until.add_done_callback(lambda _: self._calls.put(None))
        try:
            while (call := self._calls.get()) is not None:
                _carry_out(*call)
                del call  # not kept until the next one: it may hold what a caller said
        finally:
            with self._lock:
                self._over = True
            while not self._calls.empty():
                if (left := self._calls.get()) is not None:
                    _tell(left[0], None, futures.CancelledError())


def _carry_out(done: asyncio.Future[Any], work: Callable[[], Any]) -> None:
    if done.cancelled():
        return
    try:
        result, error = work(), None
    except BaseException as raised:  # noqa: BLE001 - told to the coroutine
        result, error = None, raised
    _tell(done, result, error)


def _tell(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    # RuntimeError: the loop was closed meanwhile; nobody is left to be told.
    with suppress(RuntimeError):
        done.get_loop().call_soon_threadsafe(_resolve, done, result, error)


def _resolve(
    done: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    if done.done():
        return
    if isinstance(error, futures.CancelledError):
        done.cancel()
    elif error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


relay: ContextVar[Relay | None] = ContextVar("convstore_relay", default=None)
"""The relay to the thread that waits for this coroutine, if there is one."""
