"""Many callers' operations in one transaction, each failing alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from convstore.db.ledger import ChangeLedger, share_book
from convstore.db.tracked import bare
from convstore.db.turns import AppendTurns, look_up_external
from convstore.db.unit import Operation, Unit
from convstore.errors import (
    ConflictError,
    ConvstoreError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
)

# What an operation may raise before it changes anything. Everything else is a fault
# of the transaction, and rolls it back for all.
REFUSALS = (InvalidInputError, NotFoundError, ConflictError, RefusedError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one operation of a batch: a value or an error."""

    value: Any = None
    error: ConvstoreError | None = None


def run_batch(
    connection: Connection, operations: Sequence[Operation[Any]]
) -> list[Outcome]:
    """Run `operations` in the open transaction, in order; one outcome for each.

    An operation that refuses has changed nothing, so the others go on. An error of the
    database itself passes out of here: the caller rolls back and nothing has happened.
    """
    unit = Unit(connection)
    unit.load({operation.key for operation in operations})
    inner = [bare(operation) for operation in operations]
    look_up_external(unit, [o for o in inner if isinstance(o, AppendTurns)])
    book = share_book(unit, [o for o in inner if isinstance(o, ChangeLedger)])
    outcomes = []
    for operation in operations:
        try:
            outcomes.append(Outcome(operation.apply(unit)))
        except REFUSALS as error:
            outcomes.append(Outcome(error=error))
    unit.flush()
    book.flush()
    return outcomes
