"""The index of words of PostgreSQL: a `tsvector` of our own making, and GIN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from convstore.db import models
from convstore.db.dialects.base import schema_of
from convstore.db.dialects.words import WordIndex, WordRow
from convstore.search import scope as scopes
from convstore.search.query import Phrase, Query

E = models.search_entries.c
_INDEX = "ix_search_entries_words"
_ADD = insert(models.search_entries).values(
    id=bindparam("b_id", type_=BigInteger),
    tenant_id=bindparam("b_tenant"),
    session_id=bindparam("b_session"),
    kind=bindparam("b_kind"),
    seq=bindparam("b_seq"),
    words=cast(cast(bindparam("b_words"), Text), TSVECTOR),
)


class PostgresWords(WordIndex):
    """Words of a scope begin with a sign that no word of a text has."""

    def is_there(self, connection: Connection) -> bool:
        return True

    def add(self, connection: Connection, rows: Sequence[WordRow]) -> None:
        connection.execute(_ADD, [_values(row) for row in rows])

    def take_out(self, connection: Connection, rows: Sequence[WordRow]) -> None:
        pass  # they are in the entry's row

    def clear(self, connection: Connection) -> None:
        pass

    def matching(
        self, query: Query, scope: Sequence[str]
    ) -> tuple[Select[Any], ColumnElement[int]]:
        wanted = cast(cast(literal(_worded(query, scope)), Text), TSQUERY)
        return select(E.id).where(E.words.op("@@")(wanted)), E.id

    def tidy(self, connection: Connection, *, begins: bool) -> bool:
        if begins:
            quote = connection.dialect.identifier_preparer.quote_identifier
            name = f"{quote(schema_of(connection) or 'public')}.{quote(_INDEX)}"
            connection.execute(text(f"REINDEX INDEX CONCURRENTLY {name}"))
        return False


def _values(row: WordRow) -> dict[str, object]:
    places: dict[str, list[str]] = {}
    for place, word in enumerate(row.words, 1):
        places.setdefault(word, []).append(str(place))
    words = [f"'~{word}'" for word in row.scope]
    words += [f"'{word}':{','.join(at)}" for word, at in places.items()]
    return {
        "b_id": row.id,
        "b_tenant": row.tenant_id,
        "b_session": row.session_id,
        "b_kind": row.kind,
        "b_seq": row.seq,
        "b_words": " ".join(words),
    }


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
