"""Takes what nobody asks for out of an idle process, too: a timer, and no task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Sweeper:
    """Calls `sweep` every `every_s` seconds for as long as it says that more is left.

    Args:
        sweep: Drops what is due; whether anything is left.
    """

    def __init__(self, every_s: float, sweep: Callable[[], bool]) -> None:
        self._every_s = every_s
        self._sweep = sweep
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def arm(self) -> None:
        """Sweep in a while; does nothing when that is settled already."""
        # A cache may outlive the event loop that its timer was on.
        if self._timer is None or self._loop is None or self._loop.is_closed():
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(self._every_s, self._run)

    def stop(self) -> None:
        """Sweep no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        if self._sweep():
            self.arm()
