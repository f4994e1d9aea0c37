"""The session ledger: routing, strikes and cost, under the session's lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from convstore.db import models
from convstore.db.codec.records import LEDGER_COLUMNS, ledger_from_row
from convstore.db.dialects.base import Dialect
from convstore.db.holds import check_not_held
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import Key, Row, Unit
from convstore.vocabulary.clock import from_micros, to_micros
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import CostBy, LedgerEntry

L = models.session_ledger.c
C = models.cost_totals.c
D = models.cost_days.c
_KEY = ("tenant_id", "session_id")
_OF_SESSION = tuple(L[name] == bindparam(BOUND + name) for name in _KEY)
_ONE_STATEMENT = select(*LEDGER_COLUMNS).where(*_OF_SESSION)
_VALUES: dict[str, Any] = {
    column.name: bindparam(BOUND + column.name)
    for column in (L.user_id, *LEDGER_COLUMNS)
}
_OF_OWNER = tuple(
    C[name] == bindparam(BOUND + name) for name in ("tenant_id", "user_id")
)
NOBODY = ""
"""Stands for the user of sessions without one in the totals."""

Charge = tuple[str, str, str, str]
"""Tenant, day, owner and model."""

_BY = {"day": D.day, "model": D.model, "user": D.user_id}

Change = Callable[[LedgerEntry | None], LedgerEntry | None]
"""From the entry as it is, None when absent, to the entry as it shall be."""


def _by_key(dialect: Dialect) -> Select[Any]:
    bound, ledger = dialect.bound_rows(*_KEY), models.session_ledger
    same = and_(*(ledger.c[name] == bound.c[name] for name in _KEY))
    columns = [ledger.c[name] for name in _KEY] + LEDGER_COLUMNS
    return select(*columns).select_from(bound.join(ledger, same))


_ONE = Prepared(lambda _: _ONE_STATEMENT)
_MANY = Prepared(_by_key)
_INSERT = Prepared(lambda _: insert(models.session_ledger))
_UPDATE = Prepared(
    lambda _: update(models.session_ledger).where(*_OF_SESSION).values(_VALUES)
)
_DELETE = Prepared(lambda _: delete(models.session_ledger).where(*_OF_SESSION))
_ADD_TO_TOTAL = Prepared(
    lambda dialect: dialect.insert_or_add(models.cost_totals, "cost_micros")
)
_ADD_TO_DAY = Prepared(
    lambda dialect: dialect.insert_or_add(models.cost_days, "cost_micros")
)
_TOTAL = select(func.coalesce(func.sum(C.cost_micros), 0)).where(_OF_OWNER[0])
_OF_TENANT = Prepared(lambda _: _TOTAL)
_OF_USER = Prepared(lambda _: _TOTAL.where(_OF_OWNER[1]))


class Book:
    """The ledger entries of one transaction: read together, written together.

    The sessions' rows must be locked, so that nobody else changes an entry meanwhile.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stored: dict[Key, LedgerEntry | None] = {}
        self._entries: dict[Key, tuple[LedgerEntry | None, str | None]] = {}
        self._spent: dict[tuple[str, str], int] = defaultdict(int)
        self._charged: dict[Charge, int] = defaultdict(int)

    def load(self, keys: Collection[Key]) -> None:
        """Read the entries of many sessions with one statement."""
        self._stored |= dict.fromkeys(keys)
        bound = {"bound": dumps(list(keys)).decode()}
        for row in _MANY.all(self._connection, bound):
            self._stored[row[0], row[1]] = ledger_from_row(row[1], row[2:])

    def find(self, key: Key) -> LedgerEntry | None:
        """The entry as this transaction has it by now, expired or not."""
        if key in self._entries:
            return self._entries[key][0]
        if key not in self._stored:
            self._stored[key] = find(self._connection, key)
        return self._stored[key]

    def forget(self, key: Key) -> None:
        """Read the entry again next time: it has come back with its session."""
        self._stored.pop(key, None)

    def put(self, key: Key, entry: LedgerEntry | None, owner: str | None) -> None:
        """Replace the entry, of a session of this user; None takes it away."""
        self._entries[key] = entry, owner

    def spend(self, tenant: str, owner: str | None, micros: int) -> None:
        """Add to the totals."""
        self._spent[tenant, owner or NOBODY] += micros

    def charge(
        self, tenant: str, owner: str | None, model: str, day: str, micros: int
    ) -> None:
        """Add to the totals, and to what was charged on a day."""
        self.spend(tenant, owner, micros)
        self._charged[tenant, day, owner or NOBODY, model] += micros

    def cost_of(self, key: Key) -> int:
        """Micros of a session by now; 0 where it has no entry."""
        entry = self.find(key)
        return 0 if entry is None else entry.cost_micros

    def change_owner(
        self, key: Key, old: str | None, new: str, cost_micros: int
    ) -> None:
        """Give a session's entry another owner, and move a cost between the totals."""
        entry = self.find(key)
        if entry is not None:
            self.put(key, entry, new)
        if cost_micros:
            self.spend(key[0], old, -cost_micros)
            self.spend(key[0], new, cost_micros)

    def flush(self) -> None:
        """Write what was put and spent; what was read stays valid."""
        rows_of: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
        added, changed, gone = rows_of
        for key, (entry, owner) in self._entries.items():
            if entry is None:
                gone.append(dict(zip(_KEY, key, strict=True)))
            else:
                known = self._stored[key] is not None
                (changed if known else added).append(_row(key, owner, entry))
            self._stored[key] = entry
        self._entries.clear()
        for statement, rows in ((_DELETE, gone), (_INSERT, added), (_UPDATE, changed)):
            if rows:
                statement.many(self._connection, rows)
        if self._spent:
            _add_costs(self._connection, self._spent)
            self._spent.clear()
        if self._charged:  # behind the totals: whoever holds a user's holds their days
            _add_to_days(self._connection, self._charged)
            self._charged.clear()


class OwnersBook:
    """Moves costs to new owners at once, outside a batch."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def cost_of(self, key: Key) -> int:
        """As `Book.cost_of`."""
        return Book(self._connection).cost_of(key)

    def change_owner(
        self, key: Key, old: str | None, new: str, cost_micros: int
    ) -> None:
        """As `Book.change_owner`, written when it returns."""
        book = Book(self._connection)
        book.change_owner(key, old, new, cost_micros)
        book.flush()


@dataclass(slots=True)
class ChangeLedger:
    """Apply a change to a session's entry; gives back what is there afterwards.

    The session's row is locked, so changes of many processes follow one another.
    `book` is that of the batch; without one, the change is written at once.
    """

    key: Key
    change: Change
    now: int
    cost_micros: int = 0
    model: str | None = None
    activity: bool = True
    user_id: str | None = None
    size: int = 0
    book: Book | None = field(default=None, compare=False)

    def apply(self, unit: Unit) -> LedgerEntry | None:
        head = unit.active(self.key, self.user_id)
        book = self.book or Book(unit.connection)
        before = book.find(self.key)
        after = self.change(before)
        if after == before:
            return before
        if after is None:
            check_not_held(head)
        owner = head.row["user_id"]
        book.put(self.key, after, owner)
        if self.cost_micros:
            model = self.model or (None if after is None else after.model) or ""
            day = from_micros(self.now).date().isoformat()
            book.charge(self.key[0], owner, model, day, self.cost_micros)
        head.touch(self.now, activity=self.activity)
        if self.book is None:
            book.flush()
        return after


class Charging(Protocol):
    """An operation that writes to a session's entry or to the totals."""

    key: Key
    book: Book | None


def share_book(unit: Unit, changes: Collection[Charging]) -> Book:
    """The book of a batch, in the hands of each of `changes`; flush it at the end."""
    book = Book(unit.connection)
    unit.on_back.append(book.forget)
    # Of a session that is not locked yet, somebody else may still make the entry.
    locked = {each.key for each in changes if unit.find(each.key) is not None}
    if locked:
        book.load(locked)
    for change in changes:
        change.book = book
    return book


def find(connection: Connection, key: Key) -> LedgerEntry | None:
    """The entry of a session, expired or not."""
    rows = _ONE.all(connection, dict(zip(_KEY, key, strict=True)))
    return ledger_from_row(key[1], rows[0]) if rows else None


def forget_user(connection: Connection, tenant: str, user_id: str) -> bool:
    """Remove a user from the totals; the tenant's total keeps the sum.

    Of a user who has come back, what the ledgers of the new sessions say is left. Call
    it when the user's old sessions are gone: nobody charges them any more then.

    Returns:
        Whether there was a total.
    """
    # In the order of the keys, as every charge locks them.
    _add_costs(connection, {(tenant, NOBODY): 0})
    # One statement: what a charge adds while this waits for it is in what is returned.
    spent = connection.execute(
        delete(models.cost_totals)
        .where(C.tenant_id == tenant, C.user_id == user_id)
        .returning(C.cost_micros)
    ).scalar_one_or_none()
    if spent is None:
        return False
    costs = select(func.coalesce(func.sum(L.cost_micros), 0))
    back = connection.execute(
        costs.where(L.tenant_id == tenant, L.user_id == user_id)
    ).scalar_one()
    _add_costs(connection, {(tenant, NOBODY): spent - int(back)})
    if back:
        _add_costs(connection, {(tenant, user_id): int(back)})
    return True


def users_with_totals(
    connection: Connection, tenant: str, after: str, limit: int
) -> list[str]:
    """Users of a tenant that have a total, in order, beyond `after`."""
    rows = connection.execute(
        select(C.user_id)
        .where(C.tenant_id == tenant, C.user_id > after)
        .order_by(C.user_id)
        .limit(limit)
    )
    return list(rows.scalars())


def page(
    connection: Connection, tenant: str, *, after: str, used_since: int, limit: int
) -> list[LedgerEntry]:
    """Entries of a tenant used since then, by session id beyond `after`."""
    these = L.tenant_id == tenant, L.session_id > after, L.last_used_at >= used_since
    rows = connection.execute(
        select(L.session_id, *LEDGER_COLUMNS)
        .where(*these)
        .order_by(L.session_id)
        .limit(limit)
    )
    return [ledger_from_row(row[0], row[1:]) for row in rows]


def count(connection: Connection, tenant: str, used_since: int) -> int:
    """Entries of a tenant used since then."""
    of_tenant = (L.tenant_id == tenant, L.last_used_at >= used_since)
    return int(connection.execute(select(func.count()).where(*of_tenant)).scalar_one())


def total_cost(connection: Connection, tenant: str, user_id: str | None) -> int:
    """What a user's sessions, or all of a tenant, have cost; archived ones included."""
    asked = _OF_TENANT if user_id is None else _OF_USER
    given = {"tenant_id": tenant} | ({} if user_id is None else {"user_id": user_id})
    return int(asked.all(connection, given)[0][0])


def keys_of(connection: Connection, tenant: str, after: str, limit: int) -> list[Key]:
    """Sessions of a tenant that have an entry, beyond `after`."""
    rows = connection.execute(
        select(L.session_id)
        .where(L.tenant_id == tenant, L.session_id > after)
        .order_by(L.session_id)
        .limit(limit)
    )
    return [(tenant, session_id) for session_id in rows.scalars()]


def charged(
    connection: Connection,
    tenant: str,
    by: CostBy,
    *,
    user_id: str | None,
    since: str | None,
    until: str | None,
    limit: int,
) -> tuple[list[tuple[str, int]], int]:
    """What was charged, added up by day (in order) or by who or what cost most, and the
    sum of all; at most so many of them."""
    of = [D.tenant_id == tenant]
    if user_id is not None:
        of.append(D.user_id == user_id)
    if since is not None:
        of.append(D.day >= since)
    if until is not None:
        of.append(D.day < until)
    name, micros = _BY[by], func.sum(D.cost_micros)
    order = [name.desc()] if by == "day" else [micros.desc(), name]
    rows = connection.execute(
        select(name, micros).where(*of).group_by(name).order_by(*order).limit(limit)
    )
    found = [(each, int(sum_)) for each, sum_ in rows]
    total = connection.execute(select(func.coalesce(micros, 0)).where(*of)).scalar_one()
    return found, int(total)


def users_charged(
    connection: Connection, tenant: str, after: str, limit: int
) -> list[str]:
    """Users of a tenant that were charged on some day, in order, beyond `after`."""
    rows = connection.execute(
        select(D.user_id)
        .where(D.tenant_id == tenant, D.user_id > after)
        .group_by(D.user_id)
        .order_by(D.user_id)
        .limit(limit)
    )
    return list(rows.scalars())


def forget_days(connection: Connection, tenant: str, user_id: str) -> bool:
    """Take a user's name from what was charged on each day; the days keep their sums.

    Whatever a user who has come back was charged by now is nobody's as well: a day
    does not say which of the user's sessions it was for.

    Returns:
        Whether there was any.
    """
    gone = connection.execute(
        delete(models.cost_days)
        .where(D.tenant_id == tenant, D.user_id == user_id)
        .returning(D.day, D.model, D.cost_micros)
    ).all()
    _add_to_days(
        connection, {(tenant, day, NOBODY, model): cost for day, model, cost in gone}
    )
    return bool(gone)


def _add_to_days(connection: Connection, charged: Mapping[Charge, int]) -> None:
    names = ("tenant_id", "day", "user_id", "model")
    rows = [
        dict(zip(names, key, strict=True)) | {"cost_micros": micros}
        for key, micros in sorted(charged.items())
    ]
    if rows:
        _ADD_TO_DAY.many(connection, rows)


def _add_costs(connection: Connection, spent: Mapping[tuple[str, str], int]) -> None:
    # In key order, so that two transactions never wait for each other.
    rows = [
        {"tenant_id": tenant, "user_id": owner, "cost_micros": micros}
        for (tenant, owner), micros in sorted(spent.items())
    ]
    _ADD_TO_TOTAL.many(connection, rows)


def _row(key: Key, owner: str | None, entry: LedgerEntry) -> Row:
    sticky = entry.cache_sticky_until
    return {
        "tenant_id": key[0],
        "session_id": key[1],
        "user_id": owner,
        "model": entry.model,
        "tier": entry.tier,
        "user_explicit": entry.user_explicit,
        "request_count": entry.request_count,
        "strikes": entry.strikes,
        "recent_hashes": dumps(list(entry.recent_hashes)).decode(),
        "cost_micros": entry.cost_micros,
        "cache_provider": entry.cache_provider,
        "cache_sticky_until": None if sticky is None else to_micros(sticky),
        "created_at": to_micros(entry.created_at),
        "last_used_at": to_micros(entry.last_used_at),
    }
