"""Questions that wait together are asked together.

While one answer is on its way others come, and go down next as one question. A lone
caller waits one round of the event loop for company. Loaders as GraphQL servers have
them gather for one round, and send the next question while the first is on its way;
here the answers set the pace, so that a slow database is asked less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import Context
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# What ends the task itself, or the whole loop; anything else is the callers'.
_ENDS = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


class Coalescer(Generic[K, V]):
    """Callers ask for one key each; `ask` is given up to `at_once` of them.

    It may leave keys out, but not the first: they are asked for again, before all
    others.

    Belongs to the event loop of its first caller; one of another loop, or of a process
    that was forked, asks alone.
    """

    def __init__(
        self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, at_once: int
    ) -> None:
        self._ask = ask
        self._at_once = at_once
        self._waiting: dict[K, asyncio.Future[V]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def of(self, key: K) -> V:
        """The answer to `key`, asked for no earlier than this call.

        Callers with the same key share one answer. Cancelling one leaves the others
        theirs.
        """
        loop = asyncio.get_running_loop()
        if self._asking is not None and self._asking.get_loop() is not loop:
            return (await self._ask([key]))[key]
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = loop.create_future()
        if self._asking is None:
            # In a context of its own: it serves many callers, and must not look like
            # the work of the one who came first.
            self._asking = loop.create_task(
                self._ask_for_all(), name="convstore-gathering", context=Context()
            )
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """Answer all who wait, and leave no task behind. Idempotent."""
        asking = self._asking
        if asking is not None and asking.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([asking])

    async def _ask_for_all(self) -> None:
        try:
            while self._waiting:
                batch = dict(islice(self._waiting.items(), self._at_once))
                for key in batch:
                    del self._waiting[key]
                await self._answer(batch)
        finally:
            self._asking = None
            for answer in self._waiting.values():  # nobody will ask for them any more
                answer.cancel()
            self._waiting.clear()

    async def _answer(self, batch: dict[K, asyncio.Future[V]]) -> None:
        try:
            answers = await self._ask(list(batch))
        except _ENDS:
            for answer in batch.values():
                answer.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 - told to every caller
            for answer in batch.values():
                answer.set_exception(error)
                answer.exception()  # looked at: its callers may all be gone
        else:
            self._tell(batch, answers)

    def _tell(self, batch: dict[K, asyncio.Future[V]], answers: Mapping[K, V]) -> None:
        left: dict[K, asyncio.Future[V]] = {}
        for key, answer in batch.items():
            if key in answers:
                answer.set_result(answers[key])
            else:
                left[key] = answer
                if (newer := self._waiting.get(key)) is not None:
                    # Whose answer is new enough for those of before, too.
                    newer.add_done_callback(partial(_pass_on, answer))
        if len(left) == len(batch):
            raise AssertionError("nobody was answered")
        self._waiting = {**left, **self._waiting}


def _pass_on(answer: asyncio.Future[V], newer: asyncio.Future[V]) -> None:
    if newer.cancelled():
        answer.cancel()
    elif (error := newer.exception()) is not None:
        answer.set_exception(error)
        answer.exception()
    else:
        answer.set_result(newer.result())
