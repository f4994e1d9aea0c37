"""What is killed: a process that writes, judges, archives, restores and erases.

It works on a few sessions of two tenants, several tasks at once, until it is killed or
has done its share. Every operation and its answer go to the log.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from convstore import StoreConfig, open_store
from convstore.errors import (
    ConflictError,
    ConvstoreError,
    NotFoundError,
    RefusedError,
    SessionDeletedError,
    SessionErasedError,
    UnavailableError,
)
from convstore.policy import RetentionPolicy
from convstore.store import Store
from tests.crash.oplog import OpLog

SLOTS = 8
TENANTS = ("acme", "other")
TASKS = 3


@dataclass(frozen=True)
class Orders:
    """How one worker is to behave.

    Attributes:
        clock_offset_s: Added to the machine's clock: rounds lie hours apart, so that
            leases end and superseded segments are removed.
        die_at: Step at whose `die_on`-th time the process kills itself; empty: never.
        again: Writes of unknown outcome, to be repeated first.
        share: Operations of each task.
    """

    url: str
    archive: Path
    log: Path
    seed: int
    clock_offset_s: float = 0.0
    die_at: str = ""
    die_on: int = 1
    again: tuple[dict[str, Any], ...] = ()
    share: int = 60
    alone: bool = False


class ShiftedClock:
    """The machine's clock, some time later."""

    def __init__(self, offset_s: float) -> None:
        self._offset = timedelta(seconds=offset_s)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


def config_of(orders: Orders) -> StoreConfig:
    return StoreConfig(
        url=orders.url,
        archive_dir=orders.archive,
        retention=RetentionPolicy(exports=("messages",), readable_json=True),
    )


def content_of(tenant: str, session_id: str, name: str) -> str:
    """What the write of this name says: short or long, and nothing else says it."""
    body = f"«{tenant}|{session_id}|{name}»"
    return body + " reden" * (sum(map(ord, name)) % 60)


def payload_of(tenant: str, session_id: str, name: str) -> bytes | None:
    """What a framework keeps with the turn of this name: bytes, text, or nothing."""
    kind = sum(map(ord, name)) % 3
    said = content_of(tenant, session_id, name).encode()
    return (None, said, b"\0\xff" + said)[kind]


def _native(payload: bytes | None) -> dict[str, Any]:
    format_ = None if payload is None else "openai-agents"
    return {"payload": payload, "payload_format": format_}


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


class Worker:
    """Draws operations by the seed and carries them out."""

    def __init__(self, orders: Orders, log: OpLog) -> None:
        self._orders, self._log = orders, log
        self._random = random.Random(orders.seed)
        self._count = 0
        self._reached: dict[str, int] = {}
        self._generation: dict[tuple[str, int], int] = {}

    async def work(self) -> None:
        orders = self._orders
        async with open_store(
            config_of(orders),
            clock=ShiftedClock(orders.clock_offset_s),
            on_step=self._step,
        ) as store:
            self._stores = {name: store.for_tenant(name) for name in TENANTS}
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
            weights = _TOWARDS_STEPS if self._orders.die_at else _WEIGHTS
            name = self._random.choices(_OPERATIONS, weights)[0]
            tenant = self._random.choice(TENANTS)
            slot = self._random.randrange(SLOTS)
            generation = self._generation.get((tenant, slot), 0)
            await getattr(self, f"_{name}")(tenant, f"s{slot}.{generation}")

    async def _try(
        self,
        op: str,
        tenant: str,
        session_id: str,
        call: Callable[[], Awaitable[Any]],
        **more: Any,
    ) -> None:
        """One operation between its two lines in the log."""
        self._count += 1
        number = f"{self._orders.seed}:{self._count}"
        self._log.write("try", id=number, op=op, tenant=tenant, s=session_id, **more)
        try:
            answer = await call()
        except (SessionErasedError, SessionDeletedError) as error:
            self._log.write("no", id=number, code=error.code)
            slot, _, generation = session_id.removeprefix("s").partition(".")
            if slot and self._random.random() < 0.5:
                self._generation[tenant, int(slot)] = int(generation) + 1
        except (RefusedError, NotFoundError, ConflictError) as error:
            self._log.write("no", id=number, code=error.code)
        except UnavailableError as error:
            self._log.write("unknown", id=number, code=error.code)
        except ConvstoreError as error:
            self._log.write("error", text=f"{op}: {type(error).__name__}: {error}")
        else:
            self._log.write("ok", id=number, answer=answer)

    # Operations

    async def _append(self, tenant: str, session_id: str, count: int = 1) -> None:
        names = [self._name() for _ in range(count)]
        await self._write("append", tenant, session_id, names)

    async def _append_many(self, tenant: str, session_id: str) -> None:
        await self._append(tenant, session_id, 4)

    async def _feedback(self, tenant: str, session_id: str) -> None:
        await self._write("feedback", tenant, session_id, [self._name()])

    async def _graph(self, tenant: str, session_id: str) -> None:
        await self._write("graph", tenant, session_id, [self._name()])

    async def _write(
        self, op: str, tenant: str, session_id: str, names: list[str], **more: Any
    ) -> None:
        write = getattr(self, f"_write_{op}")

        async def call() -> list[int]:
            store = self._stores[tenant]
            user = f"u{session_id[1]}"
            await store.sessions.get_or_create(session_id, user_id=user)
            numbers: list[int] = await write(store, tenant, session_id, names)
            return numbers

        user = f"u{session_id[1]}"
        await self._try(op, tenant, session_id, call, names=names, user=user, **more)

    async def _charge(self, tenant: str, session_id: str) -> None:
        user = f"u{session_id[1]}"

        async def call() -> int:
            store = self._stores[tenant]
            await store.sessions.get_or_create(session_id, user_id=user)
            entry = await store.ledger.add_cost(session_id, micros=3)
            return entry.cost_micros

        await self._try("charge", tenant, session_id, call, user=user)

    async def _write_append(
        self, store: Store, tenant: str, session_id: str, names: list[str]
    ) -> list[int]:
        turns = await store.turns.append_many(
            session_id,
            [
                {
                    "role": ("user", "assistant")[place % 2],
                    "content": content_of(tenant, session_id, name),
                    "external_id": name,
                    **_native(payload_of(tenant, session_id, name)),
                }
                for place, name in enumerate(names)
            ],
        )
        return [turn.seq for turn in turns]

    async def _write_feedback(
        self, store: Store, tenant: str, session_id: str, names: list[str]
    ) -> list[int]:
        act = await store.interactions.record(
            session_id,
            action="feedback",
            feedback="correct",
            content=content_of(tenant, session_id, names[0]),
            external_id=names[0],
        )
        return [act.seq]

    async def _write_graph(
        self, store: Store, tenant: str, session_id: str, names: list[str]
    ) -> list[int]:
        state = {"node": content_of(tenant, session_id, names[0])}
        graph = await store.graph_states.put(session_id, state, external_id=names[0])
        return [graph.version]

    async def _repeat(self, line: dict[str, Any]) -> None:
        await self._write(
            line["op"], line["tenant"], line["s"], line["names"], again=True
        )

    async def _retention(self, tenant: str, _: str) -> None:
        async def call() -> int:
            report = await self._stores[tenant].run_retention(older_than_s=0, batch=3)
            assert not report.problems, report.problems
            return report.purged

        await self._try("retention", tenant, "", call)

    async def _recover(self, *_: str) -> dict[str, int]:
        report = await self._stores[TENANTS[0]].archive.recover(
            alone=self._orders.alone
        )
        return {"kept": len(report.segments_kept)}

    async def _recover_now(self, tenant: str, _: str) -> None:
        async def call() -> int:
            report = await self._stores[tenant].archive.recover()
            return len(report.segments_kept)

        await self._try("recover", tenant, "", call)

    async def _restore(self, tenant: str, session_id: str) -> None:
        async def call() -> int:
            return (await self._stores[tenant].restore(session_id)).version

        await self._try("restore", tenant, session_id, call)

    async def _delete(self, tenant: str, session_id: str) -> None:
        async def call() -> None:
            await self._stores[tenant].sessions.delete(session_id)

        await self._try("delete", tenant, session_id, call)

    async def _destroy(self, tenant: str, session_id: str) -> None:
        async def call() -> None:
            await self._stores[tenant].sessions.delete(session_id, archive=False)

        await self._try("destroy", tenant, session_id, call)

    async def _hold(self, tenant: str, session_id: str) -> None:
        async def call() -> int:
            hold = await self._stores[tenant].holds.place(session_id, reason="case 7")
            return hold.number

        await self._try("hold", tenant, session_id, call)

    async def _release(self, tenant: str, session_id: str) -> None:
        async def call() -> int:
            return len(await self._stores[tenant].holds.release(session_id))

        await self._try("release", tenant, session_id, call)

    async def _erase(self, tenant: str, session_id: str) -> None:
        async def call() -> list[str]:
            receipt = await self._stores[tenant].erase(session_id=session_id)
            return list(receipt.session_ids)

        await self._try("erase", tenant, session_id, call, sessions=[session_id])

    async def _erase_user(self, tenant: str, session_id: str) -> None:
        user = f"u{session_id[1]}"
        mine = [f"s{session_id[1]}.{generation}" for generation in range(200)]

        async def call() -> list[str]:
            receipt = await self._stores[tenant].erase(user_id=user)
            return list(receipt.session_ids)

        await self._try("erase", tenant, session_id, call, sessions=mine, user=user)

    def _name(self) -> str:
        self._count += 1
        return f"{self._orders.seed}-{self._count}"


_MIX = {
    "append": 34,
    "append_many": 10,
    "feedback": 12,
    "graph": 8,
    "charge": 8,
    "retention": 9,
    "recover_now": 2,
    "restore": 8,
    "delete": 3,
    "destroy": 2,
    "hold": 3,
    "release": 5,
    "erase": 2,
    "erase_user": 1,
}
_OPERATIONS, _WEIGHTS = list(_MIX), list(_MIX.values())
# Writes announce no steps: a worker that waits for one does more of the rest.
_QUIET = ("append", "append_many", "feedback", "graph", "charge")
_TOWARDS_STEPS = [
    weight if name in _QUIET else 3 * weight for name, weight in _MIX.items()
]
