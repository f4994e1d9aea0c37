"""Reads that wait for a connection: each has its turn, who leaves holds up nobody."""

import asyncio
from collections.abc import Awaitable, Callable

from convstore import Store
from tests.integration.conversations import contents, say

Opener = Callable[..., Awaitable[Store]]


async def test_who_is_cancelled_while_he_waits_holds_up_nobody(
    open_another: Opener,
) -> None:
    store = await open_another(pool_size=1)
    await say(store, "s-1", *map(str, range(50)))

    for turns in range(12):
        reading = [
            asyncio.create_task(store.turns.window("s-1", limit=50)) for _ in range(24)
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in reading[::3]:
            task.cancel()
        done = await asyncio.gather(*reading, return_exceptions=True)
        kept = [one for place, one in enumerate(done) if place % 3]
        assert [len(one) for one in kept if isinstance(one, list)] == [50] * 16

    assert len(await contents(store, "s-1")) == 50


async def test_a_transaction_has_its_turn_while_others_read_without_end(
    open_another: Opener,
) -> None:
    store = await open_another(pool_size=1)
    await say(store, "s-1", "Hoi")
    over = asyncio.Event()

    async def read() -> None:
        while not over.is_set():
            await store.turns.window("s-1")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(12):
            tasks.create_task(read())
        await asyncio.sleep(0)
        for number in range(3):
            async with store.transaction() as tx:
                await tx.turns.append("s-1", role="user", content=str(number))
        over.set()

    assert await contents(store, "s-1") == ["Hoi", "0", "1", "2"]
