"""What every operation of a killed worker has in common: orders, a log, a try."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from convstore import StoreConfig
from convstore.errors import (
    AlreadyExistsError,
    ConvstoreError,
    HoldNotFoundError,
    LegalHoldError,
    SessionArchivedError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    UnavailableError,
    VersionConflictError,
)
from convstore.policy import RetentionPolicy, SearchPolicy
from convstore.store import Store
from convstore.vocabulary.attachments import NotKeptError
from tests.crash.oplog import OpLog, slot_of

TENANTS = ("acme", "other")
SPOKEN = range(8)
"""Slots of sessions to which turns are appended."""
OWNERLESS = (6, 7)
"""Of these the ones that begin without an owner: the first handle claims them."""
IMPORTED = (8, 9)
"""Slots of sessions whose turns come from files."""
FORKED = range(6)
"""Slots of sessions that are forked, each once; nobody writes to a fork."""

# What a worker on these sessions may be told; anything else is a fault.
_REFUSALS = (
    AlreadyExistsError,  # forked before
    HoldNotFoundError,
    LegalHoldError,
    NotKeptError,  # between put and append the last session went that named the picture
    SessionArchivedError,  # purged again and again while it was being restored
    SessionNotFoundError,
    VersionConflictError,
)
_CANCELLED = 0.04
"""Of all calls, those whose caller goes away on the way."""


@dataclass(frozen=True)
class Orders:
    """How one worker is to behave.

    Attributes:
        clock_offset_s: Added to the machine's clock: rounds lie hours apart, so that
            leases end and superseded segments are removed.
        die_at: Step at whose `die_on`-th time the process kills itself; empty: never.
        again: Writes of unknown outcome, to be repeated first.
        share: Operations of each task.
        adopts: The archive has parted from the database: it is adopted first.
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
    adopts: bool = False


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
        search=SearchPolicy("deferred"),
    )


def mark_of(tenant: str, session_id: str) -> str:
    """Begins everything that is said in a session, and nothing that is said elsewhere;
    not found in what is left when it was erased."""
    return f"«{tenant}|{session_id}|"


def content_of(tenant: str, session_id: str, name: str) -> str:
    """What the write of this name says: short or long, and nothing else says it."""
    body = f"{mark_of(tenant, session_id)}{name}»"
    return body + " reden" * (sum(map(ord, name)) % 60)


def payload_of(tenant: str, session_id: str, name: str) -> bytes | None:
    """What a framework keeps with the turn of this name: bytes, text, or nothing."""
    if name.startswith("import:"):
        return None
    kind = sum(map(ord, name)) % 3
    said = content_of(tenant, session_id, name).encode()
    return (None, said, b"\0\xff" + said)[kind]


def fork_of(session_id: str) -> str:
    """The session that is forked from this one."""
    return f"f{session_id[1:]}"


def owner_of(session_id: str) -> str | None:
    """The user whom a session belongs to from its beginning."""
    slot = slot_of(session_id)
    return None if slot in OWNERLESS else f"u{slot}"


class Trying:
    """Carries out one operation at a time for each task, between two lines of a log."""

    def __init__(self, orders: Orders, log: OpLog) -> None:
        self._orders, self._log = orders, log
        self._random = random.Random(orders.seed)
        self._stores: dict[str, Store] = {}
        self._count = 0
        self._generation: dict[tuple[str, int], int] = {}

    async def _try(
        self,
        op: str,
        tenant: str,
        session_id: str,
        call: Callable[[], Awaitable[Any]],
        **more: Any,
    ) -> bool:
        """Whether it was acknowledged."""
        self._count += 1
        number = f"{self._orders.seed}:{self._count}"
        self._log.write("try", id=number, op=op, tenant=tenant, s=session_id, **more)
        try:
            answer = await self._answer(call)
        except (SessionErasedError, SessionDeletedError) as error:
            self._log.write("no", id=number, code=error.code)
            if session_id:
                self._begin_anew(tenant, session_id)
        except _REFUSALS as error:
            self._log.write("no", id=number, code=error.code)
        except UnavailableError as error:
            self._log.write("unknown", id=number, code=error.code)
        except asyncio.CancelledError:
            self._log.write("unknown", id=number, code="cancelled")
        except ConvstoreError as error:
            self._log.write("error", text=f"{op}: {type(error).__name__}: {error}")
        else:
            self._log.write("ok", id=number, answer=answer)
            return True
        return False

    async def _answer(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._random.random() >= _CANCELLED:
            return await call()
        task = asyncio.ensure_future(call())
        at_s = self._random.uniform(0, 0.03)
        asyncio.get_running_loop().call_later(at_s, task.cancel)
        return await task

    def _begin_anew(self, tenant: str, session_id: str) -> None:
        """An id that is refused for ever gives way to the next one, half the time."""
        if self._random.random() < 0.5:
            generation = int(session_id.partition(".")[2])
            self._generation[tenant, slot_of(session_id)] = generation + 1

    def _session_in(self, tenant: str, slot: int) -> str:
        return f"s{slot}.{self._generation.get((tenant, slot), 0)}"

    def _name(self) -> str:
        self._count += 1
        return f"{self._orders.seed}-{self._count}"
