"""The index of words of PostgreSQL: a `tsvector` of our own making, and GIN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY, insert
from sqlalchemy.sql.dml import ReturningInsert

from convstore.db import models
from convstore.db.dialects.base import schema_of
from convstore.db.dialects.words import (
    LIMIT,
    Bounds,
    T,
    WordIndex,
    WordRow,
    within_bounds,
)
from convstore.db.models import JsonText
from convstore.search import scope as scopes
from convstore.search.query import Phrase, Query
from convstore.vocabulary.codec import dumps

E = models.search_entries.c
_LOOKED_THROUGH = 1_000
"""Entries, the newest: one in fifty of them is enough for a page."""
_CANCELED = "57014"
_INDEX = "ix_search_entries_words"
_COLUMNS = ("id", "tenant_id", "session_id", "kind", "seq", "words")


class PostgresWords(WordIndex):
    """Words of a scope begin with a sign that no word of a text has."""

    def is_there(self, connection: Connection) -> bool:
        return True

    def add(self, connection: Connection, rows: Sequence[WordRow]) -> Sequence[WordRow]:
        values = [_values(row) for row in rows]
        given = {"bound": dumps(values).decode()}
        added = {row[0] for row in connection.execute(_add(), given)}
        return [row for row in rows if row.id not in added]

    def take_out(self, connection: Connection, rows: Sequence[WordRow]) -> None:
        pass  # they are in the entry's row

    def clear(self, connection: Connection) -> None:
        pass

    def matching(self, bounds: Bounds) -> Select[Any]:
        """GIN gives hits in no order: of a common word it would give a good part of the
        table to be sorted. Such a word is among the newest entries, which are looked
        through first, and only what is rarer is asked of the index."""
        wanted = cast(bindparam("query", type_=Text), TSQUERY)
        inside = within_bounds(E.id, bounds)
        newest = (
            select(E.id, E.words)
            .where(*inside)
            .order_by(E.id.desc())
            .limit(_LOOKED_THROUGH)
            .subquery("newest")
        )
        first = (
            select(newest.c.id)
            .where(_matches(newest.c.words, wanted))
            .order_by(newest.c.id.desc())
            .limit(LIMIT)
            .cte("first")
        )
        found = select(func.count()).select_from(first).scalar_subquery()
        # All hits before their order, which an OFFSET tells: else the entries of all
        # tenants may be gone through for a few old ones of a small tenant.
        hits = (
            select(E.id)
            .where(_matches(E.words, wanted), *inside, found < LIMIT)
            .offset(literal_column("0"))
            .subquery("hits")
        )
        indexed = (
            select(hits.c.id)
            .order_by(hits.c.id.desc())
            .limit(LIMIT)
            .subquery("indexed")
        )
        either = union_all(
            select(first.c.id).where(found >= LIMIT), select(indexed.c.id)
        ).subquery("either")
        return select(either.c.id).order_by(either.c.id.desc())

    def worded(self, query: Query | None, scope: Sequence[str]) -> str:
        if query is None:
            return " & ".join(f"'~{word}'" for word in scope)
        found = " & ".join(f"({_phrase(phrase)})" for phrase in query.wanted)
        for phrase in query.excluded:
            if phrase.literal is None:
                found = f"{found} & !({_phrase(phrase)})"
        found = f"(({found}) | '~{scopes.CUT}')"
        return " & ".join([*(f"'~{word}'" for word in scope), found])

    def within(
        self, connection: Connection, budget_s: float, ask: Callable[[], T]
    ) -> T | None:
        limit = str(max(1, int(budget_s * 1000)))
        # How common the words are decides how they are best looked for: a plan for
        # words of any kind would now and then read the hits of all tenants.
        settings = (
            func.set_config("statement_timeout", limit, True),
            func.set_config("plan_cache_mode", "force_custom_plan", True),
        )
        connection.execute(select(*settings))
        try:
            return ask()
        except Exception as error:  # each driver has its own
            if getattr(error, "sqlstate", None) != _CANCELED:
                raise
            return None

    def tidy(self, connection: Connection, *, begins: bool) -> bool:
        if begins:
            quote = connection.dialect.identifier_preparer.quote_identifier
            name = f"{quote(schema_of(connection) or 'public')}.{quote(_INDEX)}"
            connection.execute(text(f"REINDEX INDEX CONCURRENTLY {name}"))
        return False


def _matches(words: Any, wanted: Any) -> ColumnElement[bool]:
    found: ColumnElement[bool] = words.op("@@", is_comparison=True)(wanted)
    return found


def _values(row: WordRow) -> tuple[str, ...]:
    places: dict[str, list[str]] = {}
    for place, word in enumerate(row.words, 1):
        places.setdefault(word, []).append(str(place))
    words = [f"'~{word}'" for word in row.scope]
    words += [f"'{word}':{','.join(at)}" for word, at in places.items()]
    named = (row.tenant_id, row.session_id, row.kind)
    return (str(row.id), *named, str(row.seq), " ".join(words))


@cache
def _add() -> ReturningInsert[Any]:
    """One statement for any number: it gives back the ids that it added. Another
    transaction's that is about to end is waited for, and then left alone."""
    value = func.json_array_elements(bindparam("bound", type_=JsonText()))
    row = value.table_valued("value").c.value
    bound = select(
        *(
            row.op("->>")(literal_column(str(n))).label(c)
            for n, c in enumerate(_COLUMNS)
        )
    ).subquery("bound")
    rows = select(*(cast(bound.c[name], E[name].type) for name in _COLUMNS)).order_by(
        cast(bound.c.id, BigInteger)
    )
    return (
        insert(models.search_entries)
        .from_select(list(_COLUMNS), rows)
        .on_conflict_do_nothing()
        .returning(E.id)
    )


def _phrase(phrase: Phrase) -> str:
    quoted = " <-> ".join(f"'{word}'" for word in phrase.words)
    return f"{quoted}:*" if phrase.prefix else quoted
