"""A store with very many sessions, made by the database out of a few."""

from __future__ import annotations

from sqlalchemy import Connection, Table, text

from convstore import Store
from convstore.db import models
from tests.web.conftest import talk

_COPIED = (
    models.sessions,
    models.turns,
    models.interactions,
    models.session_labels,
    models.session_title_words,
)
_APART = 600_000_000
"""Ten minutes lie between the last activities of two neighbours."""


async def make_many(store: Store, count: int) -> None:
    """So many sessions of three turns, a tenth judged, a thousandth disagreed on.

    Each is a copy of one of three that were made as every other: its rows differ in
    the id, the user and the times alone.
    """
    for name, labels in (("a", ()), ("b", ("up",)), ("c", ("up", "down"))):
        await talk(store, f"as-{name}", "u-0")
        for label in labels:
            await store.interactions.record(
                f"as-{name}",
                action="feedback",
                turn_seq=3,
                feedback=label,
                actor_id=f"rater-{label}",
            )
        await store.ledger.add_cost(f"as-{name}", micros=100)

    def copy(connection: Connection) -> None:
        postgres = connection.dialect.name == "postgresql"
        for table in _COPIED:
            connection.execute(text(_copying(table, postgres)), {"count": count})
        if postgres:
            connection.execute(text("ANALYZE"))

    await store._parts.backend.write(copy)


def _copying(table: Table, postgres: bool) -> str:
    """Rows of the third, the second or the first one, for each number."""
    names = [column.name for column in table.c if column.computed is None]
    given = {
        "session_id": "'s-' || n.n",
        "user_id": "'u-' || (n.n % 1000)",
        "last_activity_at": f"old.last_activity_at - n.n * CAST({_APART} AS BIGINT)",
        "created_at": f"old.created_at - n.n * CAST({_APART} AS BIGINT)",
    }
    values = ", ".join(given.get(name, f"old.{name}") for name in names)
    numbers = (
        "SELECT n FROM generate_series(1, :count) AS n"
        if postgres
        else "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n "
        "WHERE n < :count) SELECT n FROM n"
    )
    which = (
        "CASE WHEN n.n % 1000 = 0 THEN 'as-c' "
        "WHEN n.n % 10 = 0 THEN 'as-b' ELSE 'as-a' END"
    )
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} "
        f"FROM ({numbers}) AS n JOIN {table.name} AS old "
        f"ON old.tenant_id = 'default' AND old.session_id = {which}"
    )
