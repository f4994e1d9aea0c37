"""Which sessions may be stale, and which archives due: candidates in pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    func,
    literal_column,
    or_,
    select,
)

from convstore.db import models
from convstore.db.session_filters import bucket_of
from convstore.db.session_ids import one_of
from convstore.db.unit import Row

S = models.sessions.c
_SUMMARY = (
    S.tenant_id,
    S.session_id,
    S.version,
    S.last_activity_at,
    S.imported_at,
    S.activity_bucket,
    S.expires_at,
    S.tags,
    S.hold_count,
    S.state,
    S.archived_at,
    S.turn_count,
)
_NAMES = [column.name for column in _SUMMARY]


def candidates(
    connection: Connection,
    *,
    cutoff: int | None,
    after: tuple[int, str, str],
    limit: int,
    tenant: str | None = None,
    younger_than: int | None = None,
) -> list[Row]:
    """Live sessions that may be stale, by the quarter hour of their last activity and
    by key, the oldest first, beyond `after`.

    Without a cutoff every live session is one. One walk along the index of live
    sessions; sessions with an expiry of their own come by `expired`.
    """
    statement = candidates_statement(cutoff, after, tenant, younger_than)
    return _rows(connection, statement.limit(limit))


def candidates_statement(
    cutoff: int | None,
    after: tuple[int, str, str],
    tenant: str | None = None,
    younger_than: int | None = None,
) -> Select[Any]:
    """The statement of `candidates`, without its limit."""
    statement = (
        select(*_SUMMARY)
        .where(
            S.state == "active",
            *_beyond(S.activity_bucket, after),
        )
        .order_by(S.activity_bucket, S.tenant_id, S.session_id)
    )
    if cutoff is not None:
        # The first part bounds the walk.
        statement = statement.where(
            S.activity_bucket <= bucket_of(cutoff),
            S.last_activity_at <= cutoff,
            imported_by(cutoff),
        )
    if younger_than is not None:
        statement = statement.where(
            or_(S.last_activity_at > younger_than, S.imported_at > younger_than)
        )
    if tenant is not None:
        # What the state says already: it lets the planner walk the index of the list.
        # By the key it would read and sort all of the tenant's sessions for each page.
        statement = statement.where(S.tenant_id == tenant, models.LISTED)
    return statement


def imported_by(cutoff: int) -> ColumnElement[bool]:
    """Whether a session was here by then: what was imported is not stale sooner than
    if it had been said on that day, however old it is."""
    return or_(S.imported_at.is_(None), S.imported_at <= cutoff)


def expired(
    connection: Connection, *, now: int, after: tuple[int, str, str], limit: int
) -> list[Row]:
    """Live sessions past their own expiry, earliest first, beyond `after`."""
    statement = (
        select(*_SUMMARY)
        .where(
            S.state == "active",
            S.expires_at.is_not(None),
            S.expires_at <= now,
            *_beyond(S.expires_at, after),
        )
        .order_by(S.expires_at, S.tenant_id, S.session_id)
        .limit(limit)
    )
    return _rows(connection, statement)


def archived_before(
    connection: Connection,
    *,
    cutoff: int,
    after: tuple[int, str, str],
    limit: int,
) -> list[Row]:
    """Archived and deleted sessions whose archive may be due, the longest archived
    first, beyond `after`. One walk along the index of what the archive holds."""
    statement = archived_statement(cutoff, after).limit(limit)
    return _rows(connection, statement)


def _rows(connection: Connection, statement: Select[Any]) -> list[Row]:
    # Not `mappings`, which looks up each column of each row by its name.
    found = connection.execute(statement)
    return [dict(zip(_NAMES, row, strict=True)) for row in found]


def archived_statement(cutoff: int, after: tuple[int, str, str]) -> Select[Any]:
    """The statement of `archived_before`, without its limit."""
    return (
        select(*_SUMMARY)
        .where(
            one_of(S.state, ("archived", "deleted")),
            S.segment_id.is_not(None),
            S.archived_at <= cutoff,
            *_beyond(S.archived_at, after),
        )
        .order_by(S.archived_at, S.tenant_id, S.session_id)
    )


def newest_activity(connection: Connection) -> int | None:
    """When the most recently active live session was active."""
    active = S.state == literal_column("'active'")
    bucket = select(func.max(S.activity_bucket)).where(active).scalar_subquery()
    newest: int | None = connection.execute(
        select(func.max(S.last_activity_at)).where(active, S.activity_bucket == bucket)
    ).scalar_one()
    return newest


def _beyond(
    position: Column[int], after: tuple[int, str, str]
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions that a session lies behind a place in the order of `position` and
    of keys. The first one is where a walk along an index begins."""
    at, owner, session_id = after
    behind = or_(
        position > at,
        S.tenant_id > owner,
        (S.tenant_id == owner) & (S.session_id > session_id),
    )
    return position >= at, behind
