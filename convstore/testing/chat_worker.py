"""Processes of the laboratory: forked from one that has imported all and opened
nothing, so that each is there at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

Word = dict[str, Any]

MOST_S: Final = 300
"""A worker that takes longer is taken for one that hangs, and ended."""


class Line:
    """The worker's end: it tells words, and hears one."""

    def __init__(self, told: int, heard: int) -> None:
        self._told, self._heard = told, heard

    def tell(self, **word: Any) -> None:
        """Say a word; one write, so that it is there whole or not at all."""
        os.write(self._told, json.dumps(word).encode() + b"\n")

    async def bidden(self) -> None:
        """Return when the laboratory says so."""
        loop, bidden = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._heard, bidden.set)
        await bidden.wait()
        loop.remove_reader(self._heard)
        os.read(self._heard, 1)


Work = Callable[[Line], Awaitable[None]]


class Worker:
    """One process at work; the laboratory's end of its line."""

    def __init__(self, work: Work) -> None:
        heard, told = os.pipe()
        hears, says = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(heard)
            os.close(says)
            _be(work, Line(told, hears))
        os.close(told)
        os.close(hears)
        self._words, self._says = os.fdopen(heard, "rb"), says

    def words(self) -> Iterator[Word]:
        """What it tells, until it ends."""
        for line in self._words:
            if line.endswith(b"\n"):
                yield json.loads(line)

    def word(self) -> Word | None:
        """The next word; None when it has ended."""
        return next(self.words(), None)

    def bid(self) -> None:
        """Let it go on from `bidden`; one that has ended stays so."""
        try:
            os.write(self._says, b"!")
        except BrokenPipeError:
            return

    def kill(self) -> None:
        """kill -9: it gets no chance to put anything in order."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> bool:
        """Wait until it is no more. Whether it was ended because it hung."""
        _, status = os.waitpid(self.pid, 0)
        self._words.close()
        os.close(self._says)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM


def _be(work: Work, line: Line) -> None:
    """All that a forked process does; it never returns."""
    signal.alarm(MOST_S)
    status = 1
    try:
        asyncio.run(_told(work, line))
        status = 0
    finally:
        # No handlers of whoever was forked from: they would do their work twice.
        os._exit(status)


async def _told(work: Work, line: Line) -> None:
    try:
        await work(line)
    # Whatever a store raises is counted by its name, and told to nobody else.
    except Exception as error:  # noqa: BLE001
        line.tell(failed=type(error).__name__)
