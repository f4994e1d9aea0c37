"""What is killed: it writes, judges, imports, archives, restores, holds and erases.

It works on a few sessions of two tenants, several tasks at once, until it is killed or
has done its share. Every operation and its answer go to the log.
"""

from __future__ import annotations

import asyncio
import os
import signal
import traceback

from convstore import open_store
from convstore.errors import UnavailableError
from tests.crash.leaving import Leaving
from tests.crash.lifecycle import Lifecycle
from tests.crash.oplog import OpLog
from tests.crash.trying import (
    FORKED,
    IMPORTED,
    OWNERLESS,
    SPOKEN,
    TENANTS,
    Orders,
    ShiftedClock,
    config_of,
)

TASKS = 3


def run(orders: Orders) -> None:
    """The worker's whole life."""
    log = OpLog(orders.log)
    try:
        asyncio.run(Worker(orders, log).work())
    except UnavailableError:
        log.write("end")  # the server is being killed: nothing could be begun
    except Exception as error:  # noqa: BLE001 (whatever it is, the checker tells it)
        where = traceback.format_exc()
        log.write("error", text=f"worker ended: {type(error).__name__}", trace=where)


class Worker(Leaving, Lifecycle):
    """Draws operations by the seed and carries them out."""

    def __init__(self, orders: Orders, log: OpLog) -> None:
        super().__init__(orders, log)
        self._reached: dict[str, int] = {}
        self._begin()

    async def work(self) -> None:
        orders = self._orders
        async with open_store(
            config_of(orders),
            clock=ShiftedClock(orders.clock_offset_s),
            on_step=self._step,
        ) as store:
            self._stores = {name: store.for_tenant(name) for name in TENANTS}
            if orders.adopts:
                await store.archive.adopt()
            await self._try("recover", TENANTS[0], "", self._recover)
            for line in orders.again:
                await self._repeat(line)
            await asyncio.gather(*(self._task() for _ in range(TASKS)))
        self._log.write("end")

    def _step(self, step: str) -> None:
        times = self._reached[step] = self._reached.get(step, 0) + 1
        if times == 1:
            self._log.write("step", step=step)
        if step == self._orders.die_at and times == self._orders.die_on:
            os.kill(os.getpid(), signal.SIGKILL)

    async def _task(self) -> None:
        for _ in range(self._orders.share):
            weights = _weights_towards(self._orders.die_at)
            name = self._random.choices(_OPERATIONS, weights)[0]
            tenant = self._random.choice(TENANTS)
            slot = self._random.choice(_SLOTS.get(name, _ANY))
            await getattr(self, f"_{name}")(tenant, self._session_in(tenant, slot))


_MIX = {
    "append": 26,
    "append_many": 8,
    "branch": 12,
    "note": 6,
    "claim": 6,
    "pop": 5,
    "switch": 5,
    "feedback": 6,
    "judge": 12,
    "graph": 6,
    "checkpoint": 8,
    "once": 8,
    "keep": 6,
    "forget": 6,
    "prune": 5,
    "renew": 6,
    "charge": 8,
    "fork": 5,
    "import": 6,
    "retention": 9,
    "recover_now": 2,
    "index": 6,
    "compact": 4,
    "restore": 8,
    "delete": 3,
    "destroy": 2,
    "hold": 3,
    "release": 5,
    "erase": 2,
    "erase_user": 2,
}
_ANY = (*SPOKEN, *IMPORTED)
_SLOTS = {
    "append": tuple(SPOKEN),
    "append_many": tuple(SPOKEN),
    "branch": tuple(SPOKEN),
    "note": tuple(SPOKEN),
    "claim": OWNERLESS,
    "once": tuple(SPOKEN),
    "keep": tuple(SPOKEN),
    "forget": tuple(SPOKEN),
    "pop": tuple(SPOKEN),
    "switch": tuple(SPOKEN),
    "fork": tuple(FORKED),
    "import": IMPORTED,
}
_OPERATIONS, _WEIGHTS = list(_MIX), list(_MIX.values())
# Writes announce no steps: a worker that waits for one does more of the rest.
_QUIET = _OPERATIONS[: _OPERATIONS.index("retention")]
_TOWARDS_STEPS = [
    weight if name in _QUIET else 3 * weight for name, weight in _MIX.items()
]
_TOWARDS_JOINING = [
    weight * {"retention": 3, "compact": 12}.get(name, 1)
    for name, weight in zip(_OPERATIONS, _TOWARDS_STEPS, strict=True)
]
"""There must be small segments, and there are none behind a compaction."""


def _weights_towards(step: str) -> list[int]:
    """How often each operation comes, for a worker that is to die at a step."""
    if step.startswith("compact."):
        return _TOWARDS_JOINING
    return _TOWARDS_STEPS if step else _WEIGHTS
