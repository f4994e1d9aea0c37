"""Erasure of a user over several databases: one receipt, done when all are done."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from convstore import LegalHoldError, SessionErasedError, ShardUnavailableError, Store
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.sharding import shard_of
from tests.integration.archives import ERASED

Open = Callable[..., Awaitable[Store]]

IDS = [f"s-{number}" for number in range(8)]
ON_1 = [i for i in IDS if shard_of("default", i, 2) == 1]


class Killed(BaseException):
    """What a kill is to the code that it meets."""


async def fill(store: Store) -> None:
    for session_id in IDS:
        chat = store.conversation(session_id, user_id="u-1")
        await chat.append(role="user", content="mine")
    await store.items.put("app", "mine", {"a": 1}, user_id="u-1")


async def test_a_user_is_erased_everywhere_with_one_receipt(sharded: Store) -> None:
    await fill(sharded)

    receipt = await sharded.erase(user_id="u-1")

    assert receipt.done_at is not None
    assert receipt.session_ids == tuple(IDS)
    assert receipt.found["sessions"] == 8
    assert receipt.found["items"] == 1
    assert await sharded.erasures.get(receipt.erasure_id) == receipt
    assert (await sharded.erasures.list()).items == (receipt,)
    for session_id in IDS:
        with pytest.raises(SessionErasedError):
            await sharded.sessions.get_or_create(session_id)


async def test_what_a_user_did_anywhere_has_one_name_everywhere(
    sharded: Store,
) -> None:
    for session_id in IDS:
        chat = sharded.conversation(session_id, user_id="u-2")
        await chat.append(role="assistant", content="theirs")
        await sharded.interactions.record(
            session_id, action="feedback", turn_seq=1, feedback="up", actor_id="u-1"
        )
    await sharded.holds.place(ON_1[0], reason="court")
    with pytest.raises(LegalHoldError) as raised:
        await sharded.erase(user_id="u-1")
    assert raised.value.session_ids == (ON_1[0],)
    await sharded.holds.release(ON_1[0])
    await sharded.run_retention(older_than_s=0)

    receipt = await sharded.erase(user_id="u-1")

    assert receipt.renamed == {"archived_sessions": 8}
    found = [await sharded.interactions.list(session_id) for session_id in IDS]
    (name,) = {page.items[0].actor_id for page in found}
    assert name is not None
    assert ERASED.fullmatch(name)


async def test_a_hold_in_one_shard_keeps_all_of_them(sharded: Store) -> None:
    await fill(sharded)
    await sharded.holds.place(ON_1[0], reason="court")

    with pytest.raises(LegalHoldError):
        await sharded.erase(user_id="u-1")

    assert (await sharded.stats()).sessions == {"active": 8}
    assert (await sharded.erasures.list()).items == ()


@pytest.mark.mostly_slow("sqlite-*", "postgres-4")
@pytest.mark.parametrize("at", [1, 2, 4, 6, 9, 12])
async def test_an_erasure_that_is_killed_is_taken_up_and_counted_once(
    open_shards: Open, at: int
) -> None:
    store = await open_shards()
    await fill(store)
    await store.close()
    steps = 0

    def on_step(_: str) -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            raise Killed

    store = await open_shards(on_step=on_step)
    killed = False
    try:
        await store.erase(user_id="u-1")
    except Killed:
        killed = True
    await store.close()

    store = await open_shards()
    begun = (await store.erasures.list()).items
    if not begun:
        assert killed, "nothing was promised and nothing destroyed"
        assert (await store.stats()).sessions == {"active": 8}
        return
    await store.archive.recover()
    (receipt,) = (await store.erasures.list()).items
    assert receipt.done_at is not None
    assert receipt.found["sessions"] == 8
    assert receipt.found["items"] == 1
    assert (await store.stats()).sessions == {"erased": 8}


async def test_no_erasure_is_done_while_a_shard_is_away(
    open_shards: Open, urls: dict[str, Any], clock: ManualClock
) -> None:
    if not urls["url"].startswith("sqlite"):
        pytest.skip("a file is taken away")
    store = await open_shards()
    await fill(store)
    await store.close()
    file = Path(urls["shards"][1].removeprefix("sqlite:///"))
    aside = file.rename(file.with_suffix(".away"))  # noqa: ASYNC240
    store = await open_shards()

    receipt = await store.erase(user_id="u-1")

    assert receipt.done_at is None
    assert receipt.databases_waiting == (1,)
    assert receipt.waits_for == "shard_unavailable"
    assert set(receipt.session_ids) == set(IDS) - set(ON_1)
    for session_id in ON_1:
        with pytest.raises(ShardUnavailableError, match="shard 1 of 2"):
            await store.sessions.get(session_id)
    there = next(i for i in IDS if i not in ON_1)
    with pytest.raises(SessionErasedError):
        await store.sessions.get(there)
    report = await store.run_retention()
    assert "shard 1 of 2 is away" in (report.halted or "")
    await store.close()

    aside.rename(file)
    store = await open_shards()
    clock.advance(60)
    await store.run_retention()

    done = await store.erasures.get(receipt.erasure_id)
    assert done.done_at is not None
    assert done.databases_waiting == ()
    assert done.session_ids == tuple(IDS)
    with closing(sqlite3.connect(urls["url"].removeprefix("sqlite:///"))) as home:
        rows = home.execute("SELECT user_id FROM shard_erasures").fetchall()
    assert rows == [(None,), (None,)], "who it was is forgotten"
