"""One act upon all sessions of a filter: looked at first, each in its own commit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convstore import InvalidInputError, Store


async def made(store: Store) -> None:
    for number in range(6):
        user_id = f"u-{number % 2}"
        await store.sessions.get_or_create(f"s-{number}", user_id=user_id)


async def test_a_dry_run_says_which_and_changes_nothing(store: Store) -> None:
    await made(store)

    seen = await store.bulk("tag", "vip", user_id="u-1", dry_run=True)

    assert sorted(seen.matched) == ["s-1", "s-3", "s-5"]
    assert (seen.done, seen.refused, seen.complete) == (0, {}, True)
    assert await store.sessions.count(tag="vip") == 0


async def test_an_act_is_done_to_all_that_meet_the_filter(store: Store) -> None:
    await made(store)

    tagged = await store.bulk("tag", "vip", user_id="u-1")
    again = await store.bulk("tag", "vip", user_id="u-1")
    untagged = await store.bulk("untag", "vip", tag="vip")
    held = await store.bulk("hold", "audit", user_id="u-0", actor_id="op")

    assert [one.done for one in (tagged, again, untagged, held)] == [3, 3, 3, 3]
    assert await store.sessions.count(tag="vip") == 0
    holds = (await store.holds.list(in_force=True)).items
    assert {(hold.session_id, hold.placed_by) for hold in holds} == {
        ("s-0", "op"),
        ("s-2", "op"),
        ("s-4", "op"),
    }


async def test_what_is_held_is_left_and_counted(store: Store) -> None:
    await made(store)
    await store.holds.place("s-1", reason="audit")

    report = await store.bulk("delete", user_id="u-1")

    assert (report.done, report.refused) == (2, {"legal_hold": 1})
    assert await store.sessions.count(state="deleted") == 2
    assert (await store.sessions.get("s-1")).state == "active"
    restored = await store.restore("s-3")
    assert restored.state == "active"


async def test_sessions_of_a_filter_become_one_file(
    store: Store, tmp_path: Path
) -> None:
    await made(store)
    await store.run_retention(older_than_s=0)
    to = tmp_path / "of-u-1.jsonl"

    seen = await store.bulk("export", str(to), user_id="u-1", dry_run=True)
    there = to.exists()
    report = await store.bulk("export", str(to), user_id="u-1")

    documents = [json.loads(line) for line in to.read_text("utf-8").splitlines()]
    assert (there, sorted(seen.matched)) == (False, ["s-1", "s-3", "s-5"])
    assert (report.done, report.refused) == (3, {})
    assert [one["session"]["id"] for one in documents] == ["s-1", "s-3", "s-5"]
    assert not to.with_name("of-u-1.jsonl.part").exists()
    for path in (str(to), str(tmp_path / "no" / "where"), "", "a\0b"):
        with pytest.raises(InvalidInputError, match="text"):
            await store.bulk("export", path, user_id="u-1")
    none = await store.bulk("export", str(tmp_path / "none"), user_id="nobody")
    assert (none.done, (tmp_path / "none").read_bytes()) == (0, b"")


async def test_another_tenants_sessions_are_not_met(store: Store) -> None:
    await made(store)

    report = await store.for_tenant("other").bulk("delete", user_id="u-1")

    assert report.matched == ()
    assert await store.sessions.count() == 6


async def test_nothing_given_is_not_everything(store: Store) -> None:
    await made(store)

    for field, call in (
        ("filter", ("delete", None, {})),
        ("act", ("erase", None, {"user_id": "u-1"})),
        ("text", ("tag", None, {"user_id": "u-1"})),
        ("text", ("delete", "x", {"user_id": "u-1"})),
        ("text", ("tag", "", {"user_id": "u-1"})),
    ):
        act, text, filters = call
        with pytest.raises(InvalidInputError) as caught:
            await store.bulk(act, text, **filters)  # type: ignore[arg-type]
        assert caught.value.field == field
    assert await store.sessions.count(state="active") == 6
