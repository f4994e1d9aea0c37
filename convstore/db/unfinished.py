"""What the archive's ledger says is still to be finished: purges that a crash cut
short, copies that must not be kept, segments that are of no use any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    and_,
    case,
    exists,
    literal_column,
    or_,
    select,
    tuple_,
)

from convstore.db import models
from convstore.db.segments import SEGMENT_COLUMNS, StoredSegment
from convstore.db.session_ids import about_keys, of_sessions, one_of
from convstore.db.statements import Prepared
from convstore.db.unit import Key

E = models.archive_entries.c
G = models.archive_segments.c
S = models.sessions.c

_ERASED: ColumnElement[str] = literal_column("'erased'")
_DELETED: ColumnElement[str] = literal_column("'deleted'")

PAGE = 500


def with_pending_entries(connection: Connection) -> list[StoredSegment]:
    """Sealed segments with sessions that were not purged yet: a run died there."""
    return [StoredSegment(*row) for row in connection.execute(_with_pending())]


def _with_pending() -> Select[Any]:
    # Each is asked on its own, by an index: as a set, of what is pending, the whole
    # ledger would be read.
    pending = any_entry(E.state == "sealed").is_not(None)
    found = select(*SEGMENT_COLUMNS).where(G.state == "sealed", pending)
    return found.order_by(G.segment_id)


def with_unwanted(
    connection: Connection, keys: Collection[Key] | None = None
) -> list[str]:
    """Segments with a copy that must not be kept: of a session that is erased, or
    deleted without an archive. With `keys`, those with one of theirs."""
    if keys is None:
        return list(connection.execute(_all_unwanted()).scalars())
    return [row[0] for row in _WITH_UNWANTED.all(connection, about_keys(keys))]


def unwanted(connection: Connection, segment_id: str) -> set[Key]:
    """The sessions of a segment whose copies must not be kept."""
    rows = connection.execute(
        _unwanted(E.tenant_id, E.session_id).where(E.segment_id == segment_id)
    )
    return {(tenant, session_id) for tenant, session_id in rows}


def _unwanted(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .join(
            models.sessions,
            and_(S.tenant_id == E.tenant_id, S.session_id == E.session_id),
        )
        .where(without_copies())
    )


def without_copies() -> ColumnElement[bool]:
    """That a session is erased, or deleted without an archive."""
    return or_(S.state == _ERASED, and_(S.state == _DELETED, S.segment_id.is_(None)))


def _all_unwanted() -> Select[Any]:
    # From the sessions that are gone to their copies: as a join SQLite would begin
    # with the ledger, and look up the session of each copy.
    gone = select(S.tenant_id, S.session_id).where(
        S.state.in_([_DELETED, _ERASED]), without_copies()
    )
    of_gone = tuple_(E.tenant_id, E.session_id).in_(gone)
    return select(E.segment_id).where(of_gone).distinct()


_WITH_UNWANTED = Prepared(
    lambda dialect: (
        _unwanted(E.segment_id)
        .where(of_sessions(dialect, models.archive_entries))
        .distinct()
    )
)


def without_use(
    connection: Connection, before: int, after: str = ""
) -> tuple[list[StoredSegment], str | None]:
    """Segments in which nothing has been the only copy since `before`.

    The state of the entries says so, and no stub names the segment either. A session
    that was restored counts from its last change, which cannot be earlier: a backup of
    the database from before the restore still names this file.

    Returns:
        Those among the next `PAGE` segments, by id, beyond `after`; and where to go on,
        None at the end.
    """
    rows = connection.execute(_without_use(before, after)).all()
    found = [StoredSegment(*row[:-1]) for row in rows if row[-1]]
    return found, rows[-1].segment_id if len(rows) == PAGE else None


def _without_use(before: int, after: str) -> Select[Any]:
    # Each is asked on its own, up to the first entry that says no, which mostly is the
    # first of all. As two sets, of what is used and what is named, the whole ledger
    # would be read, and every session that it has.
    used = any_entry(one_of(E.state, ("sealed", "committed", "newer")))
    named = any_entry(
        exists().where(
            S.tenant_id == E.tenant_id,
            S.session_id == E.session_id,
            or_(
                S.segment_id == E.segment_id,
                and_(E.state == "restored", S.updated_at >= before),
            ),
        )
    )
    # Of any state: SQLite would go by the index of states, and sort them for each page.
    useless = and_(
        G.state == "sealed", G.sealed_at < before, used.is_(None), named.is_(None)
    )
    # Conditions of a CASE are asked in this order, and no further than the first no.
    flag = case((useless, literal_column("1")), else_=literal_column("0"))
    return (
        select(*SEGMENT_COLUMNS, flag)
        .where(G.segment_id > after)
        .order_by(G.segment_id)
        .limit(PAGE)
    )


def any_entry(condition: ColumnElement[bool]) -> ScalarSelect[int]:
    """Something if the segment has an entry like that, found by its own entries."""
    one: ColumnElement[int] = literal_column("1")
    found = select(one).where(E.segment_id == G.segment_id, condition)
    return found.limit(1).correlate(models.archive_segments).scalar_subquery()
