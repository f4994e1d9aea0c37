"""Pages of sessions, newest activity first, each at a bounded cost.

The index holds activity in buckets of a quarter hour (see `models`), so order inside a
bucket is settled when a page is read. One that holds too much for that is gone through
by id; and where a filter passes over very many sessions the page ends early. Both are
said: such a page is not `complete`. Pages go back the same way: what is newer than a
place is walked from it on, and turned around.

Where rows beside the sessions name few that a filter can mean (see `session_clues`),
those are put in order and nothing is walked: at once where they are very few, and
where a walk has ended early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    literal,
    or_,
    select,
    true,
)

from convstore.db import models, session_clues
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
_FEW = 500
"""Sessions that are put in order before anything is walked."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: behind a session of this time and id; without a time, behind
    the id in a bucket that is gone through by id; with neither, before the bucket.
    `back` leads from there to what is newer."""

    bucket: int
    at: int | None = None
    session_id: str | None = None
    back: bool = False

    @property
    def beyond(self) -> int:
        """From a bucket to the next one of the way."""
        return 1 if self.back else -1


@dataclass(frozen=True, slots=True)
class Listed:
    """Sessions, where the pages before and behind begin, and whether all was looked at
    in order."""

    sessions: list[Session]
    next: Place | None
    complete: bool = True
    previous: Place | None = None


@dataclass(frozen=True, slots=True)
class _Walk:
    """Sessions in the order of the way, where it goes on, and whether the first of
    them was found by id."""

    sessions: list[Session]
    on: Place | None
    complete: bool = True
    by_id: bool = False


def list_page(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    place: Place | None,
    limit: int,
    *,
    budget: int = MOST_LOOKED_AT,
) -> Listed:
    """The next sessions from `place` on, or the last ones before it."""
    walk = _walk(connection, tenant, wanted, place, limit, budget)
    if place is None:
        return Listed(walk.sessions, walk.on, walk.complete)
    # What lies between the place and the first session was looked at, and is no match.
    turned = Place(place.bucket, back=not place.back)
    if walk.sessions:
        turned = replace(_beside(walk.sessions[0], walk.by_id), back=not place.back)
    if place.back:
        return Listed(walk.sessions[::-1], turned, walk.complete, walk.on)
    return Listed(walk.sessions, walk.on, walk.complete, turned)


def _walk(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    place: Place | None,
    limit: int,
    budget: int,
) -> _Walk:
    if (sides := wanted.disagreed) and sides.both and "[]" in (sides.good, sides.bad):
        return _Walk([], None)  # nobody ever said the one, or the other
    if place is not None and place.at is None and place.session_id is not None:
        return _by_id(connection, tenant, wanted, place, limit, budget)
    narrow = _is_narrow(wanted)
    few = min(_FEW, budget)
    if narrow and (ids := session_clues.named(connection, tenant, wanted, few)):
        return _of_few(connection, tenant, wanted, place, limit, ids)
    if narrow and ids is not None:
        return _Walk([], None)
    walk = _in_order_walked(connection, tenant, wanted, place, limit, budget)
    if narrow and not walk.complete and len(walk.sessions) < limit and few < budget:
        ids = session_clues.named(connection, tenant, wanted, budget)
        if ids is not None:
            return _of_few(connection, tenant, wanted, place, limit, ids)
    return walk


def _of_few(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    place: Place | None,
    limit: int,
    session_ids: Sequence[str],
) -> _Walk:
    """Of sessions that are known by id, those that come next."""
    back = place is not None and place.back
    spots = session_clues.spots(connection, tenant, wanted, session_ids)
    found = [spot for spot in spots if place is None or _is_beyond(place, spot)]
    if not back:
        found.reverse()
    shown = found[:limit]
    sessions = session_clues.read(connection, tenant, wanted, [i for _, i in shown])
    on = None
    if len(found) > limit:
        at, session_id = shown[-1]
        on = Place(bucket_of(at), at, session_id, back)
    return _Walk(sessions, on)


def _is_beyond(place: Place, spot: session_clues.Spot) -> bool:
    """Whether a session comes behind a place, on its way."""
    if place.at is None:
        bucket = bucket_of(spot[0])
        return bucket >= place.bucket if place.back else bucket <= place.bucket
    end = place.at, place.session_id or ""
    return spot > end if place.back else spot < end


def _in_order_walked(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    place: Place | None,
    limit: int,
    budget: int,
) -> _Walk:
    given = given_for(tenant, wanted, place)
    ahead = budget if _is_narrow(wanted) else limit + 1
    shapes = shape_of(wanted), _shape_of(place)
    given |= {"ahead": ahead - 1, "budget": budget, "limit": limit + 1}
    edge, is_large = _edge(connection, wanted, _edge_of(*shapes), given)
    way = Place(0, back=place is not None and place.back)
    kept = way.beyond * is_large
    given["furthest"] = None if edge is None else edge - kept
    rows = _list_of(*shapes, bounded=edge is not None).all(connection, given)
    found = [session_from_row(row) for row in rows]
    if len(found) > limit:
        behind = _beside(found[limit - 1], by_id=False)
        return _Walk(found[:limit], replace(behind, back=way.back))
    if edge is None:
        return _Walk(found, None)
    if not is_large or len(found) == limit:
        whole = len(found) == limit or not _is_narrow(wanted)
        on = replace(way, bucket=edge + way.beyond - kept)
        return _Walk(found, on, complete=whole)
    begun = replace(way, bucket=edge)
    rest = _by_id(connection, tenant, wanted, begun, limit - len(found), budget)
    return _Walk(found + rest.sessions, rest.on, complete=False, by_id=not found)


def list_statement(
    wanted: Filter, place: Place | None, *, bounded: bool
) -> Select[Any]:
    """Sessions from a place on, up to a bucket if `bounded`, in order of their exact
    activity. No value is in it: `given_for` has them, but `furthest` and `limit`."""
    statement = select(*SESSION_COLUMNS).where(
        *conditions(wanted), _from(place, inside=True)
    )
    back = place is not None and place.back
    if bounded:
        furthest: ColumnElement[int] = bindparam("furthest", type_=BigInteger)
        statement = statement.where(
            S.activity_bucket <= furthest if back else S.activity_bucket >= furthest
        )
    order = S.activity_bucket, S.last_activity_at, S.session_id
    return statement.order_by(*_in_order(order, back)).limit(bindparam("limit"))


def edge_statement(wanted: Filter, place: Place | None) -> Select[Any]:
    """The bucket of the session that is `ahead` further on, and of one that is more
    than the `budget` behind the first of its bucket. Looks at the index alone."""
    walked = _walked(wanted)
    back = place is not None and place.back
    last = (
        select(S.activity_bucket)
        .where(*walked, _from(place, inside=False))
        .order_by(*_in_order((S.activity_bucket, S.session_id), back))
        .offset(bindparam("ahead"))
        .limit(1)
        .cte("edge")
    )
    beyond = (
        select(S.session_id)
        .where(*walked, _of_bucket(last.c.activity_bucket))
        .order_by(*_in_order((S.activity_bucket, S.session_id), back))
        .offset(bindparam("budget"))
        .limit(1)
        .correlate(last)
        .scalar_subquery()
    )
    return select(last.c.activity_bucket, beyond)


def _of_bucket(bucket: ColumnElement[int]) -> ColumnElement[bool]:
    """In a bucket, as a range: for one value SQLite takes the primary key, which has
    the ids in order too, and goes through every session of the tenant."""
    return and_(S.activity_bucket >= bucket, S.activity_bucket <= bucket)


def _in_order(columns: tuple[ColumnElement[Any], ...], back: bool) -> list[Any]:
    return [column.asc() if back else column.desc() for column in columns]


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
    if place.at is None:
        return Place(0, back=place.back)
    return Place(0, 0, "", back=place.back)


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
) -> _Walk:
    """Sessions of one bucket by id, as many as are looked at for one page."""
    given = values_of(tenant, wanted)
    bucket = _of_bucket(literal(place.bucket, BigInteger))
    behind: ColumnElement[bool] = true()
    if place.session_id is not None:
        at = place.session_id
        behind = S.session_id > at if place.back else S.session_id < at
    walked = (*_walked(wanted), bucket, behind)
    order = _in_order((S.activity_bucket, S.session_id), place.back)
    last = connection.execute(
        select(S.session_id)
        .where(*walked)
        .order_by(*order)
        .offset(budget - 1)
        .limit(1),
        given,
    ).scalar_one_or_none()
    statement = select(*SESSION_COLUMNS).where(*conditions(wanted), bucket, behind)
    if last is not None:
        statement = statement.where(
            S.session_id <= last if place.back else S.session_id >= last
        )
    statement = statement.order_by(*order).limit(limit)
    found = [session_from_row(row) for row in connection.execute(statement, given)]
    if len(found) == limit:
        last = found[-1].id
    following = Place(place.bucket + place.beyond, back=place.back)
    if last is not None:
        following = Place(place.bucket, None, last, place.back)
    return _Walk(found, following, complete=False, by_id=True)


def _beside(session: Session, by_id: bool) -> Place:
    at = to_micros(session.last_activity_at)
    return Place(bucket_of(at), None if by_id else at, session.id)


def _is_narrow(wanted: Filter) -> bool:
    """Whether sessions are passed over that the index cannot tell apart."""
    return (
        not (set(wanted.states) == set(LISTED) or _is_one_gone_state(wanted))
        or (wanted.language is not None and not _is_by_language(wanted))
        or wanted.title is not None
        or bool(wanted.title_words)
        or wanted.tag is not None
        or wanted.label is not None
        or bool(wanted.metadata)
        or wanted.disagreed is not None
        or (wanted.held is not None and _of_its_own(wanted) is not models.HELD)
        or (wanted.judged is not None and _of_its_own(wanted) is not models.JUDGED)
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


def _of_its_own(wanted: Filter) -> Any:
    """The condition of the index of held or of judged sessions, if that is the one to
    walk: few are held, and those of a user or in a language are in indexes of these."""
    listed = set(wanted.states) <= set(LISTED)
    if not listed or wanted.user_id is not None or wanted.language is not None:
        return None
    if wanted.held:
        return models.HELD
    return models.JUDGED if wanted.judged else None


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
        elif (own := _of_its_own(wanted)) is not None:
            walked.append(own)
    if wanted.updated_since is not None:
        walked.append(S.activity_bucket >= bindparam("since_bucket"))
    return walked


def _from(place: Place | None, *, inside: bool) -> ColumnElement[bool]:
    """What comes from a place on; `inside` its bucket too where that was begun."""
    if place is None:
        return true()
    bucket = S.activity_bucket
    begun: ColumnElement[int] = bindparam("bucket", type_=BigInteger)
    if place.at is None:
        return bucket >= begun if place.back else bucket <= begun
    if not inside:
        return bucket > begun if place.back else bucket < begun
    # The first part bounds the walk; the second settles equal times.
    at: ColumnElement[int] = bindparam("at", type_=BigInteger)
    behind: ColumnElement[str] = bindparam("behind", type_=String)
    time, key = S.last_activity_at, S.session_id
    if place.back:
        return and_(bucket >= begun, time >= at, or_(time > at, key > behind))
    return and_(bucket <= begun, time <= at, or_(time < at, key < behind))
