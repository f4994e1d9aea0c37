"""Pages of sessions, newest activity first, each at a bounded cost.

The index holds activity in buckets of a quarter hour (see `models`), so order inside a
bucket is settled when a page is read. One that holds too much for that is gone through
by id; and where a filter passes over very many sessions the page ends early. Both are
said: such a page is not `complete`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    or_,
    select,
    true,
)

from convstore.db import models
from convstore.db.codec.records import SESSION_COLUMNS, session_from_row
from convstore.db.session_filters import (
    GONE,
    LISTED,
    Filter,
    bucket_of,
    conditions,
    of_states,
    shape_of,
    values_of,
)
from convstore.db.statements import Prepared
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
    given = given_for(tenant, wanted, place)
    ahead = budget if _is_narrow(wanted) else limit + 1
    shapes = shape_of(wanted), _shape_of(place)
    given |= {"ahead": ahead - 1, "budget": budget, "limit": limit + 1}
    edge, is_large = _edge(connection, wanted, _edge_of(*shapes), given)
    given["lowest"] = None if edge is None else edge + is_large
    rows = _list_of(*shapes, bounded=edge is not None).all(connection, given)
    found = [session_from_row(row) for row in rows]
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
    wanted: Filter, place: Place | None, *, bounded: bool
) -> Select[Any]:
    """Sessions from a place on, down to a bucket if `bounded`, in order of their exact
    activity. No value is in it: `given_for` has them, but `lowest` and `limit`."""
    statement = select(*SESSION_COLUMNS).where(
        *conditions(wanted), _from(place, inside=True)
    )
    if bounded:
        statement = statement.where(S.activity_bucket >= bindparam("lowest"))
    return statement.order_by(
        S.activity_bucket.desc(), S.last_activity_at.desc(), S.session_id.desc()
    ).limit(bindparam("limit"))


def edge_statement(wanted: Filter, place: Place | None) -> Select[Any]:
    """The bucket of the session that is `ahead` further on, and of one that is more
    than the `budget` behind the first of its bucket. Looks at the index alone."""
    walked = _walked(wanted)
    last = (
        select(S.activity_bucket)
        .where(*walked, _from(place, inside=False))
        .order_by(S.activity_bucket.desc(), S.session_id.desc())
        .offset(bindparam("ahead"))
        .limit(1)
        .cte("edge")
    )
    beyond = (
        select(S.session_id)
        .where(*walked, S.activity_bucket == last.c.activity_bucket)
        .order_by(S.session_id.desc())
        .offset(bindparam("budget"))
        .limit(1)
        .correlate(last)
        .scalar_subquery()
    )
    return select(last.c.activity_bucket, beyond)


def given_for(tenant: str, wanted: Filter, place: Place | None) -> dict[str, Any]:
    """What is bound to the statements of a filter and a place."""
    given = values_of(tenant, wanted)
    if place is not None:
        given |= {"bucket": place.bucket, "at": place.at, "behind": place.session_id}
    return given


# Few shapes are asked for; wording one anew takes longer than its page.
@lru_cache(maxsize=256)
def _list_of(wanted: Filter, place: Place | None, *, bounded: bool) -> Prepared:
    return Prepared(lambda _: list_statement(wanted, place, bounded=bounded))


@lru_cache(maxsize=256)
def _edge_of(wanted: Filter, place: Place | None) -> Prepared:
    return Prepared(lambda _: edge_statement(wanted, place))


def _shape_of(place: Place | None) -> Place | None:
    if place is None:
        return None
    return Place(0) if place.at is None else Place(0, 0, "")


def _edge(
    connection: Connection, wanted: Filter, statement: Prepared, given: dict[str, Any]
) -> tuple[int | None, bool]:
    """The bucket to which a page looks, and whether it is too large to be put in order;
    None when there is no need to stop before the end."""
    rows = statement.all(connection, given)
    if not rows:
        return None, False
    (bucket, beyond), since = rows[0], wanted.updated_since
    is_large = beyond is not None
    if since is not None and bucket == bucket_of(since) and not is_large:
        return None, False
    return bucket, is_large


def _by_id(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    place: Place,
    limit: int,
    budget: int,
) -> Listed:
    """Sessions of one bucket by id, as many as are looked at for one page."""
    given = values_of(tenant, wanted)
    bucket = S.activity_bucket == place.bucket
    behind = true() if place.session_id is None else S.session_id < place.session_id
    walked = (*_walked(wanted), bucket, behind)
    last = connection.execute(
        select(S.session_id)
        .where(*walked)
        .order_by(S.session_id.desc())
        .offset(budget - 1)
        .limit(1),
        given,
    ).scalar_one_or_none()
    statement = select(*SESSION_COLUMNS).where(*conditions(wanted), bucket, behind)
    if last is not None:
        statement = statement.where(S.session_id >= last)
    statement = statement.order_by(S.session_id.desc()).limit(limit)
    found = [session_from_row(row) for row in connection.execute(statement, given)]
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
        not (set(wanted.states) == set(LISTED) or _is_one_gone_state(wanted))
        or (wanted.language is not None and not _is_by_language(wanted))
        or wanted.title is not None
        or wanted.tag is not None
        or wanted.label is not None
        or bool(wanted.metadata)
    )


def _is_one_gone_state(wanted: Filter) -> bool:
    """Whether the index of what is gone tells the state; it has one order for each."""
    gone = len(wanted.states) == 1 and wanted.states[0] in GONE
    return gone and wanted.user_id is None


def _is_by_language(wanted: Filter) -> bool:
    """Whether the index of languages is the one to walk: that of a user is smaller, and
    what is gone has none."""
    listed = set(wanted.states) <= set(LISTED)
    return wanted.language is not None and wanted.user_id is None and listed


def _walked(wanted: Filter) -> list[Any]:
    """What the index of a list tells by itself."""
    walked: list[Any] = [S.tenant_id == bindparam("tenant")]
    if wanted.user_id is not None:
        # In the index of users a state is a matter of the row.
        walked.append(S.user_id == bindparam("user"))
    else:
        # Live or archived is a matter of the row, too.
        listed = set(wanted.states) <= set(LISTED)
        walked += of_states(LISTED if listed else wanted.states)
        if _is_by_language(wanted):
            walked.append(S.language == bindparam("language"))
    if wanted.updated_since is not None:
        walked.append(S.activity_bucket >= bindparam("since_bucket"))
    return walked


def _from(place: Place | None, *, inside: bool) -> ColumnElement[bool]:
    """What comes from a place on; `inside` its bucket too where that was begun."""
    if place is None:
        return true()
    if place.at is None:
        return S.activity_bucket <= bindparam("bucket")
    if not inside:
        return S.activity_bucket < bindparam("bucket")
    # The first part bounds the walk; the second settles equal times.
    at: ColumnElement[int] = bindparam("at", type_=BigInteger)
    behind: ColumnElement[str] = bindparam("behind", type_=String)
    return and_(
        S.activity_bucket <= bindparam("bucket"),
        S.last_activity_at <= at,
        or_(S.last_activity_at < at, S.session_id < behind),
    )
