"""What sessions are found by of their metadata and tags: rows beside their own.

They say what the session's row says, top-level scalars as JSON text and tags, so that
a filter needs no path that is built from input, and change in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import CTE, Connection, FromClause, bindparam, delete, insert

from convstore.db import models
from convstore.db.flushed import Flushed
from convstore.db.session_locks import Row
from convstore.db.statements import BOUND, Prepared
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.ids import MAX_ID_CHARS

# Both kinds share a table; the first character keeps them apart.
METADATA_PREFIX, TAG_PREFIX = "=", "#"

_M = models.session_metadata
_REMOVE = Prepared(
    lambda _: delete(_M).where(
        _M.c.tenant_id == bindparam(BOUND + "tenant_id"),
        _M.c.session_id == bindparam(BOUND + "session_id"),
    )
)
_ADD = Prepared(lambda _: insert(_M))


class SearchableHook:
    """Keeps what a filter can ask of the sessions that a transaction describes."""

    about = ("described", "made")

    def flush(self, connection: Connection, flushed: Flushed) -> None:
        """Write it anew for sessions with other metadata or tags than before.

        From the locked rows: who changes one of both has not seen what the other is.
        """
        if not flushed.described and not flushed.made:
            return  # nearly always: an append
        again = flushed.described - flushed.made
        if again:
            names = ("tenant_id", "session_id")
            gone = [dict(zip(names, key, strict=True)) for key in sorted(again)]
            _REMOVE.many(connection, gone)
        described = sorted(flushed.described | flushed.made)
        rows = [row for key in described for row in _rows(flushed.cold[key])]
        if rows:
            _ADD.many(connection, rows)

    def at_once(self, turns: FromClause, changed: CTE) -> Sequence[CTE]:
        """Nothing: a turn describes no session."""
        return ()


def _rows(session: Row) -> Iterator[Row]:
    place = {"tenant_id": session["tenant_id"], "session_id": session["session_id"]}
    for key, value in _found_by(session):
        # Longer ones are stored like all others, but cannot be filtered by.
        if len(key) <= MAX_ID_CHARS and len(value) <= MAX_ID_CHARS:
            yield {**place, "key": key, "value": value}


def _found_by(session: Row) -> Iterator[tuple[str, str]]:
    if session["metadata"] != "{}":
        for key, value in decode_json(session["metadata"]).items():
            if isinstance(value, str | int | float | bool | None):
                yield METADATA_PREFIX + key, dumps(value).decode()
    if session["tags"] != "[]":
        yield from ((TAG_PREFIX + tag, "") for tag in decode_json(session["tags"]))
