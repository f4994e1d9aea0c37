"""Prefix entries of gateways as rows; see `gateway.stored_prefixes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from convstore.db import models
from convstore.db.batch import Outcome
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.session_ids import among, naming
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import Key, Row
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.record import Value

P = models.prefix_entries.c
_KEY = ("tenant_id", "prefix_key")
_VALUES = ("upstream_session_id", "instance", "used_at", "expires_at")
# Entries that one commit removes: those of callers wait for it. What is left over goes
# with the next, and until then nobody finds it.
_MOST = 50_000
_OF_TENANT = P.tenant_id == bindparam(BOUND + "tenant_id")
_OF_KEY = and_(_OF_TENANT, P.prefix_key == bindparam(BOUND + "prefix_key"))


def _bound(*names: str) -> dict[str, Any]:
    return {name: bindparam(BOUND + name) for name in names}


def _by_key(dialect: Dialect) -> Select[Any]:
    bound, entries = dialect.bound_rows(*_KEY), models.prefix_entries
    same = and_(*(entries.c[name] == bound.c[name] for name in _KEY))
    columns = [entries.c[name] for name in _KEY]
    statement = select(*columns).select_from(bound.join(entries, same))
    return dialect.locked(statement, entries)


_FIND = Prepared(
    lambda _: select(P.upstream_session_id, P.instance, P.expires_at, P.used_at).where(
        _OF_KEY
    )
)
_LOCK = Prepared(_by_key)
_ADD = Prepared(
    lambda dialect: dialect.insert_ignore(models.prefix_entries).values(
        _bound(*_KEY, *_VALUES)
    )
)
_REPLACE = Prepared(
    lambda _: update(models.prefix_entries).where(_OF_KEY).values(_bound(*_VALUES))
)
_USE = Prepared(
    lambda _: (
        update(models.prefix_entries)
        .where(_OF_KEY, P.expires_at > bindparam(BOUND + "used_at"))
        .values(
            used_at=bindparam(BOUND + "used_at"),
            # Not earlier than it was: absolute expiry leaves it where it is.
            expires_at=func.coalesce(bindparam(BOUND + "expires_at"), P.expires_at),
        )
    )
)
_DUE = Prepared(
    lambda dialect: dialect.skip_locked(
        select(P.prefix_key)
        .where(_OF_TENANT, P.expires_at <= bindparam(BOUND + "now"))
        .order_by(P.expires_at)
        .limit(_MOST)
    )
)
_COUNT = Prepared(
    lambda _: select(func.count()).select_from(models.prefix_entries).where(_OF_TENANT)
)


class Trims:
    """Keeps tenants within their bounds, each once in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._done: set[tuple[str, int]] = set()

    def trim(self, tenant: str, now: int, max_entries: int) -> tuple[int, int]:
        """How many entries have expired, and were evicted."""
        if (tenant, max_entries) in self._done:
            return 0, 0
        self._done.add((tenant, max_entries))
        return _trim(self._connection, tenant, now, max_entries)


class PutPrefix(Value, frozen=True):
    """Insert or replace an entry, then keep its tenant's within the bound."""

    key: Key
    upstream_session_id: str
    instance: str | None
    now: int
    expires_at: int
    max_entries: int
    size: int = 0

    @property
    def row(self) -> Row:
        tenant, prefix = self.key
        values = (self.upstream_session_id, self.instance, self.now, self.expires_at)
        named = dict(zip(_VALUES, values, strict=True))
        return {"tenant_id": tenant, "prefix_key": prefix, **named}

    def apply(self, trims: Trims) -> tuple[int, int]:
        """Make room, once the row is written."""
        return trims.trim(self.key[0], self.now, self.max_entries)


class UsePrefix(Value, frozen=True):
    """Count an entry as used, and extend its life if `expires_at` is given."""

    key: Key
    now: int
    expires_at: int | None
    size: int = 0

    @property
    def row(self) -> Row:
        tenant, prefix = self.key
        times = {"used_at": self.now, "expires_at": self.expires_at}
        return {"tenant_id": tenant, "prefix_key": prefix, **times}

    def apply(self, trims: Trims) -> tuple[int, int]:
        """Nothing more to do."""
        return 0, 0


def find(
    connection: Connection, tenant: str, key: str
) -> tuple[str, str | None, int, int] | None:
    """Upstream session, instance, expiry and last use of an entry."""
    rows = _FIND.all(connection, {"tenant_id": tenant, "prefix_key": key})
    return tuple(rows[0]) if rows else None


def write(
    connection: Connection, writes: Sequence[PutPrefix | UsePrefix]
) -> list[Outcome]:
    """Carry out the writes of many callers; of each, how many entries expired and were
    evicted on the way: the entries of a tenant are trimmed once."""
    # The later put of a key wins; in key order, so that no two workers wait for each
    # other: first the locks on what is there, then what is new.
    puts = {each.key: each for each in writes if isinstance(each, PutPrefix)}
    uses = {each.key: each for each in writes if isinstance(each, UsePrefix)}
    bound = {"bound": dumps(sorted({*puts, *uses})).decode()}
    known = {(row[0], row[1]) for row in _LOCK.all(connection, bound)}
    used = [uses[key].row for key in uses if key in known]
    replaced = [puts[key].row for key in puts if key in known]
    added = [puts[key].row for key in sorted(puts) if key not in known]
    for statement, rows in ((_USE, used), (_REPLACE, replaced), (_ADD, added)):
        if rows:
            statement.many(connection, rows)
    trims = Trims(connection)
    return [Outcome(each.apply(trims)) for each in writes]


def expire(connection: Connection, tenant: str, key: str, now: int) -> int:
    """Remove an entry if it is due; 1 or 0."""
    return connection.execute(
        delete(models.prefix_entries).where(
            P.tenant_id == tenant, P.prefix_key == key, P.expires_at <= now
        )
    ).rowcount


def _trim(
    connection: Connection, tenant: str, now: int, max_entries: int
) -> tuple[int, int]:
    """Remove what is due, then the least recently used over the bound; how many each.

    Rows that another worker is using are passed by: it trims too.
    """
    due = _DUE.all(connection, {"tenant_id": tenant, "now": now})
    expired = _delete(connection, tenant, [row[0] for row in due])
    count = _COUNT.all(connection, {"tenant_id": tenant})[0][0]
    over = count - max_entries
    if over <= 0:
        return expired, 0
    oldest = (
        select(P.prefix_key)
        .where(P.tenant_id == tenant)
        .order_by(P.used_at, P.prefix_key)
        .limit(min(over, _MOST))
    )
    return expired, _remove(connection, tenant, oldest)


def remove(
    connection: Connection,
    tenant: str,
    *,
    key: str | None,
    upstream_session_id: str | None,
    instance: str | None,
) -> int:
    """Remove the entries that fit the one thing given; how many."""
    fits: ColumnElement[bool] = P.prefix_key == key
    if upstream_session_id is not None:
        fits = P.upstream_session_id == upstream_session_id
    elif instance is not None:
        fits = P.instance == instance
    return _remove(
        connection, tenant, select(P.prefix_key).where(P.tenant_id == tenant, fits)
    )


def count(connection: Connection, tenant: str, now: int) -> int:
    """Entries that have not expired."""
    statement = select(func.count()).select_from(models.prefix_entries)
    return int(
        connection.execute(
            statement.where(P.tenant_id == tenant, P.expires_at > now)
        ).scalar_one()
    )


def _remove(connection: Connection, tenant: str, chosen: Select[tuple[str]]) -> int:
    # Chosen first, past locked rows, so that two workers never wait for each other.
    keys = connection.execute(dialect_of(connection).skip_locked(chosen)).scalars()
    return _delete(connection, tenant, list(keys))


def _delete(connection: Connection, tenant: str, keys: list[str]) -> int:
    if not keys:
        return 0
    these = among(dialect_of(connection), P.prefix_key)
    return connection.execute(
        delete(models.prefix_entries).where(P.tenant_id == tenant, these),
        naming(keys),
    ).rowcount
