"""A cancelled write happened or did not, as a whole; the store goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from convstore import Store
from convstore.db import ledger
from tests.integration.archives import raw
from tests.integration.conversations import contents, say


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13])
async def test_a_cancelled_append_is_whole_or_not_there(
    store: Store, turns: int
) -> None:
    """Cancelled after so many turns of the event loop: at ever later places."""
    await store.sessions.get_or_create("s-1")
    writing = [
        asyncio.create_task(
            store.turns.append_many(
                "s-1", [{"role": "user", "content": f"{i}.{j}"} for j in range(3)]
            )
        )
        for i in range(10)
    ]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in writing[::2]:
        task.cancel()
    done = await asyncio.gather(*writing, return_exceptions=True)

    stored = await contents(store, "s-1")
    for number, result in enumerate(done):
        mine = [c for c in stored if c.startswith(f"{number}.")]
        if isinstance(result, BaseException):
            assert mine in ([], [f"{number}.{j}" for j in range(3)])
        else:
            assert mine == [f"{number}.{j}" for j in range(3)]
    await say(store, "s-1", "after")
    numbers = [t.seq for t in (await store.turns.list("s-1", limit=100)).items]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_cancelled_read_leaves_no_connection_in_use(store: Store) -> None:
    await say(store, "s-1", *map(str, range(500)))

    for turns in range(12):
        reading = [
            asyncio.create_task(store.turns.window("s-1", limit=500)) for _ in range(8)
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    assert len(await contents(store, "s-1")) == 500


async def test_cancelling_everything_at_random_keeps_the_store_sound(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")

    async def live(number: int) -> None:
        await store.turns.append("s-1", role="user", content=str(number))
        await store.interactions.add_feedback(
            "s-1", turn_seq=1, feedback="up", actor_id=str(number)
        )
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content=f"{number} in tx")
            await tx.graph_states.put("s-1", number)

    await live(-1)
    for round_ in range(25):
        tasks = [asyncio.create_task(live(4 * round_ + i)) for i in range(4)]
        for _ in range(round_):
            await asyncio.sleep(0)
        for task in tasks[:2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(
            r is None or isinstance(r, asyncio.CancelledError) for r in results
        ), results

    session = await store.sessions.get("s-1")
    turns = (await store.turns.list("s-1", limit=1000)).items
    assert [t.seq for t in turns] == list(range(1, session.turn_count + 1))
    in_tx = [t for t in turns if (t.content or "").endswith("in tx")]
    assert len(in_tx) == session.graph_state_count, "both of a transaction or neither"
    summary = await store.interactions.summary("s-1")
    assert session.feedback_counts == summary.by_label


async def _a_transaction(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.turns.append("s-1", role="user", content="in a transaction")
        raise asyncio.CancelledError  # it leaves nothing behind


async def _a_write(store: Store) -> None:
    """As restores, erasures and retention write: not through a commit lane."""
    backend = store._parts.backend
    await backend.write(lambda c: ledger.find(c, (store.tenant, "s-1")))


async def _a_read(store: Store) -> None:
    backend = store._parts.backend
    key = store.tenant, "s-1"
    await backend.read(lambda c: ledger.find(c, key), snapshot=True)


@pytest.mark.parametrize("call", [_a_transaction, _a_write, _a_read])
async def test_what_is_acknowledged_after_a_cancelled_call_is_committed(
    store: Store, database_url: str, call: Callable[[Store], Coroutine[Any, Any, None]]
) -> None:
    """Seen from outside: a connection that the call left in the middle of something
    must not be given to those who write next."""
    await say(store, "s-1", "first")
    for turns in range(100):
        task = asyncio.create_task(call(store))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for number in range(2, 22):
        await say(store, "s-1", f"{number}")
        await store.interactions.add_feedback("s-1", feedback="up")
        counts = "SELECT turn_count, interaction_count FROM sessions"
        assert raw(database_url, counts) == [(number, number - 1)]


async def test_closing_waits_for_what_is_queued(
    open_another: Callable[..., object], database_url: str
) -> None:
    from convstore import StoreConfig, open_store

    async with open_store(StoreConfig(url=database_url)) as store:
        await store.sessions.get_or_create("s-1")
        writing = [
            asyncio.create_task(store.turns.append("s-1", role="user", content=str(i)))
            for i in range(100)
        ]
        await asyncio.sleep(0)

    turns = await asyncio.gather(*writing)
    assert [t.seq for t in turns] == list(range(1, 101))
    async with open_store(StoreConfig(url=database_url)) as store:
        assert await contents(store, "s-1") == [str(i) for i in range(100)]
