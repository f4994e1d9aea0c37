"""Pages of `sessions.list` of every shard as one, in one order and with one cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convstore.db.session_filters import bucket_of, first_after
from convstore.db.session_lists import Place
from convstore.repositories.session_cursors import cursor_of, place_of
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.records import Page, Session

_GREATEST = "\U0010ffff" * 255
_LEAST = "\x01"
"""Beside every id of a bucket that is gone through by id."""

Spot = tuple[int, str]


@dataclass(frozen=True, slots=True)
class _Walk:
    """Sessions in the order of the way, and where it goes on."""

    sessions: list[Session]
    on: Place | None
    complete: bool


def merged_sessions(
    pages: Sequence[Page[Session]], limit: int, cursor: str | None
) -> Page[Session] | str:
    """One page of those of all shards, or another cursor to ask all of them with.

    A bucket of the index that is too large to be put in order in one shard is gone
    through by id in all of them, so that all go through it in one order.

    Args:
        pages: Of each shard, asked with this `limit` and `cursor`.
    """
    begun = None if cursor is None else place_of(cursor)
    back = begun is not None and begun.back
    by_id = begun is not None and _is_inside(begun)
    walk = _by_id if by_id else _by_time
    found = walk(pages, limit, begun or Place(0))
    if isinstance(found, str):
        return found
    turned = None
    if begun is not None:
        turned = Place(begun.bucket, back=not back)
        if found.sessions:
            turned = _beside(found.sessions[0], by_id=by_id, back=not back)
    on, around = cursor_of(found.on), cursor_of(turned)
    if back:
        return Page(tuple(found.sessions[::-1]), around, found.complete, on)
    return Page(tuple(found.sessions), on, found.complete, around)


def _by_time(pages: Sequence[Page[Session]], limit: int, begun: Place) -> _Walk | str:
    back = begun.back
    sessions = sorted(
        (session for page in pages for session in page.items),
        key=_spot,
        reverse=not back,
    )
    # Behind where one that has more ended, nobody knows what it holds.
    ends = [_end(cursor, back) for cursor in _following(pages, back)]
    if ends:
        end, on = (min if back else max)(ends, key=lambda each: each[0])
        sessions = [s for s in sessions if _is_before(_spot(s), end, back)]
    if len(sessions) > limit:
        last = _beside(sessions[limit - 1], by_id=False, back=back)
        return _Walk(sessions[:limit], last, True)
    if not ends:
        return _Walk(sessions, None, all(page.complete for page in pages))
    if _is_inside(on):
        if not sessions:
            least = _LEAST if back else _GREATEST
            return cursor_of(Place(on.bucket, None, least, back)) or ""
        on = Place(on.bucket, back=back)
    return _Walk(sessions, on, len(sessions) == limit)


def _by_id(pages: Sequence[Page[Session]], limit: int, begun: Place) -> _Walk:
    """Inside a bucket that is gone through by id."""
    back = begun.back
    sessions = sorted(
        (session for page in pages for session in page.items),
        key=lambda session: session.id,
        reverse=not back,
    )
    ends = map(place_of, _following(pages, back))
    inside = [end.session_id or "" for end in ends if _is_inside(end)]
    behind = None
    if inside:
        behind = (min if back else max)(inside)
        sessions = [s for s in sessions if (s.id <= behind if back else s.id >= behind)]
    if len(sessions) > limit:
        sessions = sessions[:limit]
        behind = sessions[-1].id
    if behind is None:
        return _Walk(sessions, Place(begun.bucket + begun.beyond, back=back), False)
    return _Walk(sessions, Place(begun.bucket, None, behind, back), False)


def _following(pages: Sequence[Page[Session]], back: bool) -> list[str]:
    told = (page.previous_cursor if back else page.next_cursor for page in pages)
    return [cursor for cursor in told if cursor is not None]


def _end(cursor: str, back: bool) -> tuple[Spot, Place]:
    """The last spot of which everything before was told, and where it goes on."""
    place = place_of(cursor)
    if place.at is not None:
        return (place.at, place.session_id or ""), place
    if back:
        return (first_after(place.bucket - 1) - 1, _GREATEST), place
    return (first_after(place.bucket), ""), place


def _is_before(spot: Spot, end: Spot, back: bool) -> bool:
    return spot <= end if back else spot >= end


def _is_inside(place: Place) -> bool:
    return place.at is None and place.session_id is not None


def _beside(session: Session, *, by_id: bool, back: bool) -> Place:
    at, session_id = _spot(session)
    if by_id:
        return Place(bucket_of(at), None, session_id, back)
    return Place(bucket_of(at), at, session_id, back)


def _spot(session: Session) -> Spot:
    return to_micros(session.last_activity_at), session.id
