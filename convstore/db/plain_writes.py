"""Which operations of a batch one statement can do, on heads that are remembered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from convstore.db.applying import ApplyToSession
from convstore.db.cells import Place
from convstore.db.checkpoints import PutCheckpoint, PutWrites
from convstore.db.outcomes import bare
from convstore.db.sessions import EnsureSession
from convstore.db.turns import AppendTurns
from convstore.db.unit import Key, Operation, Row

Operations: TypeAlias = Iterable[Operation[Any]]


def plain_keys(operations: Operations) -> set[Key]:
    """The sessions of which nothing is asked but plain writes."""
    keys: set[Key] = set()
    others: set[Key] = set()
    for operation in map(bare, operations):
        plain = isinstance(operation, _KINDS) and operation.is_plain
        (keys if plain else others).add(operation.key)
    return keys - others


def beyond_one_statement(
    operations: Operations, known: Mapping[Key, Row]
) -> Collection[Key]:
    """Those of the sessions that get an owner, or a title with its words: what the one
    statement cannot do."""
    ours = [o for o in map(bare, operations) if o.key in known]
    claimed = {o.key for o in ours if _claims(o, known[o.key])}
    titled = {a.key for a in appends_of(ours) if _titles(a, known[a.key])}
    return claimed | titled


def needs_heads_alone(operation: Operation[Any]) -> bool:
    """Whether it knows of sessions by their heads, and changes none that it does not
    name; it is bare."""
    if isinstance(operation, AppendTurns):
        return operation.is_plain
    return isinstance(operation, EnsureSession)


def are_lone_appends(operations: Operations) -> bool:
    """Whether all are appends that nothing has to be looked up for but the head."""
    # Loops without a call for each: this is asked of every append on SQLite.
    for operation in operations:
        if type(operation) is not AppendTurns:
            return False
        if operation.tool_sets or operation.charge is not None:
            return False
        for row in operation.rows:
            if (
                row["parent_seq"] is not None
                or row["external_id"] is not None
                or row["parts"] is not None
            ):
                return False
    return True


def claim_any(operations: Operations, heads: Mapping[Key, Row]) -> bool:
    """Whether one gives a session an owner; all heads are known."""
    return any(_claims(operation, heads[operation.key]) for operation in operations)


def parts_of(operations: Operations) -> Iterator[Operation[Any]]:
    """The operations, which are bare, and those that others consist of."""
    for operation in operations:
        if isinstance(operation, ApplyToSession):
            yield from (operation.turns, operation.acts)
        else:
            yield operation


def appends_of(operations: Operations) -> list[AppendTurns]:
    """The appends among operations, which are bare, and what they consist of."""
    return [o for o in parts_of(operations) if isinstance(o, AppendTurns)]


def items_of(operations: Operations) -> list[Place]:
    """The items of sessions that plain writes put, which are bare."""
    applied = (o for o in operations if isinstance(o, ApplyToSession))
    return [place for each in applied for _, place in each.cells]


def _claims(operation: Operation[Any], head: Row) -> bool:
    asked = getattr(operation, "user_id", None)
    return asked is not None and head["user_id"] is None


def _titles(append: AppendTurns, head: Row) -> bool:
    return head["title"] is None and any(r["role"] == "user" for r in append.rows)


_KINDS = (AppendTurns, ApplyToSession, PutCheckpoint, PutWrites)
"""`is_plain` of each says whether its session's head is all that has to be known."""
