"""Rows whose key is text, read and locked for a transaction: waiting for whoever holds
them, or passing over those that are held.

One that another transaction is about to make has no row to lock. So whoever finds none
holds the key itself, as an advisory lock, until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    bindparam,
    case,
    false,
    null,
    select,
    true,
)

from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.statements import Prepared
from convstore.vocabulary.codec import dumps

K = TypeVar("K", bound=tuple[str, ...])
Row = dict[str, Any]


class KeyLocks(Generic[K]):
    """The locks on the rows of one table.

    Args:
        key: The columns of its key, in order.
        columns: What is read: the key, then a column that is never null, then others.
        confirms: Look again for a row that was not there, once its key is claimed: one
            that was made since the statement began is not seen by it. Not needed by
            who inserts a row only where there is none.
    """

    def __init__(
        self,
        table: Table,
        key: Sequence[str],
        columns: Sequence[Column[Any]],
        *,
        confirms: bool = True,
    ) -> None:
        self._confirms = confirms
        self._table, self._key, self._columns = table, tuple(key), columns
        self._names = [column.name for column in columns]
        self._waiting = Prepared(lambda dialect: self._statement(dialect, waits=True))
        self._passing = Prepared(lambda dialect: self._statement(dialect, waits=False))
        self._claim = Prepared(self._claims)
        self._claim_missing = Prepared(self._claims_of_missing)

    def locked(
        self, connection: Connection, keys: Collection[K], *, claims: bool = True
    ) -> dict[K, Row]:
        """Lock and read the rows of `keys`; those held elsewhere are waited for.

        A key that is not given has no row; with `claims`, nobody else makes one before
        this transaction ends.
        """
        if claims and len(keys) > 1 and dialect_of(connection).has_row_locks:
            # Every key is waited for before any row: whoever holds a key may go on to
            # wait for a row that we would hold by then.
            self._claim_missing.all(connection, _bound(keys))
        rows, held = self._read(self._waiting, connection, keys, claims)
        if claims and len(keys) == 1:  # of several the keys were claimed before
            claimed = {*keys} - held
            # Waited for: one that is held even so has just been deleted.
            rows |= self._confirmed(self._waiting, connection, claimed, rows)[0]
        if held:  # being made elsewhere: whether they are there is known when that ends
            self._claim.all(connection, _bound(held))
            made, _ = self._read(self._waiting, connection, held, claims)
            rows |= made
        return rows

    def free(
        self, connection: Connection, keys: Collection[K]
    ) -> tuple[dict[K, Row], set[K]]:
        """Lock and read the rows of `keys` that nobody else holds, without waiting.

        Returns:
            The rows, and the keys that are held elsewhere. A key in neither is as with
            `locked` and `claims`.
        """
        rows, held = self._read(self._passing, connection, keys, claims=True)
        claimed = {*keys} - held
        made, made_and_held = self._confirmed(self._passing, connection, claimed, rows)
        return rows | made, held | made_and_held

    def _confirmed(
        self,
        statement: Prepared,
        connection: Connection,
        keys: set[K],
        rows: dict[K, Row],
    ) -> tuple[dict[K, Row], set[K]]:
        """The rows of claimed keys that were not there when the statement began that
        claimed them, and the keys of those that somebody holds by now."""
        missing = keys - rows.keys()
        if not (missing and self._confirms and dialect_of(connection).has_row_locks):
            return {}, set()
        return self._read(statement, connection, missing, claims=True)

    def _read(
        self,
        statement: Prepared,
        connection: Connection,
        keys: Collection[K],
        claims: bool,
    ) -> tuple[dict[K, Row], set[K]]:
        rows: dict[K, Row] = {}
        held: set[K] = set()
        width = len(self._key)
        for row in statement.all(connection, {**_bound(keys), "claims": claims}):
            key: Any = tuple(row[:width])
            if row[width] is None:
                held.add(key)
            else:
                rows[key] = dict(zip(self._names, row, strict=True))
        return rows, held

    def _same_key(self, bound: FromClause) -> Any:
        return and_(*(self._table.c[name] == bound.c[name] for name in self._key))

    def _statement(self, dialect: Dialect, *, waits: bool) -> Select[Any]:
        bound, table = dialect.bound_rows(*self._key), self._table
        if not dialect.has_row_locks:
            return select(*self._columns).join_from(bound, table, self._same_key(bound))
        # By key, one after the other, in a lateral subquery: whatever the planner knows
        # of the table, it locks in the order that was asked for.
        head = select(*self._columns).where(self._same_key(bound)).correlate(bound)
        head = dialect.locked(head, table) if waits else dialect.skip_locked(head)
        found = head.lateral("head")
        key = [bound.c[name] for name in self._key]
        exists = select(true()).where(self._same_key(bound)).correlate(bound)
        always, *others = self._names[len(key) :]
        # A row that is there and was not locked is held. The order of a CASE is kept:
        # only the key of a row that is not there is claimed.
        told = case(
            (found.c[always].is_not(None), true()),
            (exists.scalar_subquery(), true()),
            (~bindparam("claims", type_=Boolean), false()),
            else_=~dialect.claimed(*key),
        )
        columns = [*key, found.c[always], *(found.c[name] for name in others)]
        return select(*columns).select_from(bound.outerjoin(found, true())).where(told)

    def _claims(self, dialect: Dialect) -> Select[Any]:
        bound = dialect.bound_rows(*self._key)
        return select(dialect.claim(*(bound.c[name] for name in self._key)))

    def _claims_of_missing(self, dialect: Dialect) -> Select[Any]:
        bound = dialect.bound_rows(*self._key)
        exists = select(true()).where(self._same_key(bound)).correlate(bound)
        claim = dialect.claim(*(bound.c[name] for name in self._key))
        # A CASE, and no join: in the order that was asked for.
        return select(case((exists.scalar_subquery(), null()), else_=claim))


def _bound(keys: Collection[tuple[str, ...]]) -> dict[str, str]:
    # In order, so that two transactions never wait for each other.
    return {"bound": dumps(sorted(keys)).decode()}
