"""Many callers' operations in one transaction, each failing alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from convstore.db.dialects.base import Backend, ServerEndedError
from convstore.db.imported_sessions import ImportDocument
from convstore.db.items import lock, lock_free
from convstore.db.known_acts import look_up_acts
from convstore.db.ledger import ChangeLedger, Charging, share_book
from convstore.db.new_sessions import make_missing
from convstore.db.one_statement import suppose, write_at_once
from convstore.db.outcomes import bare
from convstore.db.plain_writes import (
    appends_of,
    are_lone_appends,
    beyond_one_statement,
    claim_any,
    items_of,
    needs_heads_alone,
    parts_of,
    plain_keys,
)
from convstore.db.recent_heads import RecentHeads
from convstore.db.recording import (
    RecordInteraction,
    RecordInteractions,
    acts_of,
)
from convstore.db.remembered_heads import (
    RememberedHeads,
    have_moved,
    is_connected,
)
from convstore.db.turns import AppendTurns, look_up_external
from convstore.db.unit import (
    HeldElsewhereError,
    Key,
    Operation,
    Row,
    Unit,
    keys_of,
    places_of,
)
from convstore.vocabulary.errors import (
    ConflictError,
    ConvstoreError,
    DatabaseBusyError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
)

# What an operation may raise before it changes anything. Everything else is a fault
# of the transaction, and rolls it back for all.
REFUSALS = (InvalidInputError, NotFoundError, ConflictError, RefusedError)
Operations = Sequence[Operation[Any]]
_QUIET_S = 0.01

PATIENCE_S = 0.5
"""A session that is held by one transaction for long must not keep those from their
turn that several hold for moments; and a store that closes waits as long."""


@dataclass(slots=True)
class Outcome:
    """What became of one operation of a batch: a value or an error.

    Or `held`: nothing, because another transaction holds its session.
    """

    value: Any = None
    error: ConvstoreError | None = None
    held: bool = False


_HELD = Outcome(held=True)


class Batches:
    """Runs the batches of one store's commit lanes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        # What is indexed in the same commit takes more than one statement.
        at_once = backend.dialect.has_far_server and backend.search != "inline"
        self._heads = RememberedHeads() if at_once else None
        self._recent = None if backend.dialect.has_far_server else RecentHeads()
        self._wrote_at = 0.0

    def run(self, operations: Operations) -> Awaitable[list[Outcome]]:
        """Carry out operations, in order for each key; durable when it returns."""
        if (recent := self._recent) is not None:
            return self._backend.write(partial(self._run_near, recent, operations))
        if self._heads is None or self._backend.is_spread:
            return self._backend.write(lambda c: run_batch(c, operations))
        return self._run(self._heads, operations)

    def _run_near(
        self, recent: RecentHeads, operations: Operations, connection: Connection
    ) -> list[Outcome]:
        """As `run_batch`, by heads of before where nobody has written since."""
        alone = are_lone_appends(operations)
        if not (alone or all(map(needs_heads_alone, map(bare, operations)))):
            recent.forget()
            return run_batch(connection, operations)
        stamp, unit = self._backend.stamp(connection), Unit(connection)
        keys = {operation.key for operation in operations}
        known = recent.recall(stamp, keys)
        unit.know(known)
        if alone and len(known) == len(keys) and not claim_any(operations, known):
            outcomes = _carried_out(unit, operations)
            unit.flush()
        else:
            outcomes = run_in(unit, operations)
        recent.remember(stamp, unit.heads())
        return outcomes

    async def run_patiently(self, operations: Operations) -> list[Outcome]:
        """As `run`, of one session that others hold by turns: waits for its lock, in
        the order in which the database gives it, for `PATIENCE_S`."""

        def work(connection: Connection) -> list[Outcome]:
            unit = Unit(connection)
            unit.dialect.bound_waits(connection, PATIENCE_S)
            unit.load(_keys(operations))
            if places := places_of(map(bare, operations)):
                lock(unit, places)
            return run_in(unit, operations)

        if self._heads is not None:
            self._heads.forget({operation.key for operation in operations})
        try:
            return await self._backend.write(work)
        except DatabaseBusyError:
            return [_HELD] * len(operations)

    async def _run(
        self, heads: RememberedHeads, operations: Operations
    ) -> list[Outcome]:
        done: dict[int, Outcome] = {}
        known = heads.recall(plain_keys(operations))
        for key in beyond_one_statement(operations, known):
            del known[key]
        if known:
            done = await self._at_once(heads, operations, known)
        rest = [o for place, o in enumerate(operations) if place not in done]
        others = iter(await self._in_transaction(heads, rest) if rest else ())
        return [done.get(place) or next(others) for place in range(len(operations))]

    async def _at_once(
        self, heads: RememberedHeads, operations: Operations, known: dict[Key, Row]
    ) -> dict[int, Outcome]:
        """Write on remembered heads; outcomes, by place, of what went down."""
        heads.forget(known)  # until it is known how it ended
        await self._let_the_driver_look()
        ours = {place: o for place, o in enumerate(operations) if o.key in known}

        def work(connection: Connection) -> dict[int, Outcome]:
            if not is_connected(connection):
                return {}
            unit = Unit(connection, known)
            plain = [bare(o) for o in ours.values()]
            suppose(unit, appends_of(plain), items_of(plain))
            tried = {place: Outcome(o.apply(unit)) for place, o in ours.items()}
            written = write_at_once(connection, unit, known)
            heads.remember((k, h) for k, h in unit.heads() if k in written)
            return {p: o for p, o in tried.items() if operations[p].key in written}

        try:
            return await self._backend.write_at_once(work)
        except (*REFUSALS, DatabaseBusyError):
            return {}  # nothing was written; what is true is asked of the database
        except ServerEndedError:
            if await self._backend.read(lambda c: have_moved(c, known)):
                raise  # perhaps by this very write
            return {}
        finally:
            self._wrote_at = time.monotonic()

    async def _let_the_driver_look(self) -> None:
        """Have it notice a server that went away while nobody wrote: what is sent to
        one that is gone has an unknown outcome, where the long way's BEGIN has none."""
        if time.monotonic() - self._wrote_at > _QUIET_S:
            for _ in range(3):
                await asyncio.sleep(0)

    async def _in_transaction(
        self, heads: RememberedHeads, operations: Operations
    ) -> list[Outcome]:
        heads.forget({operation.key for operation in operations})

        def work(connection: Connection) -> tuple[list[Outcome], Unit]:
            unit = Unit(connection)
            return run_in(unit, operations), unit

        outcomes, unit = await self._backend.write(work)
        heads.remember(unit.heads())
        return outcomes


def run_batch(connection: Connection, operations: Operations) -> list[Outcome]:
    """Run `operations` in the open transaction, in order; one outcome for each."""
    return run_in(Unit(connection), operations)


def run_in(unit: Unit, operations: Operations) -> list[Outcome]:
    """Run `operations` in the unit's transaction, in order; one outcome for each.

    An operation that refuses has changed nothing, so the others go on, and those on a
    session that is held elsewhere are left out. An error of the database itself passes
    out of here: the caller rolls back and nothing has happened.
    """
    held = unit.load_free(_keys(operations))
    plain = [bare(operation) for operation in operations]
    places = places_of(plain)
    held_items = lock_free(unit, places) if places else set()
    if held or held_items:
        left = [
            o.key in held or bool(held_items & places_of([bare(o)])) for o in operations
        ]
        free = [o for o, is_held in zip(operations, left, strict=True) if not is_held]
        done = iter(run_in(unit, free) if free else ())
        return [_HELD if is_held else next(done) for is_held in left]
    parts = list(parts_of(plain))
    appends = [o for o in parts if isinstance(o, AppendTurns)]
    look_up_external(unit, appends)
    if recordings := _recordings(parts):
        look_up_acts(unit, acts_of(recordings))
    unit.look_up_cells(plain)
    if unit.dialect.has_far_server:  # else a statement is a call within the process
        make_missing(unit, plain)
    book = unit.ledger = share_book(unit, _ledger_changes(plain, appends))
    outcomes = _carried_out(unit, operations)
    assert not unit.inserted_ahead, "a session was made that nobody was told of"
    unit.flush()
    book.flush()
    return outcomes


def _carried_out(unit: Unit, operations: Operations) -> list[Outcome]:
    outcomes: list[Outcome] = []
    overtaken: set[Key] = set()
    unit.waits = False
    for operation in operations:
        if overtaken and not overtaken.isdisjoint(keys_of(operation)):
            outcomes.append(_HELD)  # it must not overtake the one before
            continue
        try:
            outcomes.append(Outcome(unit.carry_out(operation)))
        except REFUSALS as error:
            outcomes.append(Outcome(error=error))
        except HeldElsewhereError:
            overtaken.update(keys_of(operation))
            outcomes.append(_HELD)
    return outcomes


def _keys(operations: Operations) -> set[Key]:
    keys: set[Key] = set()
    for operation in operations:  # as `keys_of`, without the call: nearly all have one
        several = getattr(operation, "keys", None)
        if several is None:
            keys.add(operation.key)
        else:
            keys.update(several)
    return keys


# These two are given operations that are bare.


def _recordings(
    operations: Iterable[Operation[Any]],
) -> list[RecordInteraction | RecordInteractions]:
    kinds = (RecordInteraction, RecordInteractions)
    return [o for o in operations if isinstance(o, kinds)]


def _ledger_changes(
    operations: Operations, appends: Iterable[AppendTurns]
) -> list[Charging]:
    charges = [append.charge for append in appends]
    changes: list[Charging] = [
        o for o in operations if isinstance(o, ChangeLedger | ImportDocument)
    ]
    return changes + [charge for charge in charges if charge is not None]
