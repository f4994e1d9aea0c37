"""One event loop, mostly on a thread of its own, and calls into it from elsewhere."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from functools import partial
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from convstore.concurrency.completion import finished, told_at_the_end
from convstore.concurrency.relay import Relay, relay
from convstore.store.runners import caller
from convstore.vocabulary.errors import ConfigError, StoreClosedError

T = TypeVar("T")
Step = tuple[Callable[[], Awaitable[Any]], "asyncio.Future[Any]"]


class Portal:
    """Calls into one running event loop, from any thread and from tasks of any other.

    Safe to share between threads.
    """

    _own_thread = (
        "a blocking call on the thread of the store's event loop would wait for "
        "itself: await the store there"
    )

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._loop = loop

    @property
    def is_forked(self) -> bool:
        """Whether this is a child process, where the loop's thread does not exist."""
        return os.getpid() != self._pid

    @property
    def is_closed(self) -> bool:
        """Whether nobody would carry out a call any more."""
        return self._loop is None or not self._loop.is_running()

    @property
    def is_current(self) -> bool:
        """Whether this is the loop's own thread, which must never wait for itself."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def check(self) -> None:
        """Refuse a call that could never return.

        Raises:
            ConfigError: In a child process, or on the loop's own thread.
            StoreClosedError: The store was closed.
        """
        self.check_open()
        if self.is_current:
            raise ConfigError(self._own_thread)

    def check_open(self) -> None:
        """As `check`, for a task of the loop itself too, which may wait for another."""
        if self.is_forked:
            raise ConfigError(
                "the store was opened before this process was forked, and its thread "
                "is not here: open a store in each process"
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
            future = self._submit(outcome, threading.current_thread())
        except BaseException:
            outcome.close()
            if asyncio.iscoroutine(work):
                work.close()
            raise
        try:
            told = self._result(future)
        except CancelledError:
            raise _closed_meanwhile() from None
        except BaseException:
            future.cancel()
            raise
        return _value(*told)

    def _result(self, future: Future[T]) -> T:
        return future.result()

    async def carry(
        self, step: Callable[[], Awaitable[T]], *, whole: bool = False
    ) -> T:
        """Await `step()` in the loop, for a task of this or of any other loop.

        When the caller is cancelled, so is the work, unless it is to be done `whole`.
        The caller is told when the work has ended, however often it is cancelled.
        """
        self.check_open()
        if self.is_current:
            return await (finished(_patient(step)) if whole else _patient(step))
        errand = _Errand(step)
        future = self._submit(errand.run(), asyncio.current_task())
        waiting = asyncio.wrap_future(future)
        cancelled: asyncio.CancelledError | None = None
        while not waiting.done():
            try:
                await asyncio.wait([waiting])
            except asyncio.CancelledError as error:
                if cancelled is None and not whole:
                    self._call(errand.cancel)
                cancelled = error
        if cancelled is not None:
            raise cancelled
        if waiting.cancelled():
            raise _closed_meanwhile()
        return _value(*waiting.result())

    def post(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the loop without waiting; nothing happens when it is closed."""
        try:
            if self.is_forked:
                work.close()
            else:
                self._submit(work, threading.current_thread())
        except StoreClosedError:
            work.close()

    def _submit(self, work: Coroutine[Any, Any, T], by: object) -> Future[T]:
        # The task takes the context along, and with it who calls.
        token = caller.set(by)
        try:
            with self._lock:
                if self._loop is None or not self._loop.is_running():
                    work.close()
                    raise StoreClosedError("the store is closed")
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        finally:
            caller.reset(token)

    def _call(self, act: Callable[[], None]) -> None:
        with self._lock:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(act)


class Loop(Portal):
    """An event loop that runs on a thread of its own: `with Loop() as loop`."""

    _own_thread = (
        "a blocking call from inside the store's event loop would wait for "
        "itself: a callback such as count_tokens must not use the store"
    )

    def __init__(self) -> None:
        super().__init__(None)
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
    def is_current(self) -> bool:
        # Also while it closes, and in what the garbage collector calls there.
        return threading.current_thread() is self._thread

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._running.set()
        await self._stop.wait()


class Relaying(Portal):
    """The same loop, for calls whose work the waiting thread does itself in parts."""

    def __init__(self, shared: Portal) -> None:
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


class _Errand(Generic[T]):
    """One step in the store's loop for a task of another: cancelled from there."""

    def __init__(self, step: Callable[[], Awaitable[T]]) -> None:
        self._step = step
        self._task: asyncio.Task[Any] | None = None
        self._unwanted = False

    async def run(self) -> tuple[T | None, BaseException | None]:
        self._task = asyncio.current_task()
        if self._unwanted:
            raise asyncio.CancelledError
        told_at_the_end.set(True)
        return await _outcome(self._step())

    def cancel(self) -> None:
        """In the store's loop: cancel the step where it stands, begun or not."""
        self._unwanted = True
        if self._task is not None:
            self._task.cancel()


async def _patient(step: Callable[[], Awaitable[T]]) -> T:
    token = told_at_the_end.set(True)
    try:
        return await step()
    finally:
        told_at_the_end.reset(token)


def _value(result: T | None, error: BaseException | None) -> T:
    if error is not None:
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame
    return cast(T, result)


def _closed_meanwhile() -> StoreClosedError:
    return StoreClosedError("the store was closed during the call")


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

    def __init__(self, loop: Portal) -> None:
        self._loop = loop
        self._steps: asyncio.Queue[Step | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._doing: asyncio.Future[Any] | None = None

    def run(self, step: Callable[[], Awaitable[T]]) -> T:
        """Carry out one step and wait for its result; as `Portal.run`."""
        return self._loop.run(self._hand_over(step))

    async def carry(self, step: Callable[[], Awaitable[T]]) -> T:
        """Carry out one step for a task of another loop; as `Portal.carry`."""
        return await self._loop.carry(partial(self._hand_over, step))

    async def finish(self, last: Callable[[], Awaitable[Any]] | None) -> None:
        """As `end`, waited for in a task of another loop, cancelled or not."""
        await self._loop.carry(partial(self._end, last), whole=True)

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
            # The step is cancelled where it stands, and the strand with it. One that
            # has just ended leaves the strand alive, to undo what it did.
            if self._doing is done:
                self._task.cancel()
                await asyncio.wait([self._task])
            raise

    async def _serve(self) -> None:
        while given := await self._steps.get():
            step, done = given
            if done.cancelled():
                continue  # before it began
            self._doing = done
            result, error = await _outcome(step())
            self._doing = None
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
