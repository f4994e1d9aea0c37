"""The asynchronous face for tasks of any event loop: each call is carried out in the
store's own, and awaited where it was made."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial, wraps
from types import TracebackType
from typing import Any

from convstore.blocking.loop import Portal, Strand
from convstore.blocking.twin import Entering, Twin, is_asynchronous
from convstore.vocabulary.errors import ConfigError


class Face(Twin):
    """The twin of one asynchronous object, and to be taken for it."""

    _kind = "awaitable"

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # Its verbs and nouns are those of the target: whoever asks for a store has one.
        return type(self._target)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"the awaitable face has no attribute {name!r}")
        value = getattr(self._target, name)
        is_verb = callable(value)
        found = (_verb if is_verb else awaitable)(self._loop, value)
        if is_verb or isinstance(found, Face):
            # Verbs and nouns stay what they are: who asks again finds them at once.
            self.__dict__[name] = found
        return found


class Store(Face):
    """The twin of `convstore.Store`."""

    def joined(self, connection: Any) -> Any:
        """As `convstore.Store.joined`, in the store's own event loop alone."""
        if not self._loop.is_current:
            raise ConfigError(
                "a connection belongs to one event loop, and the store to another: "
                "join with a store that is opened in the connection's"
            )
        return awaitable(self._loop, self._target.joined(connection))

    async def close(self) -> None:
        """Finish what is queued and let go of everything. Idempotent."""
        if not (self._loop.is_forked or self._loop.is_closed):
            await self._loop.carry(self._target.close)


def parts_of(store: Store) -> tuple[Portal, Any]:
    """The loop that carries out the calls, and the store itself."""
    return store._loop, store._target


class Context(Entering):
    """A context manager for tasks of any loop. In the loop itself, whose own task may
    as well enter and leave it, there is nothing between."""

    _is_near = False

    async def __aenter__(self) -> Any:
        if self._loop.is_current:
            self._is_near = True
            return awaitable(self._loop, await self._target.__aenter__())
        try:
            value = await self._strand.carry(self._enter)
        except BaseException:
            with suppress(Exception):  # the loop is gone, and what was entered with it
                await self._strand.finish(self._undo)
            raise
        return awaitable(self._loop, value)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._loop.is_forked:
            return None  # what was entered belongs to the parent process
        leave = partial(self._target.__aexit__, kind, error, traceback)
        if self._is_near:
            return await leave()
        try:
            left = await self._strand.carry(partial(self._leave, leave))
        except BaseException:
            await self._strand.finish(self._undo)
            raise
        self._strand.end()
        return left


def awaitable(loop: Portal, value: Any) -> Any:
    """`value` as tasks of any loop may use it."""
    if inspect.isawaitable(value):
        return _wait(loop, lambda: value)
    if isinstance(value, AsyncIterator):
        return _iterate(loop, value)
    if isinstance(value, AbstractAsyncContextManager):
        return Context(loop, value)
    if is_asynchronous(value):
        return (Store if type(value).__name__ == "Store" else Face)(loop, value)
    return value


def _verb(loop: Portal, verb: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(verb):
        # The coroutine is made where it runs: one that is made here, by a call that is
        # cancelled before its first step, would complain of never being awaited.
        @wraps(verb)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            return await _wait(loop, partial(verb, *args, **kwargs))

        return wait

    @wraps(verb)
    def call(*args: Any, **kwargs: Any) -> Any:
        loop.check_open()
        return awaitable(loop, verb(*args, **kwargs))

    return call


async def _wait(loop: Portal, step: Callable[[], Any]) -> Any:
    return awaitable(loop, await loop.carry(step))


async def _iterate(loop: Portal, source: AsyncIterator[Any]) -> AsyncIterator[Any]:
    strand = Strand(loop)
    try:
        while True:
            try:
                value = await strand.carry(source.__anext__)
            except StopAsyncIteration:
                return
            yield awaitable(loop, value)
    finally:
        await strand.finish(getattr(source, "aclose", None))
