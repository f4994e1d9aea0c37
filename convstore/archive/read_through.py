"""Reads archived sessions where they lie: one frame is read, nothing is changed.

The stub says on each read which copy counts. A copy never changes, so what was made of
it a moment ago serves the next verb too, as long as the stub still names it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextvars import Context as Variables
from functools import partial
from typing import TypeVar

from convstore.archive.context import Context
from convstore.archive.copies import Copy
from convstore.archive.restorer import Restorer
from convstore.db import sessions
from convstore.db.engine import Runner, Work
from convstore.db.session_image import SessionImage
from convstore.db.unit import Key

T = TypeVar("T")
_Place = tuple[Key, str]

# What is kept, for how long, and how large its documents may be together: enough for a
# page of a history and the verbs behind it.
_MOST = 8
_KEEP_S = 10.0
_MOST_BYTES = 32 * 1024 * 1024


class ReadThrough:
    """Archived sessions of any tenant, read through the caller's runner."""

    def __init__(self, context: Context, restorer: Restorer) -> None:
        self._context = context
        self._restorer = restorer
        self._kept: OrderedDict[_Place, Copy[SessionImage]] = OrderedDict()
        self._timers: dict[_Place, asyncio.TimerHandle] = {}
        self._loading: dict[_Place, asyncio.Task[Copy[SessionImage] | None]] = {}

    async def read(self, runner: Runner, key: Key, work: Work[T]) -> tuple[T, ...]:
        """What `work` finds in the archived rows of a session, as in live ones.

        Nothing, an empty tuple, where the session is not archived (any more): then it
        is live again, or gone, and its row says which.

        Raises:
            SegmentCorruptError: Its file is damaged or missing.
        """
        stub = await runner.read(lambda c: sessions.find(c, key))
        if stub is None or stub.state != "archived" or stub.segment_id is None:
            return ()
        place = (key, stub.segment_id)
        found = self._kept.get(place) or await self._load(runner, place)
        if found is None:
            return ()
        return (await self._context.files(partial(found.content.run, work)),)

    async def close(self) -> None:
        """See loads through, and let go of everything kept. Idempotent."""
        if self._loading:
            await asyncio.wait(self._loading.values())
        for place in list(self._kept):
            self._drop(place)

    async def _load(self, runner: Runner, place: _Place) -> Copy[SessionImage] | None:
        if runner.in_transaction:  # on its connection, which sees its own writes
            return await self._restorer.made(runner, place[0], SessionImage)
        task = self._loading.get(place)
        if task is None:
            # Of many who want the same, one reads. In a context of its own: it serves
            # them all, and must not look like the work of the one who came first.
            task = asyncio.get_running_loop().create_task(
                self._load_one(runner, place),
                name="convstore-read-through",
                context=Variables(),
            )
            self._loading[place] = task
            task.add_done_callback(lambda _: self._loading.pop(place, None))
        return await asyncio.shield(task)

    async def _load_one(
        self, runner: Runner, place: _Place
    ) -> Copy[SessionImage] | None:
        found = await self._restorer.made(runner, place[0], SessionImage)
        # An erasure of a neighbour may have moved it: the next stub names that place.
        if found is not None and found.size_bytes <= _MOST_BYTES // 2:
            self._keep((place[0], found.segment_id), found)
        return found

    def _keep(self, place: _Place, found: Copy[SessionImage]) -> None:
        self._drop(place)
        self._kept[place] = found
        later = asyncio.get_running_loop().call_later(_KEEP_S, self._drop, place)
        self._timers[place] = later
        while len(self._kept) > _MOST or self._bytes() > _MOST_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, place: _Place) -> None:
        """Keep it no more; whoever is reading it has it until the end."""
        if (timer := self._timers.pop(place, None)) is not None:
            timer.cancel()
        self._kept.pop(place, None)

    def _bytes(self) -> int:
        return sum(found.size_bytes for found in self._kept.values())
