"""The index of words of SQLite: FTS5 without content, which holds words and no text.

Its columns are the words and the scope: each place of the second costs two bytes more.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    column,
    func,
    insert,
    select,
    table,
)

from convstore.db import models
from convstore.db.dialects.words import (
    LIMIT,
    Bounds,
    T,
    WordIndex,
    WordRow,
    within_bounds,
)
from convstore.search import scope as scopes
from convstore.search.query import Phrase, Query

_NAME = models.WORDS
_WORDS = table(_NAME, column(_NAME), *map(column, ("rowid", "rank", "scope", "words")))
_INSTRUCTIONS = 20_000
"""Steps of SQLite between two looks at the time: less than a millisecond."""
_PAGES = 500
"""Pages that one step of tidying rewrites: some milliseconds under the write lock."""


class SqliteWords(WordIndex):
    """FTS5, which cuts at what is no letter: our words have none of that."""

    forgets_by_words = True
    merges_beginnings = True

    def is_there(self, connection: Connection) -> bool:
        master = table("sqlite_master", column("name"))
        found = select(master.c.name).where(master.c.name == _NAME)
        return connection.execute(found).one_or_none() is not None

    def add(self, connection: Connection, rows: Sequence[WordRow]) -> Sequence[WordRow]:
        entries = [
            {
                "id": row.id,
                "tenant_id": row.tenant_id,
                "session_id": row.session_id,
                "kind": row.kind,
                "seq": row.seq,
            }
            for row in rows
        ]
        connection.execute(insert(models.search_entries), entries)
        connection.execute(insert(_WORDS), [_values(row) for row in rows])
        return ()  # nobody else writes

    def take_out(self, connection: Connection, rows: Sequence[WordRow]) -> None:
        given = [{_NAME: "delete", **_values(row)} for row in rows]
        if given:
            connection.execute(insert(_WORDS), given)

    def clear(self, connection: Connection) -> None:
        if self.is_there(connection):
            connection.execute(insert(_WORDS).values({_NAME: "delete-all"}))

    def matching(self, bounds: Bounds) -> Select[Any]:
        whole: ColumnElement[str] = column(_NAME)
        matches = whole.op("MATCH")(bindparam("query", type_=Text))
        number: ColumnElement[int] = _WORDS.c.rowid
        found = select(number).where(matches, *within_bounds(number, bounds))
        return found.order_by(number.desc()).limit(LIMIT)

    def worded(self, query: Query | None, scope: Sequence[str]) -> str:
        if query is None:
            return " AND ".join(f'scope : "{word}"' for word in scope)
        found = " AND ".join(f"({_phrase(phrase)})" for phrase in query.wanted)
        found = f"words : ({found})"
        for phrase in query.excluded:
            if phrase.literal is None:
                found = f"({found} NOT words : ({_phrase(phrase)}))"
        found = f'({found} OR scope : "{scopes.CUT}")'
        for word in scope:
            found = f'scope : "{word}" AND {found}'
        return found

    def within(
        self, connection: Connection, budget_s: float, ask: Callable[[], T]
    ) -> T | None:
        raw: Any = connection.connection.driver_connection
        deadline = time.monotonic() + budget_s
        raw.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
        try:
            return ask()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return None
        finally:
            raw.set_progress_handler(None, 0)

    def tidy(self, connection: Connection, *, begins: bool) -> bool:
        # Deleting adds a mark that repeats the words; both go when segments of the
        # index are merged. A negative number begins to merge all of them into one.
        if not self.is_there(connection):
            return False
        pages = -_PAGES if begins else _PAGES
        changes = select(func.total_changes())
        before = connection.execute(changes).scalar_one()
        merge: dict[str, Any] = {_NAME: "merge", "rank": pages}
        connection.execute(insert(_WORDS).values(merge))
        after = connection.execute(changes).scalar_one()
        return bool(after - before >= 2)  # less is what a step costs that did nothing


def _values(row: WordRow) -> dict[str, object]:
    scope, words = " ".join(row.scope), " ".join(row.words)
    return {"rowid": row.id, "scope": scope, "words": words}


def _phrase(phrase: Phrase) -> str:
    quoted = " + ".join(f'"{word}"' for word in phrase.words)
    return f"{quoted} *" if phrase.prefix else quoted
