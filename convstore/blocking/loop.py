"""One event loop on a thread of its own, and calls into it from any other thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, TypeVar, cast

from convstore.concurrency.relay import Relay, relay
from convstore.store.runners import caller
from convstore.vocabulary.errors import ConfigError, StoreClosedError

T = TypeVar("T")
Step = tuple[Callable[[], Awaitable[Any]], "asyncio.Future[Any]"]


class Loop:
    """A running event loop: `with Loop() as loop`. Safe to share between threads."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._running = threading.Event()
        # A daemon: a program that forgets to close its store must still end.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="convstore", daemon=True
        )

    def __enter__(self) -> Loop:
        self._thread.start()
        self._running.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_forked:
            return
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._stop is not None:
            loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def is_forked(self) -> bool:
        """Whether this is a child process, where the loop's thread does not exist."""
        return os.getpid() != self._pid

    @property
    def is_closed(self) -> bool:
        return self._loop is None

    @property
    def is_current(self) -> bool:
        """Whether this is the loop's own thread, which must never wait for itself."""
        return threading.current_thread() is self._thread

    def check(self) -> None:
        """Refuse a call that could never return.

        Raises:
            ConfigError: In a child process, or on the loop's own thread.
            StoreClosedError: The store was closed.
        """
        if self.is_forked:
            raise ConfigError(
                "the store was opened before this process was forked, and its thread "
                "is not here: open a store in each process"
            )
        if self.is_current:
            raise ConfigError(
                "a blocking call from inside the store's event loop would wait for "
                "itself: a callback such as count_tokens must not use the store"
            )
        if self.is_closed:
            raise StoreClosedError("the store is closed")

    def run(self, work: Awaitable[T]) -> T:
        """Run `work` in the loop and wait for its result.

        What it raises is raised here. When the wait is interrupted (Ctrl-C), the work
        is cancelled: as for any cancelled call, it happened or did not, as a whole.
        """
        outcome = _outcome(work)
        try:
            self.check()
            future = self._submit(outcome)
        except BaseException:
            outcome.close()
            if asyncio.iscoroutine(work):
                work.close()
            raise
        try:
            result, error = self._result(future)
        except CancelledError:
            raise StoreClosedError("the store was closed during the call") from None
        except BaseException:
            future.cancel()
            raise
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame
        return cast(T, result)

    def _result(self, future: Future[T]) -> T:
        return future.result()

    def post(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the loop without waiting; nothing happens when it is closed."""
        try:
            if self.is_forked:
                work.close()
            else:
                self._submit(work)
        except StoreClosedError:
            work.close()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Any:
        # The task takes the context along, and with it the thread that calls.
        token = caller.set(threading.current_thread())
        try:
            with self._lock:
                if self._loop is None:
                    raise StoreClosedError("the store is closed")
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        finally:
            caller.reset(token)

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._running.set()
        await self._stop.wait()


class Relaying(Loop):
    """The same loop, for calls whose work the waiting thread does itself in parts."""

    def __init__(self, shared: Loop) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)

    def run(self, work: Awaitable[T]) -> T:
        token = relay.set(Relay())
        try:
            return super().run(work)
        finally:
            relay.reset(token)

    def _result(self, future: Future[T]) -> T:
        waiting = relay.get()
        assert waiting is not None
        waiting.serve(future)
        return future.result()


async def _outcome(work: Awaitable[T]) -> tuple[T | None, BaseException | None]:
    # KeyboardInterrupt and SystemExit, from a callback, would end the loop itself.
    try:
        return await work, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        return None, error


class Strand:
    """One task of the loop that carries out several calls, one after the other.

    A context manager is left in the task that entered it, and a generator goes on in
    the one that began it, as `async with` and `async for` would have it.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._steps: asyncio.Queue[Step | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def run(self, step: Callable[[], Awaitable[T]]) -> T:
        """Carry out one step and wait for its result; as `Loop.run`."""
        return self._loop.run(self._hand_over(step))

    def end(self, last: Callable[[], Awaitable[Any]] | None = None) -> None:
        """No more steps after `last`, which nobody waits for."""
        self._loop.post(self._end(last))

    async def _hand_over(self, step: Callable[[], Awaitable[T]]) -> T:
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="convstore-strand")
        done = asyncio.get_running_loop().create_future()
        self._steps.put_nowait((step, done))
        try:
            return cast(T, await done)
        except asyncio.CancelledError:
            # Ctrl-C: the step is cancelled where it stands, and the strand with it.
            self._task.cancel()
            await asyncio.wait([self._task])
            raise

    async def _serve(self) -> None:
        while given := await self._steps.get():
            step, done = given
            result, error = await _outcome(step())
            if done.done():
                continue
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

    async def _end(self, last: Callable[[], Awaitable[Any]] | None) -> None:
        if self._task is None or self._task.done():
            return
        if last is not None:
            self._steps.put_nowait((last, asyncio.get_running_loop().create_future()))
        self._steps.put_nowait(None)
        await asyncio.wait([self._task])
