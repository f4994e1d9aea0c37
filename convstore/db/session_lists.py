"""Pages of sessions, newest activity first, each at a bounded cost.

The index holds activity in buckets of a quarter hour (see `models`), so order inside a
bucket is settled when a page is read. One that holds too much for that is gone through
by id; and where a filter passes over very many sessions the page ends early. Both are
said: such a page is not `complete`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, true

from convstore.db import models
from convstore.db.rows import SESSION_COLUMNS, session_from_row
from convstore.db.sessions import LISTED, Filter, bucket_of, conditions
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.records import Session

S = models.sessions.c

MOST_LOOKED_AT = 20_000
"""Sessions that one page looks at, or puts in order."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: behind a session of this time and id; without a time, behind
    the id in a bucket that is gone through by id; with neither, before the bucket."""

    bucket: int
    at: int | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """Sessions, where the next page begins, and whether all was looked at in order."""

    sessions: list[Session]
    next: Place | None
    complete: bool = True


def list_page(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    place: Place | None,
    limit: int,
    *,
    budget: int = MOST_LOOKED_AT,
) -> Listed:
    """The next sessions from `place` on."""
    if place is not None and place.at is None and place.session_id is not None:
        return _by_id(connection, tenant, wanted, place, limit, budget)
    ahead = budget if _is_narrow(wanted) else limit + 1
    edge, is_large = _edge(connection, tenant, wanted, place, ahead, budget)
    lowest = None if edge is None else edge + is_large
    statement = list_statement(tenant, wanted, place, lowest).limit(limit + 1)
    found = [session_from_row(row) for row in connection.execute(statement)]
    if len(found) > limit:
        return Listed(found[:limit], _behind(found[limit - 1]))
    if edge is None:
        return Listed(found, None)
    if not is_large or len(found) == limit:
        whole = len(found) == limit or not _is_narrow(wanted)
        return Listed(found, Place(edge - 1 + is_large), complete=whole)
    rest = _by_id(connection, tenant, wanted, Place(edge), limit - len(found), budget)
    return Listed(found + rest.sessions, rest.next, complete=False)


def list_statement(
    tenant: str, wanted: Filter, place: Place | None, lowest: int | None = None
) -> Select[Any]:
    """Sessions from a place on, down to a bucket, in order of their exact activity."""
    statement = select(*SESSION_COLUMNS).where(
        *conditions(tenant, wanted), _from(place, inside=True)
    )
    if lowest is not None:
        statement = statement.where(S.activity_bucket >= lowest)
    return statement.order_by(
        S.activity_bucket.desc(), S.last_activity_at.desc(), S.session_id.desc()
    )


def edge_statement(
    tenant: str, wanted: Filter, place: Place | None, ahead: int, budget: int
) -> Select[Any]:
    """The bucket of the session that is so many ahead, and of one that is more than the
    budget behind the first of its bucket. Looks at the index alone."""
    walked = _walked(tenant, wanted)
    last = (
        select(S.activity_bucket)
        .where(*walked, _from(place, inside=False))
        .order_by(S.activity_bucket.desc(), S.session_id.desc())
        .offset(ahead - 1)
        .limit(1)
        .cte("edge")
    )
    beyond = (
        select(S.session_id)
        .where(*walked, S.activity_bucket == last.c.activity_bucket)
        .order_by(S.session_id.desc())
        .offset(budget)
        .limit(1)
        .correlate(last)
        .scalar_subquery()
    )
    return select(last.c.activity_bucket, beyond)


def _edge(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    place: Place | None,
    ahead: int,
    budget: int,
) -> tuple[int | None, bool]:
    """The bucket to which a page looks, and whether it is too large to be put in order;
    None when there is no need to stop before the end."""
    if not set(wanted.states) <= set(LISTED):
        return None, False  # of those there is no index
    statement = edge_statement(tenant, wanted, place, ahead, budget)
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None, False
    since = wanted.updated_since
    is_large = row[1] is not None
    if since is not None and row[0] == bucket_of(since) and not is_large:
        return None, False
    return row[0], is_large


def _by_id(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    place: Place,
    limit: int,
    budget: int,
) -> Listed:
    """Sessions of one bucket by id, as many as are looked at for one page."""
    bucket = S.activity_bucket == place.bucket
    behind = true() if place.session_id is None else S.session_id < place.session_id
    walked = (*_walked(tenant, wanted), bucket, behind)
    last = connection.execute(
        select(S.session_id)
        .where(*walked)
        .order_by(S.session_id.desc())
        .offset(budget - 1)
        .limit(1)
    ).scalar_one_or_none()
    statement = select(*SESSION_COLUMNS).where(
        *conditions(tenant, wanted), bucket, behind
    )
    if last is not None:
        statement = statement.where(S.session_id >= last)
    rows = connection.execute(statement.order_by(S.session_id.desc()).limit(limit))
    found = [session_from_row(row) for row in rows]
    if len(found) == limit:
        last = found[-1].id
    following = Place(place.bucket - 1)
    if last is not None:
        following = Place(place.bucket, None, last)
    return Listed(found, following, complete=False)


def _behind(session: Session) -> Place:
    at = to_micros(session.last_activity_at)
    return Place(bucket_of(at), at, session.id)


def _is_narrow(wanted: Filter) -> bool:
    """Whether sessions are passed over that the index cannot tell apart."""
    return (
        set(wanted.states) != set(LISTED)
        or wanted.language is not None
        or wanted.title is not None
        or wanted.tag is not None
        or wanted.label is not None
        or bool(wanted.metadata)
    )


def _walked(tenant: str, wanted: Filter) -> list[Any]:
    """What the index of a list tells by itself."""
    walked: list[Any] = [S.tenant_id == tenant]
    if wanted.user_id is not None:
        # In the index of users a state is a matter of the row.
        walked.append(S.user_id == wanted.user_id)
    else:
        walked.append(models.LISTED)
    if wanted.updated_since is not None:
        walked.append(S.activity_bucket >= bucket_of(wanted.updated_since))
    return walked


def _from(place: Place | None, *, inside: bool) -> ColumnElement[bool]:
    """What comes from a place on; `inside` its bucket too where that was begun."""
    if place is None:
        return true()
    if place.at is None:
        return S.activity_bucket <= place.bucket
    if not inside:
        return S.activity_bucket < place.bucket
    # The first part bounds the walk; the second settles equal times.
    return and_(
        S.activity_bucket <= place.bucket,
        S.last_activity_at <= place.at,
        or_(S.last_activity_at < place.at, S.session_id < place.session_id),
    )
