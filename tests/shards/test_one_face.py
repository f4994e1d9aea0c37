"""One face over two databases: placed, read, listed and counted as one store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from convstore import ConfigError, InvalidInputError, Store, StoreConfig, blocking
from convstore.errors import LimitExceededError
from convstore.policy import LedgerPolicy
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.sharding import shard_of

Open = Callable[..., Awaitable[Store]]

IDS = [f"s-{number:02}" for number in range(16)]


async def fill(store: Store, clock: ManualClock) -> None:
    for session_id in IDS:
        chat = store.conversation(session_id, user_id="u-1")
        await chat.append(role="user", content=f"about {session_id}", external_id="m")
        clock.advance(1)


async def pages(ask: Any, **given: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        page = await ask(cursor=cursor, **given)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_sessions_lie_in_both_and_are_listed_in_one_order(
    sharded: Store, clock: ManualClock
) -> None:
    await fill(sharded, clock)

    listed = await pages(sharded.sessions.list, limit=3)

    assert [session.id for session in listed] == IDS[::-1]
    assert {shard_of("default", each, 2) for each in IDS} == {0, 1}
    for session_id in IDS:
        turns = await sharded.turns.window(session_id)
        assert [turn.content for turn in turns] == [f"about {session_id}"]


async def test_counts_are_those_of_both(sharded: Store, clock: ManualClock) -> None:
    await fill(sharded, clock)

    stats = await sharded.stats()

    assert stats.sessions == {"active": 16}
    assert stats.turns == 16
    assert await sharded.sessions.count(user_id="u-1") == 16
    (user,) = (await sharded.users.list()).items
    assert (user.user_id, user.session_count) == ("u-1", 16)
    (tenant,) = (await sharded.tenants()).items
    assert tenant.sessions["active"] == 16


async def test_documents_come_in_the_order_of_ids_live_and_archived(
    sharded: Store, clock: ManualClock
) -> None:
    await fill(sharded, clock)
    clock.advance(100)
    await sharded.run_retention(older_than_s=0)
    await sharded.restore("s-03")

    found = [document async for document in sharded.documents()]
    some = [d async for d in sharded.documents(session_ids=["s-09", "s-02", "s-x"])]

    assert [document.session.id for document in found] == IDS
    assert [document.session.id for document in some] == ["s-02", "s-09"]
    archived = await pages(sharded.archive.list, limit=4)
    assert [one.session_id for one in archived] == [i for i in IDS if i != "s-03"]


async def test_a_search_gives_the_newest_of_both_page_by_page(
    sharded: Store, clock: ManualClock
) -> None:
    await fill(sharded, clock)

    async def ask(cursor: str | None) -> Any:
        return await sharded.search("about", limit=3, cursor=cursor, role="user")

    hits = await pages(ask)

    assert [hit.session.id for hit in hits] == IDS[::-1]


async def test_a_transaction_keeps_to_one_database(
    sharded: Store, clock: ManualClock
) -> None:
    await fill(sharded, clock)
    first = next(i for i in IDS if shard_of("default", i, 2) == 0)
    other = next(i for i in IDS if shard_of("default", i, 2) == 1)

    async with sharded.transaction() as tx:
        await tx.turns.append(first, role="assistant", content="kept")

    async def over_both() -> None:
        async with sharded.transaction() as tx:
            await tx.turns.append(first, role="assistant", content="not kept")
            await tx.turns.append(other, role="assistant", content="not kept")

    with pytest.raises(ConfigError, match=r"shard 0 of 2.*shard 1 of 2"):
        await over_both()

    for session_id, count in ((first, 2), (other, 1)):
        assert len(await sharded.turns.window(session_id)) == count


async def test_what_needs_one_database_is_refused_by_name(
    sharded: Store, clock: ManualClock
) -> None:
    await fill(sharded, clock)
    connection: Any = object()
    spread = [{"session_id": i, "action": "feedback", "feedback": "x"} for i in IDS]

    with pytest.raises(ConfigError, match="over 2 shards"):
        sharded.joined(connection)
    with pytest.raises(ConfigError, match=r"record_many.*shard 1 of 2"):
        await sharded.interactions.record_many(spread)
    there = shard_of("default", "s-00", 2)
    new_id = next(i for i in map(str, range(99)) if shard_of("default", i, 2) != there)
    with pytest.raises(ConfigError, match="a fork"):
        await sharded.sessions.fork("s-00", new_id)


async def test_a_tenant_sees_its_own_alone(sharded: Store, clock: ManualClock) -> None:
    await fill(sharded, clock)
    acme = sharded.for_tenant("acme")
    await acme.conversation("s-00").append(role="user", content="ours")

    assert [s.id for s in (await acme.sessions.list()).items] == ["s-00"]
    assert (await acme.stats()).turns == 1
    assert len((await sharded.sessions.list()).items) == 16


async def test_an_attachment_goes_where_it_is_named(
    sharded: Store, clock: ManualClock
) -> None:
    ref = await sharded.attachments.put(b"a picture", media_type="image/png")
    part = {"type": "image_url", "image_url": {"url": ref}}

    for session_id in IDS[:6]:
        chat = sharded.conversation(session_id)
        await chat.append(role="user", content="look", parts=[part])
    clock.advance(3 * 86_400)
    await sharded.maintain()

    assert (await sharded.attachments.get(ref)).data == b"a picture"
    for session_id in IDS[:6]:
        (document,) = [d async for d in sharded.documents(session_ids=[session_id])]
        assert [one.ref for one in document.attachments] == [ref]
    part = {"type": "image_url", "image_url": {"url": ref[:-4] + "0000"}}
    with pytest.raises(InvalidInputError, match="put it first"):
        await sharded.turns.append("s-00", role="user", content="x", parts=[part])


async def test_a_list_goes_back_the_way_it_came(
    sharded: Store, clock: ManualClock
) -> None:
    await fill(sharded, clock)
    seen, cursor = [], None
    while True:
        page = await sharded.sessions.list(limit=5, cursor=cursor)
        seen.append([session.id for session in page.items])
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    back = [seen[-1]]
    while page.previous_cursor is not None:
        page = await sharded.sessions.list(limit=5, cursor=page.previous_cursor)
        if page.items:
            back.append([session.id for session in page.items])

    assert [one for some in back[::-1] for one in some] == IDS[::-1]


async def test_a_step_changes_items_of_the_home_once(sharded: Store) -> None:
    step: Any = {
        "create": True,
        "turns": [{"role": "user", "content": "x", "external_id": "m-1"}],
        "items": [
            {"namespace": "app", "key": "n", "value": 1},
            {"namespace": "own", "key": "n", "value": 2, "inside": True},
        ],
    }

    done = await sharded.sessions.apply("s-1", **step)
    await sharded.items.put("app", "n", 7)
    again = await sharded.sessions.apply("s-1", **step)

    assert [item and item.value for item in done.items] == [1, 2]
    assert again.repeated
    assert (await sharded.items.get("app", "n")).value == 7, "changed once"
    assert (await sharded.items.get("own", "n", session_id="s-1")).value == 2


async def test_an_import_and_an_export_go_over_both(
    sharded: Store, tmp_path: Any
) -> None:
    lines = [
        f'{{"session_id": "{i}", "messages": [{{"role": "user", "content": "q"}}, '
        f'{{"role": "assistant", "content": "answer {i}"}}]}}'
        for i in IDS
    ]
    (tmp_path / "talks.jsonl").write_text("\n".join(lines))

    report = await sharded.import_("messages", tmp_path / "talks.jsonl", batch="b")
    exported = await sharded.export("messages", to=tmp_path / "out")

    assert report.totals()["sessions"] == 16
    assert exported.documents == 16
    assert (await sharded.undo_import("b")).deleted == 16


async def test_jobs_of_a_worker_are_those_of_every_database(
    sharded: Store, clock: ManualClock
) -> None:
    await fill(sharded, clock)
    clock.advance(10 * 86_400)

    async with sharded.scheduler() as scheduler:
        await scheduler.run("retention")
        await scheduler.run("compaction")
        await scheduler.run("upkeep")

    assert (await sharded.stats()).sessions == {"archived": 16}


@pytest.mark.parametrize("whose", ["user", "tenant"])
async def test_a_budget_is_of_what_was_spent_in_every_shard(
    open_shards: Open, whose: str
) -> None:
    """Each has less than that; nothing is summed up ahead, so nothing lags."""
    budget = f"{whose}_budget_micros"
    store = await open_shards(ledger=LedgerPolicy(**{budget: 10}))
    first, other = (
        next(i for i in IDS if shard_of("default", i, 2) == number) for number in (0, 1)
    )
    for session_id in (first, other):
        await store.sessions.get_or_create(session_id, user_id="u-1")
        await store.ledger.check_budget(session_id)
        await store.ledger.add_cost(session_id, micros=6)

    for session_id in (first, other):
        with pytest.raises(LimitExceededError) as refused:
            await store.ledger.check_budget(session_id)
        assert (refused.value.limit, refused.value.actual) == (budget, 12)


def test_the_blocking_face_is_the_same(urls: dict[str, Any], tmp_path: Any) -> None:
    config = StoreConfig(**urls, archive_dir=tmp_path / "archive")
    with blocking.open_store(config) as store:
        for session_id in IDS:
            store.conversation(session_id).append(role="user", content="hey")
        with store.transaction() as tx:
            tx.turns.append("s-00", role="assistant", content="there")

        assert len(store.sessions.list().items) == 16
        assert [turn.content for turn in store.turns.window("s-00")] == ["hey", "there"]
        assert len(list(store.documents())) == 16
