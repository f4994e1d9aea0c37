"""Sessions of which rows beside them say what a filter asks: words of titles, labels,
tags and metadata.

Where few rows do, they name every session that can be meant. So a list needs no walk
past all others, and is complete, however far back these lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, Connection, bindparam, select

from convstore.db import models
from convstore.db.codec.records import SESSION_COLUMNS, session_from_row
from convstore.db.session_filters import (
    Filter,
    beginning,
    conditions,
    shape_of,
    values_of,
)
from convstore.db.session_ids import among, naming
from convstore.db.statements import Prepared
from convstore.vocabulary.records import Session

S = models.sessions.c
Spot: TypeAlias = tuple[int, str]
"""When a session was last active, and its id: the order of lists."""

_MOST_WORDS = 4
"""Words of a title, the longest, of which rows are looked for."""


def named(
    connection: Connection, tenant: str, wanted: Filter, most: int
) -> list[str] | None:
    """The ids of sessions among which all are that are wanted, by the clue of which the
    fewest rows are; None where each has more than `most`, or there is no clue."""
    fewest: list[str] | None = None
    for statement, given in _clues(wanted):
        # One more than would do: it tells that there are more.
        enough = most + 1 if fewest is None else len(fewest)
        rows = statement.all(connection, {**given, "tenant": tenant, "most": enough})
        if len(rows) < enough:
            fewest = [row[0] for row in rows]
    return None if fewest is None else list(dict.fromkeys(fewest))


def spots(
    connection: Connection, tenant: str, wanted: Filter, session_ids: Sequence[str]
) -> list[Spot]:
    """Those of the sessions that are wanted, in the order of lists from the oldest."""
    given = values_of(tenant, wanted) | naming(session_ids)
    rows = _spots_of(_by_key(wanted)).all(connection, given)
    return sorted(
        (at, session_id)
        for at, session_id, user_id, language in rows
        if wanted.user_id in (None, user_id)
        and wanted.language in (None, language)
        and at >= (wanted.updated_since or at)
    )


def read(
    connection: Connection, tenant: str, wanted: Filter, session_ids: Sequence[str]
) -> list[Session]:
    """The sessions in the order of their ids here, of those that are still wanted."""
    given = values_of(tenant, wanted) | naming(session_ids)
    rows = _sessions_of(_by_key(wanted)).all(connection, given)
    found = {session.id: session for session in map(session_from_row, rows)}
    return [found[name] for name in session_ids if name in found]


def _by_key(wanted: Filter) -> Filter:
    """The shape of what the database is to ask of sessions that are named: nothing of
    which it has an index, or SQLite would walk that instead."""
    return replace(shape_of(wanted), user_id=None, language=None, updated_since=None)


def _clues(wanted: Filter) -> Iterator[tuple[Prepared, dict[str, Any]]]:
    if wanted.label is not None:
        yield _BY_LABEL, {"label": wanted.label}
    for word in sorted(wanted.title_words, key=len, reverse=True)[:_MOST_WORDS]:
        yield _BY_WORD, {"word": word, "word_end": beginning(word)}
    if wanted.tag is not None:
        yield _BY_VALUE, {"key": wanted.tag, "value": ""}
    for key, value in wanted.metadata:
        yield _BY_VALUE, {"key": key, "value": value}


def _by(columns: Any, *asked: Any) -> Prepared:
    # Without an order: each index has the ids behind what is asked for.
    statement = (
        select(columns.session_id)
        .where(columns.tenant_id == bindparam("tenant"), *asked)
        .limit(bindparam("most", type_=BigInteger))
    )
    return Prepared(lambda _: statement)


_L, _M = models.session_labels.c, models.session_metadata.c
_W = models.session_title_words.c
_BY_LABEL = _by(_L, _L.label == bindparam("label"))
_BY_VALUE = _by(_M, _M.key == bindparam("key"), _M.value == bindparam("value"))
_BY_WORD = _by(_W, _W.word >= bindparam("word"), _W.word < bindparam("word_end"))


# By id, and in no order: for one, SQLite would read every session of the tenant.
@lru_cache(maxsize=256)
def _spots_of(wanted: Filter) -> Prepared:
    return Prepared(
        lambda dialect: select(
            S.last_activity_at, S.session_id, S.user_id, S.language
        ).where(*conditions(wanted), among(dialect, S.session_id))
    )


@lru_cache(maxsize=256)
def _sessions_of(wanted: Filter) -> Prepared:
    return Prepared(
        lambda dialect: select(*SESSION_COLUMNS).where(
            *conditions(wanted), among(dialect, S.session_id)
        )
    )
