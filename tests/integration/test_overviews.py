"""Users, tenants, segments and runs: lists over the whole of a store."""

from __future__ import annotations

from typing import Any

import pytest

from convstore import InvalidInputError, Store
from convstore.types import Page
from convstore.vocabulary.clock import ManualClock


async def test_users_are_listed_with_their_sessions_and_last_activity(
    store: Store, clock: ManualClock
) -> None:
    for number in range(5):
        clock.advance(60)
        user_id = f"u-{number % 2}"
        await store.conversation(f"s-{number}", user_id=user_id).append(
            role="user", content="x"
        )
    await store.conversation("of nobody").append(role="user", content="x")
    await store.sessions.delete("s-0")
    await store.run_retention(older_than_s=0)
    await store.for_tenant("other").sessions.get_or_create("o", user_id="other")

    first = await store.users.list(limit=1)
    second = await store.users.list(limit=1, cursor=first.next_cursor)

    told = [(one.user_id, one.session_count) for one in (*first.items, *second.items)]
    assert told == [("u-0", 2), ("u-1", 2)]
    assert second.next_cursor is None
    last = await store.sessions.get("s-4")
    assert first.items[0].last_activity_at == last.last_activity_at


async def test_an_erased_user_is_none(store: Store) -> None:
    await store.sessions.get_or_create("s-1", user_id="u-1")
    await store.erase(user_id="u-1")

    assert (await store.users.list()).items == ()


async def test_tenants_are_listed_with_their_counts(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    await store.for_tenant("acme").sessions.get_or_create("s-1")
    await store.for_tenant("acme").sessions.get_or_create("s-2")
    await store.for_tenant("acme").sessions.delete("s-2", archive=False)

    first = await store.tenants(limit=1)
    second = await store.tenants(limit=1, cursor=first.next_cursor)

    assert first.items[0].tenant_id == "acme"
    assert first.items[0].sessions == {"active": 1, "deleted": 1}
    assert [one.tenant_id for one in second.items] == ["default"]
    assert second.items[0].last_activity_at is not None
    assert second.next_cursor is None


async def test_segments_and_runs_are_listed_newest_first(
    store: Store, clock: ManualClock
) -> None:
    for number in range(3):
        await store.sessions.get_or_create(f"s-{number}")
        clock.advance(60)
        await store.run_retention(older_than_s=0)

    newest = await store.archive.segments(limit=2)
    oldest = await store.archive.segments(limit=2, cursor=newest.next_cursor)
    runs = await store.archive.runs(limit=2)
    first_run = await store.archive.runs(limit=2, cursor=runs.next_cursor)

    segments = [*newest.items, *oldest.items]
    assert [one.state for one in segments] == ["sealed"] * 3
    assert [one.session_count for one in segments] == [1, 1, 1]
    times = [one.created_at for one in segments]
    assert times == sorted(times, reverse=True)
    assert all(one.size_bytes > 0 and one.verified_at for one in segments)
    assert [one.archived for one in (*runs.items, *first_run.items)] == [1, 1, 1]
    assert runs.items[0].started_at > first_run.items[0].started_at
    assert first_run.next_cursor is None


async def test_lists_of_a_key_go_back_as_they_went_on(
    store: Store, clock: ManualClock
) -> None:
    for number in range(5):
        clock.advance(60)
        await store.sessions.get_or_create(f"s-{number}", user_id=f"u-{number}")
        await store.run_retention(older_than_s=0)
    for number in range(5):
        clock.advance(60)
        await store.sessions.get_or_create(f"e-{number}", user_id=f"v-{number}")
        await store.erase(session_id=f"e-{number}")

    for noun in (
        store.users.list,
        store.erasures.list,
        store.archive.list,
        store.archive.segments,
        store.archive.runs,
    ):
        pages: list[Page[Any]] = [await noun(limit=2)]
        while pages[-1].next_cursor is not None:
            pages.append(await noun(limit=2, cursor=pages[-1].next_cursor))
        back = [pages[-1]]
        while back[-1].previous_cursor is not None:
            back.append(await noun(limit=2, cursor=back[-1].previous_cursor))

        assert [len(page.items) for page in pages] == [2, 2, 1], noun
        assert [page.items for page in back] == [p.items for p in pages[::-1]], noun
        assert back[-1].next_cursor == pages[0].next_cursor
        with pytest.raises(InvalidInputError, match="cursor"):
            await noun(cursor="x")
