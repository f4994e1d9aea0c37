"""The words of titles, to find sessions by: rows beside the session's own.

They say what `sessions.title` says, a word a row, and change in the same transaction:
a list finds what was titled a moment ago, in whatever mode the index of words is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import CTE, Connection, FromClause, bindparam, delete

from convstore.db import models
from convstore.db.flushed import Flushed
from convstore.db.session_locks import Row
from convstore.db.statements import BOUND, Prepared
from convstore.search.words import words_of

_W = models.session_title_words
_REMOVE = Prepared(
    lambda _: delete(_W).where(
        _W.c.tenant_id == bindparam(BOUND + "tenant_id"),
        _W.c.session_id == bindparam(BOUND + "session_id"),
    )
)
# A flush of before, in the same transaction, may have written them.
_ADD = Prepared(lambda dialect: dialect.insert_ignore(_W))


class TitleHook:
    """Keeps the words of the titles of the sessions that a transaction writes."""

    about = ("titled", "made")

    def flush(self, connection: Connection, flushed: Flushed) -> None:
        """Write them anew for sessions with another title than before."""
        # In a row that is hot a title stands where there was none.
        again = flushed.titled & flushed.cold.keys() - flushed.made
        if again:
            names = ("tenant_id", "session_id")
            gone = [dict(zip(names, key, strict=True)) for key in sorted(again)]
            _REMOVE.many(connection, gone)
        heads = {**flushed.hot, **flushed.cold}
        told = [heads[k] for k in sorted(flushed.titled | flushed.made) if k in heads]
        titled = [session for session in told if session["title"] is not None]
        if titled:
            _ADD.many(connection, (row for each in titled for row in _rows(each)))

    def at_once(self, turns: FromClause, changed: CTE) -> Sequence[CTE]:
        """Nothing: a turn that gives its session a title goes the other way."""
        return ()


def _rows(session: Row) -> Iterator[Row]:
    place = {"tenant_id": session["tenant_id"], "session_id": session["session_id"]}
    for word in dict.fromkeys(words_of(session["title"])):
        yield {**place, "word": word}
