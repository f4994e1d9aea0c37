"""Merged lists: all of every shard, once, in one order, whatever the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from convstore import Page, Session
from convstore.db.session_filters import bucket_of
from convstore.db.session_lists import Place
from convstore.repositories.session_cursors import cursor_of, place_of
from convstore.shards.merging import by, merged
from convstore.shards.session_pages import merged_sessions
from convstore.vocabulary.clock import to_micros

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def made(minute: int, number: int) -> Session:
    at = BEGIN + timedelta(minutes=minute)
    return Session(
        **{
            **dict.fromkeys(Session.__struct_fields__),
            "tenant_id": "default",
            "id": f"s-{number:03}",
            "state": "active",
            "last_activity_at": at,
        }
    )


class Shard:
    """Lists as a database does: by time, but a bucket of more than `most` by id."""

    def __init__(self, sessions: list[Session], most: int) -> None:
        self.sessions, self.most = sessions, most

    def page(self, cursor: str | None, limit: int) -> Page[Session]:
        place = None if cursor is None else place_of(cursor)
        if place is not None and place.at is None and place.session_id is not None:
            return self._by_id(place, limit, [])
        left = sorted(self.sessions, key=self._key, reverse=True)
        if place is not None:
            left = [s for s in left if self._is_behind(s, place)]
        given: list[Session] = []
        for session in left:
            bucket = self._bucket(session)
            begun = (
                place is not None and place.at is not None and (bucket == place.bucket)
            )
            if not begun and self._size(bucket) > self.most:
                return self._by_id(Place(bucket), limit - len(given), given)
            if len(given) == limit:
                last = given[-1]
                at = to_micros(last.last_activity_at)
                return Page(tuple(given), cursor_of(Place(bucket_of(at), at, last.id)))
            given.append(session)
        return Page(tuple(given), None)

    def _by_id(self, place: Place, limit: int, before: list[Session]) -> Page[Session]:
        there = sorted(
            (s for s in self.sessions if self._bucket(s) == place.bucket),
            key=lambda s: s.id,
            reverse=True,
        )
        if place.session_id is not None:
            there = [s for s in there if s.id < place.session_id]
        some = there[:limit]
        if len(some) < len(there):
            last = some[-1].id if some else place.session_id
            on = Place(place.bucket, None, last)
            if last is None:
                on = Place(place.bucket)
        else:
            on = Place(place.bucket - 1)
        return Page((*before, *some), cursor_of(on), False)

    def _size(self, bucket: int) -> int:
        return sum(1 for s in self.sessions if self._bucket(s) == bucket)

    @staticmethod
    def _bucket(session: Session) -> int:
        return bucket_of(to_micros(session.last_activity_at))

    @staticmethod
    def _key(session: Session) -> Any:
        return session.last_activity_at, session.id

    def _is_behind(self, session: Session, place: Place) -> bool:
        if place.at is None:
            return self._bucket(session) <= place.bucket
        spot = to_micros(session.last_activity_at), session.id
        return spot < (place.at, place.session_id)


@given(
    minutes=st.lists(st.integers(0, 90), max_size=24),
    shards=st.integers(1, 4),
    limit=st.integers(1, 7),
    most=st.integers(1, 9),
)
def test_pages_of_sessions_have_each_once_and_buckets_in_order(
    minutes: list[int], shards: int, limit: int, most: int
) -> None:
    sessions = [made(minute, number) for number, minute in enumerate(minutes)]
    all_of = [Shard(sessions[n::shards], most) for n in range(shards)]
    found: list[Session] = []
    cursor: str | None = None
    for _ in range(200):
        pages = [shard.page(cursor, limit) for shard in all_of]
        page = merged_sessions(pages, limit, cursor)
        if isinstance(page, str):
            cursor = page
            continue
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break

    assert cursor is None, "it comes to an end"
    assert sorted(s.id for s in found) == sorted(s.id for s in sessions)
    buckets = [Shard._bucket(session) for session in found]
    assert buckets == sorted(buckets, reverse=True)
    if max((shard._size(b) for shard in all_of for b in set(buckets)), default=0) <= (
        most
    ):
        assert found == sorted(sessions, key=Shard._key, reverse=True)


class Entry:
    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count


@given(
    names=st.lists(st.lists(st.sampled_from("abcdefghij"), unique=True), max_size=4),
    limit=st.integers(1, 4),
)
def test_a_merged_list_is_the_sorted_union_and_adds_up_equals(
    names: list[list[str]], limit: int
) -> None:
    from convstore.repositories.cursors import decode_cursor, encode_cursor

    def page_of(some: list[str], cursor: str | None) -> Page[Entry]:
        after = "" if cursor is None else decode_cursor(cursor, str)[0]
        left = [Entry(name, 1) for name in sorted(some) if name > str(after)]
        more = len(left) > limit
        following = encode_cursor(left[limit - 1].name) if more else None
        return Page(tuple(left[:limit]), following)

    found: list[Entry] = []
    cursor: str | None = None
    while True:
        page = merged(
            [page_of(some, cursor) for some in names],
            limit,
            by("name"),
            (str,),
            combine=lambda a, b: Entry(a.name, a.count + b.count),
        )
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break

    union = sorted({name for some in names for name in some})
    assert [entry.name for entry in found] == union
    assert [entry.count for entry in found] == [
        sum(name in some for some in names) for name in union
    ]
