"""Which labels a session's effective feedback has: rows beside `feedback_counts`.

They say what the session's row says, so that sessions can be found by a label, and
change in the same transaction. A label that nobody holds any more has no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    CTE,
    Connection,
    FromClause,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from convstore.db import models
from convstore.db.flushed import Flushed
from convstore.db.session_locks import Key
from convstore.db.statements import BOUND, Prepared
from convstore.vocabulary.ids import MAX_ID_CHARS

_L = models.session_labels
_IDENTITY = ("tenant_id", "session_id", "label")
_REMOVE = Prepared(
    lambda _: delete(_L).where(
        *(_L.c[name] == bindparam(BOUND + name) for name in _IDENTITY)
    )
)
_REMOVE_ALL = Prepared(
    lambda _: delete(_L).where(
        *(_L.c[name] == bindparam(BOUND + name) for name in _IDENTITY[:2])
    )
)
_ADD = Prepared(lambda _: insert(_L))


def known(connection: Connection, tenant: str, most: int) -> list[str]:
    """The labels that a tenant's sessions have, each once, in order; as many as are
    asked for. Looks each up in the index, however many sessions have it."""
    return list(connection.scalars(known_statement(tenant, most)))


def known_statement(tenant: str, most: int) -> Select[tuple[str]]:
    """From each label to the next one: no row of the same is read twice."""
    of_tenant = select(func.min(_L.c.label).label("label")).where(
        _L.c.tenant_id == tenant
    )
    found = of_tenant.cte("found", recursive=True)
    after = of_tenant.where(_L.c.label > found.c.label).scalar_subquery()
    found = found.union_all(select(after).where(found.c.label.is_not(None)))
    named = select(found.c.label).where(found.c.label.is_not(None))
    return named.limit(most)


class LabelHook:
    """Keeps the labels of the sessions that a transaction writes."""

    about = ("labels", "cold")

    def flush(self, connection: Connection, flushed: Flushed) -> None:
        """Set the counts that changed; a session that is gone has no labels."""
        if flushed.labels:
            _write(connection, flushed.labels)
        states = ("deleted", "erased")
        gone = [key for key, row in flushed.cold.items() if row["state"] in states]
        if gone:
            _remove(connection, gone)

    def at_once(self, turns: FromClause, changed: CTE) -> Sequence[CTE]:
        """Nothing: a turn is no feedback."""
        return ()


def _write(connection: Connection, counts: Mapping[tuple[str, str, str], int]) -> None:
    _REMOVE.many(connection, [dict(zip(_IDENTITY, p, strict=True)) for p in counts])
    rows = [
        {**dict(zip(_IDENTITY, place, strict=True)), "count": count}
        for place, count in counts.items()
        if count > 0 and len(place[2]) <= MAX_ID_CHARS
    ]
    if rows:
        _ADD.many(connection, rows)


def _remove(connection: Connection, keys: Sequence[Key]) -> None:
    named = [dict(zip(_IDENTITY, key, strict=False)) for key in keys]
    _REMOVE_ALL.many(connection, named)
