"""The index of words of PostgreSQL: a `tsvector` of our own making, and GIN."""

from __future__ import annotations

from collections.abc import Sequence
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
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import ReturningInsert

from convstore.db import models
from convstore.db.dialects.base import schema_of
from convstore.db.dialects.words import WordIndex, WordRow
from convstore.db.models import JsonText
from convstore.search import scope as scopes
from convstore.search.query import Phrase, Query
from convstore.vocabulary.codec import dumps

E = models.search_entries.c
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

    def matching(
        self, query: Query, scope: Sequence[str]
    ) -> tuple[Select[Any], ColumnElement[int]]:
        wanted = cast(cast(literal(_worded(query, scope)), Text), TSQUERY)
        return select(E.id).where(E.words.op("@@")(wanted)), E.id

    def fetch(
        self, connection: Connection, statement: Select[Any], budget_s: float
    ) -> list[int] | None:
        limit = str(max(1, int(budget_s * 1000)))
        connection.execute(select(func.set_config("statement_timeout", limit, True)))
        try:
            return [int(row[0]) for row in connection.execute(statement)]
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _CANCELED:
                raise
            return None

    def tidy(self, connection: Connection, *, begins: bool) -> bool:
        if begins:
            quote = connection.dialect.identifier_preparer.quote_identifier
            name = f"{quote(schema_of(connection) or 'public')}.{quote(_INDEX)}"
            connection.execute(text(f"REINDEX INDEX CONCURRENTLY {name}"))
        return False


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


def _worded(query: Query, scope: Sequence[str]) -> str:
    found = " & ".join(f"({_phrase(phrase)})" for phrase in query.wanted)
    for phrase in query.excluded:
        if phrase.literal is None:
            found = f"{found} & !({_phrase(phrase)})"
    found = f"(({found}) | '~{scopes.CUT}')"
    return " & ".join([*(f"'~{word}'" for word in scope), found])


def _phrase(phrase: Phrase) -> str:
    quoted = " <-> ".join(f"'{word}'" for word in phrase.words)
    return f"{quoted}:*" if phrase.prefix else quoted
