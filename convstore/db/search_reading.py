"""What a search reads: entries that match, whose they are, and what was said there.

The index only proposes. Whether an entry is of the tenant, of the user, of a session
that is still to be found, is asked of the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    cast,
    or_,
    select,
)

from convstore.db import models
from convstore.db.codec.records import SESSION_COLUMNS, session_from_row
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.dialects.words import Bounds
from convstore.db.search_contents import Said
from convstore.db.search_numbers import number_of
from convstore.db.session_filters import bucket_of
from convstore.db.session_ids import about, about_keys
from convstore.db.session_locks import Key
from convstore.db.statements import Prepared
from convstore.search import contents
from convstore.search.query import Query
from convstore.search.scope import of_session, of_sort, of_tenant, of_user
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Session

Item: TypeAlias = tuple[str, int]

S = models.sessions.c
T = models.turns.c
I = models.interactions.c  # noqa: E741
E = models.search_entries.c


class Wanted(Value, frozen=True):
    """Whose texts are looked through; None leaves a filter open. Times are
    microseconds, `until` is the first that is too late."""

    user_id: str | None = None
    session_id: str | None = None
    role: str | None = None
    since: int | None = None
    until: int | None = None
    language: str | None = None
    label: str | None = None
    include_archived: bool = True

    def takes(self, said: Said) -> bool:
        """Whether a text of a session that is wanted is wanted itself."""
        return (
            (self.role is None or said.sort == self.role)
            and (self.since is None or said.at >= self.since)
            and (self.until is None or said.at < self.until)
        )


class Entry(Value, frozen=True):
    """An entry of the index, and its session as it is now."""

    number: int
    kind: contents.Kind
    seq: int
    session: Session


def matching(
    connection: Connection,
    tenant: str,
    query: Query | None,
    wanted: Wanted,
    before: int | None,
    limit: int,
    budget_s: float,
) -> list[int] | None:
    """Numbers of entries that may match, newest first, below one; None if that takes
    longer, as a short beginning of very many words may. Without a query all of those
    whose texts are looked through. Call in a snapshot."""
    scope = [of_tenant(tenant)]
    if wanted.session_id is not None:
        scope.append(of_session(tenant, wanted.session_id))
    if wanted.user_id is not None:
        scope.append(of_user(tenant, wanted.user_id))
    if wanted.role is not None:
        scope.append(of_sort(wanted.role))
    index = dialect_of(connection).words
    ends = [before, None if wanted.until is None else number_of(wanted.until)]
    highest = min((end for end in ends if end is not None), default=None)
    given = {
        "query": index.worded(query, scope),
        "lowest": None if wanted.since is None else number_of(wanted.since),
        "highest": highest,
        "limit": limit,
    }
    bounds = Bounds(wanted.since is not None, highest is not None)
    found = _matching_of(bounds)
    rows = index.within(connection, budget_s, lambda: found.all(connection, given))
    return None if rows is None else [int(row[0]) for row in rows]


def merges_many(connection: Connection, query: Query) -> bool:
    """Whether the index would go through all the words that begin so, in all tenants,
    before it gives the first entry."""
    return query.is_broad and dialect_of(connection).words.merges_beginnings


def entries(
    connection: Connection, tenant: str, numbers: Sequence[int], wanted: Wanted
) -> list[Entry]:
    """The entries of numbers, newest first: of this tenant and what else is wanted."""
    given = _values_of(tenant, wanted)
    given["bound"] = dumps([(str(number),) for number in numbers]).decode()
    sessions: dict[str, Session] = {}
    found: list[Entry] = []
    for number, kind, seq, *row in _entries_of(_shape_of(wanted)).all(
        connection, given
    ):
        session = sessions.get(row[1])
        if session is None:
            session = sessions[row[1]] = session_from_row(row)
        found.append(Entry(number, kind, seq, session))
    return found


def live_texts(
    connection: Connection, items: Mapping[Key, Collection[Item]]
) -> dict[tuple[Key, Item], tuple[Said, int | None]]:
    """What was said in turns and interactions of live sessions, by kind and number; of
    an interaction also the turn that it is on."""
    bound: dict[str, list[tuple[str, str, str]]] = {"turn": [], "comment": []}
    for key, wanted in items.items():
        for kind, seq in wanted:
            bound[kind].append((*key, str(seq)))
    found: dict[tuple[Key, Item], tuple[Said, int | None]] = {}
    if bound["turn"]:
        for row in _TURNS.all(connection, {"bound": dumps(bound["turn"]).decode()}):
            said = _turn(row[2:])
            found[(row[0], row[1]), ("turn", said.seq)] = said, said.seq
    if bound["comment"]:
        for row in _ACTS.all(connection, {"bound": dumps(bound["comment"]).decode()}):
            tenant, session, seq, content, reason, turn_seq, at = row
            text = contents.commented(content, reason)
            said = Said("comment", seq, at, "comment", text)
            found[(tenant, session), ("comment", seq)] = said, turn_seq
    return found


def next_sessions(
    connection: Connection,
    tenant: str,
    wanted: Wanted,
    below: tuple[int, str] | None,
    limit: int,
) -> list[Session]:
    """Sessions to be looked through, newest activity first, behind a place."""
    statement = select(*SESSION_COLUMNS).where(*_conditions(wanted))
    if below is not None:
        at, session_id = below
        statement = statement.where(
            S.activity_bucket <= bucket_of(at),
            S.last_activity_at <= at,
            or_(S.last_activity_at < at, S.session_id < session_id),
        )
    statement = statement.order_by(
        S.activity_bucket.desc(), S.last_activity_at.desc(), S.session_id.desc()
    )
    rows = connection.execute(statement.limit(limit), _values_of(tenant, wanted))
    return [session_from_row(row) for row in rows]


def texts_of(
    connection: Connection, tenant: str, session_ids: Sequence[str], most: int
) -> tuple[dict[str, list[tuple[Said, int | None]]], bool]:
    """All that was said in live sessions, and whether that was all: no more than
    `most` turns are read, of sessions in the order of their ids."""
    given = about(tenant, session_ids) | {"most": most}
    found: dict[str, list[tuple[Said, int | None]]] = {i: [] for i in session_ids}
    turns = _ALL_TURNS.all(connection, given)
    for row in turns:
        said = _turn(row[2:])
        found[row[1]].append((said, said.seq))
    for row in _ALL_ACTS.all(connection, given):
        _, session, seq, content, reason, turn_seq, at = row
        text = contents.commented(content, reason)
        found[session].append((Said("comment", seq, at, "comment", text), turn_seq))
    return found, len(turns) < most


def texts_beyond(
    connection: Connection, key: Key, after: int, most: int
) -> tuple[list[tuple[Said, int | None]], bool]:
    """The next turns of a live session, and whether there may be more; behind the last
    of them its comments."""
    given = about_keys([key]) | {"after": after, "most": most}
    said = [_turn(row[2:]) for row in _NEXT_TURNS.all(connection, given)]
    found: list[tuple[Said, int | None]] = [(each, each.seq) for each in said]
    more = len(said) == most
    if not more:
        for row in _ALL_ACTS.all(connection, given):
            _, _, seq, content, reason, turn_seq, at = row
            text = contents.commented(content, reason)
            found.append((Said("comment", seq, at, "comment", text), turn_seq))
    return found, more


def _turn(values: Sequence[Any]) -> Said:
    seq, role, content, resolved, parts, at = values
    text = contents.said(role, content, resolved, parts and decode_json(parts))
    return Said("turn", seq, at, contents.SAID.get(role, ""), text)


def _shape_of(wanted: Wanted) -> Wanted:
    """What searches have in common whose entries one statement reads."""
    return Wanted(
        user_id=wanted.user_id and "",
        session_id=wanted.session_id and "",
        language=wanted.language and "",
        label=wanted.label and "",
        include_archived=wanted.include_archived,
    )


def _values_of(tenant: str, wanted: Wanted) -> dict[str, Any]:
    """What is bound to the conditions."""
    return {
        "tenant": tenant,
        "user": wanted.user_id,
        "session": wanted.session_id,
        "language": wanted.language,
        "label": wanted.label,
    }


def _conditions(wanted: Wanted) -> list[ColumnElement[bool] | Any]:
    conditions: list[ColumnElement[bool] | Any] = [
        S.tenant_id == bindparam("tenant"),
        models.LISTED,
    ]
    if not wanted.include_archived:
        conditions.append(S.state == "active")
    if wanted.user_id is not None:
        conditions.append(S.user_id == bindparam("user"))
    if wanted.session_id is not None:
        conditions.append(S.session_id == bindparam("session"))
    if wanted.language is not None:
        conditions.append(S.language == bindparam("language"))
    if wanted.label is not None:
        labels = models.session_labels.c
        given = select(1).where(
            labels.tenant_id == S.tenant_id,
            labels.session_id == S.session_id,
            labels.label == bindparam("label"),
        )
        conditions.append(given.exists())
    return conditions


@lru_cache
def _matching_of(bounds: Bounds) -> Prepared:
    return Prepared(lambda dialect: dialect.words.matching(bounds))


@lru_cache(maxsize=64)
def _entries_of(wanted: Wanted) -> Prepared:
    return Prepared(lambda dialect: _entries_statement(dialect, wanted))


def _entries_statement(dialect: Dialect, wanted: Wanted) -> Select[Any]:
    bound = dialect.bound_rows("id")
    numbered = E.id == cast(bound.c.id, BigInteger)
    # By their numbers, and once: a PostgreSQL that has not counted the tables would
    # read all entries of the tenant, or these for each of its sessions.
    found = (
        select(E.id, E.kind, E.seq, E.tenant_id, E.session_id)
        .select_from(bound.join(models.search_entries, numbered))
        .cte("found")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    same = and_(S.tenant_id == found.c.tenant_id, S.session_id == found.c.session_id)
    return (
        select(found.c.id, found.c.kind, found.c.seq, *SESSION_COLUMNS)
        .select_from(found.join(models.sessions, same))
        .where(found.c.tenant_id == bindparam("tenant"), *_conditions(wanted))
        .order_by(found.c.id.desc())
    )


def _of_items(dialect: Dialect, columns: Any, given: Sequence[Any]) -> Select[Any]:
    bound = dialect.bound_rows("tenant_id", "session_id", "seq")
    same = and_(
        columns.tenant_id == bound.c.tenant_id,
        columns.session_id == bound.c.session_id,
        columns.seq == cast(bound.c.seq, BigInteger),
    )
    return select(columns.tenant_id, columns.session_id, *given).select_from(
        bound.join(columns.seq.table, same)
    )


def _of_sessions(dialect: Dialect, columns: Any, given: Sequence[Any]) -> Select[Any]:
    bound = dialect.bound_rows("tenant_id", "session_id")
    same = and_(
        columns.tenant_id == bound.c.tenant_id,
        columns.session_id == bound.c.session_id,
    )
    return (
        select(columns.tenant_id, columns.session_id, *given)
        .select_from(bound.join(columns.seq.table, same))
        .order_by(columns.session_id, columns.seq)
    )


_TURN = [T.seq, T.role, T.content, T.resolved_question, T.parts, T.created_at]
_ACT = [I.seq, I.content, I.reason, I.turn_seq, I.created_at]
_SAYS = or_(I.content.is_not(None), I.reason.is_not(None))
_TURNS = Prepared(lambda dialect: _of_items(dialect, T, _TURN))
_ACTS = Prepared(lambda dialect: _of_items(dialect, I, _ACT))
_ALL_TURNS = Prepared(
    lambda dialect: _of_sessions(dialect, T, _TURN).limit(
        bindparam("most", type_=BigInteger)
    )
)
_NEXT_TURNS = Prepared(
    lambda dialect: (
        _of_sessions(dialect, T, _TURN)
        .where(T.seq > bindparam("after", type_=BigInteger))
        .limit(bindparam("most", type_=BigInteger))
    )
)
_ALL_ACTS = Prepared(lambda dialect: _of_sessions(dialect, I, _ACT).where(_SAYS))
