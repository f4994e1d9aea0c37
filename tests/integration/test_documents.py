"""Every session once, live and archived, whole and unchanged by where it lies."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from convstore import Store
from convstore.errors import InvalidInputError, SegmentCorruptError
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    archived,
    damage,
    documents,
    fill,
    ids,
    segment_files,
    states,
    timeless,
)
from tests.integration.conversations import say


async def test_documents_are_the_same_before_and_after_archive_and_restore(
    store: Store, clock: ManualClock
) -> None:
    for session_id in ids("s", 4):
        await fill(store, session_id)
    live = await documents(store)
    clock.advance(100)
    await store.run_retention(older_than_s=0)
    in_archive = await documents(store)
    await store.restore("s-1")
    await store.restore("s-2")

    mixed = await documents(store)

    assert in_archive == live
    assert {s: timeless(d) for s, d in mixed.items()} == {
        s: timeless(d) for s, d in live.items()
    }
    assert sorted((await states(store)).values()) == ["active"] * 2 + ["archived"] * 2


async def test_they_come_in_the_order_of_their_ids_over_many_pages(
    store: Store,
) -> None:
    names = sorted(f"s-{number:03}" for number in range(150))
    for session_id in names[::2]:
        await say(store, session_id, "one")
    await store.run_retention(older_than_s=0)
    for session_id in names[1::2]:
        await say(store, session_id, "one")

    found = [d.session.id async for d in store.documents()]

    assert found == names


async def test_archived_ones_can_be_left_out_and_nothing_is_restored(
    store: Store,
) -> None:
    await archived(store, "s-1")
    await fill(store, "s-2")

    live = [d.session.id async for d in store.documents(include_archived=False)]
    both = [d.session.id async for d in store.documents()]

    assert (live, both) == (["s-2"], ["s-1", "s-2"])
    assert await states(store) == {"s-1": "archived", "s-2": "active"}


async def test_sessions_that_move_while_they_are_streamed_come_once(
    store: Store,
) -> None:
    for number in range(100):
        await say(store, f"s-{number:03}", "one")
    found = []

    async for one in store.documents():
        found.append(one.session.id)
        if one.session.id == "s-010":
            await store.run_retention(older_than_s=0)
        if one.session.id == "s-070":
            await store.restore("s-080")
            await store.restore("s-020")

    assert found == [f"s-{number:03}" for number in range(100)]


async def test_deleted_and_erased_sessions_are_none(store: Store) -> None:
    await archived(store, "s-1", "s-2", "s-3")
    await store.sessions.delete("s-1")
    await store.erase(session_id="s-2")

    assert [d.session.id async for d in store.documents()] == ["s-3"]


async def test_a_damaged_one_is_told_by_name_after_those_before_it(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, "s-1", "s-2", "s-3")
    (path,) = segment_files(archive_dir)
    damage(path, at=0.5)
    met = []

    with pytest.raises(SegmentCorruptError) as told:  # noqa: PT012
        async for each in store.documents():
            met.append(each.session.id)

    assert met == ["s-1"]
    assert told.value.session_ids == ("s-2",)


async def test_documents_by_change_are_not_those_by_activity(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    await say(store, "s-1", "one")
    await say(store, "s-2", "two")
    clock.advance(100)
    since = clock.now()
    old = {"role": "user", "content": "Q", "created_at": "2020-01-01T00:00:00Z"}
    (tmp_path / "in").write_text(json.dumps({"session_id": "s-3", "messages": [old]}))
    await store.import_("messages", tmp_path / "in")
    await store.sessions.update("s-2", title="other")

    changed = [d.session.id async for d in store.documents(updated_since=since)]
    former = [d.session.id async for d in store.documents(changed_since=since)]
    active = [d.session.id async for d in store.documents(active_since=since)]

    assert changed == former == ["s-2", "s-3"]
    assert active == []
    for name in ("updated_since", "active_since", "changed_since"):
        with pytest.raises(InvalidInputError, match=name):
            await anext(store.documents(**{name: datetime(2026, 1, 1)}))  # noqa: DTZ001
