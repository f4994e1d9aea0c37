"""Fills a database to be searched, with very many turns, in minutes.

The first hundred thousand turns are written and indexed by the store. What is beyond
are copies that the database makes of its own rows, hours apart, with the words that the
index would have: but for the ids and times they are what the store had written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, text

from convstore import Store
from convstore.db import models
from convstore.search.scope import of_session, of_sort, of_tenant
from convstore.search.words import words_of

OF_SESSION = 100
"""Turns of a session."""
OWN = 100_000
_HOUR = 3_600_000_000
_COPIED = (
    models.sessions,
    models.session_title_words,
    models.turns,
    models.search_sessions,
    models.search_entries,
)
_TENANT = "default"


async def fill(store: Store, texts: Sequence[str], turns: int, small: int) -> None:
    """Write and index `turns` turns of one tenant, and before them `small` of the
    tenant `t-7`."""
    own = min(turns, OWN)
    for tenant, many in (("t-7", small), (_TENANT, own)):
        of_tenant = store.for_tenant(tenant)
        for number in range(0, many, OF_SESSION):
            await of_tenant.sessions.get_or_create(f"s-{number}")
            await of_tenant.turns.append_many(
                f"s-{number}",
                [
                    {"role": "user", "content": texts[n % len(texts)]}
                    for n in range(number, number + OF_SESSION)
                ],
            )
    await store.search_index.run()
    backend = store._parts.backend
    for number in range(1, turns // own):
        await backend.write(lambda c, n=number: _copy(c, texts, own, n))  # type: ignore[misc]
    if backend.dialect.name == "postgresql" and turns > own:
        await backend.write(lambda c: c.execute(text(_MAKE)) and None)
    if backend.dialect.name == "postgresql":  # as its own upkeep does by and by
        await backend.write(lambda c: c.execute(text("ANALYZE")) and None)


_DROP = "DROP INDEX IF EXISTS ix_search_entries_words"
_MAKE = (
    "CREATE INDEX ix_search_entries_words ON search_entries USING gin (words) "
    "WITH (gin_pending_list_limit = 256)"
)


def _copy(connection: Connection, texts: Sequence[str], own: int, number: int) -> None:
    postgres = connection.dialect.name == "postgresql"
    if postgres:
        connection.execute(text(_DROP))  # to be made at once, of everything
        connection.execute(
            text(
                "CREATE TEMP TABLE scopes (id text, old text, new text) ON COMMIT DROP"
            )
        )
        connection.execute(
            text("INSERT INTO scopes VALUES (:id, :old, :new)"),
            [_scopes(f"s-{n}", number) for n in range(0, own, OF_SESSION)],
        )
    for table in _COPIED:
        connection.execute(
            text(_copying(table, postgres)),
            {"end": f"-{number}", "later": number * _HOUR, "tenant": _TENANT},
        )
    if not postgres:
        added = f"INSERT INTO {models.WORDS}(rowid, scope, words) VALUES (:a, :b, :c)"
        connection.execute(text(added), list(_words(connection, texts, number)))


def _scopes(session_id: str, number: int) -> dict[str, str]:
    old = of_session(_TENANT, session_id)
    new = of_session(_TENANT, f"{session_id}-{number}")
    return {"id": session_id, "old": f"~{old}", "new": f"~{new}"}


def _copying(table: Table, postgres: bool) -> str:
    names = [
        column.name
        for column in table.c
        if column.computed is None and (postgres or column.name != "words")
    ]
    later = "CAST(:later AS BIGINT)"
    given = {
        "session_id": "old.session_id || :end",
        "created_at": f"old.created_at + {later}",
        "updated_at": f"old.updated_at + {later}",
        "last_activity_at": f"old.last_activity_at + {later}",
        "id": f"old.id + {later} * 1024",
        "words": "ts_delete(old.words, s.old) || array_to_tsvector(ARRAY[s.new])",
    }
    if table is not models.search_entries:
        del given["id"], given["words"]
    values = ", ".join(given.get(name, f"old.{name}") for name in names)
    scoped = postgres and table is models.search_entries
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} "
        f"FROM {table.name} AS old "
        + ("JOIN scopes AS s ON s.id = old.session_id " if scoped else "")
        + "WHERE old.tenant_id = :tenant AND old.session_id NOT LIKE 's-%-%'"
    )


def _words(
    connection: Connection, texts: Sequence[str], number: int
) -> Iterator[dict[str, Any]]:
    rows = connection.execute(
        text(
            "SELECT id, session_id, seq FROM search_entries "
            "WHERE tenant_id = :tenant AND session_id LIKE :like ORDER BY id"
        ),
        {"tenant": _TENANT, "like": f"s-%-{number}"},
    )
    for entry, session_id, seq in rows:
        first = int(session_id.split("-")[1])
        scope = (of_tenant(_TENANT), of_session(_TENANT, session_id), of_sort("user"))
        said = texts[(first + seq - 1) % len(texts)]
        yield {"a": entry, "b": " ".join(scope), "c": " ".join(words_of(said))}
