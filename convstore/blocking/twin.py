"""What both twins of the asynchronous face have in common: the blocking one, which
waits, and the awaitable one, which is awaited in any event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import cache
from typing import Any, ClassVar, cast

from convstore.blocking.loop import Portal, Strand


class Twin:
    """The twin of one asynchronous object, whose calls a loop carries out."""

    _kind: ClassVar[str]

    def __init__(self, loop: Portal, target: Any) -> None:
        self._loop = loop
        self._target = target

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._target) if not name.startswith("_")]

    def __repr__(self) -> str:
        return f"<{self._kind} {type(self._target).__name__}>"


class Entering:
    """The steps of a context manager over an asynchronous one, which is entered and
    left in one task of the loop."""

    def __init__(self, loop: Portal, target: AbstractAsyncContextManager[Any]) -> None:
        self._loop = loop
        self._target = target
        self._strand = Strand(loop)
        self._entered = False

    async def _enter(self) -> Any:
        value = await self._target.__aenter__()
        self._entered = True
        return value

    async def _leave(self, leave: Callable[[], Any]) -> bool | None:
        self._entered = False
        return cast("bool | None", await leave())

    async def _undo(self) -> None:
        """Leave what was entered for nobody, as a block that was cancelled would."""
        # Cancelled between the end of the step and the news of it, or before the step
        # that leaves began.
        if self._entered:
            error = asyncio.CancelledError()
            with suppress(asyncio.CancelledError):
                await self._target.__aexit__(type(error), error, None)


def is_asynchronous(value: object) -> bool:
    """Whether an object of ours has verbs that must be waited for, or nouns that do."""
    kind: Any = type(value)
    if not kind.__module__.startswith("convstore."):
        return False
    nouns = [v for k, v in getattr(value, "__dict__", {}).items() if k[0] != "_"]
    return _has_verbs(kind) or any(map(is_asynchronous, nouns))


@cache
def _has_verbs(kind: type) -> bool:
    return any(
        inspect.iscoroutinefunction(verb) or inspect.isasyncgenfunction(verb)
        for name, verb in inspect.getmembers(kind)
        if not name.startswith("_")
    )
