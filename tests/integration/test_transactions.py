"""`store.transaction()`: one commit, or nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from convstore import (
    ConfigError,
    ConflictError,
    DatabaseBusyError,
    InvalidInputError,
    SessionNotFoundError,
    Store,
    UnavailableError,
    VersionConflictError,
)
from tests.integration.conversations import contents, everything, say


async def test_everything_in_the_block_is_committed_at_its_end(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    another = await open_another()

    async with store.transaction() as tx:
        await say(tx, "s-1", "q", "a")
        await tx.interactions.record("s-1", action="feedback", turn_seq=2, feedback="x")
        await tx.graph_states.put("s-1", {"n": 1}, turn_seq=2)
        await tx.conversation("s-2", user_id="u-1").append(role="user", content="c")
        assert await another.sessions.find("s-1") is None

    assert await contents(another, "s-1") == ["q", "a"]
    session = await another.sessions.get("s-1")
    assert (session.feedback_counts, session.graph_state_count) == ({"x": 1}, 1)
    assert (await another.sessions.get("s-2")).user_id == "u-1"


async def test_the_block_reads_its_own_writes(store: Store) -> None:
    async with store.transaction() as tx:
        await say(tx, "s-1", "q", "a")
        await tx.turns.switch("s-1", 1)

        assert await contents(tx, "s-1") == ["q"]
        assert (await tx.turns.get("s-1", 2)).content == "a"
        assert (await tx.sessions.list()).items == (await tx.sessions.get("s-1"),)


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_an_error_in_the_block_undoes_all_of_it(
    store: Store, error: type[BaseException]
) -> None:
    await say(store, "s-1", "before")
    before = await everything(store, "s-1")

    async def write_and_fail() -> None:
        async with store.transaction() as tx:
            await say(tx, "s-1", "gone")
            await tx.graph_states.put("s-1", 1)
            raise error

    with pytest.raises(error):
        await write_and_fail()

    assert await everything(store, "s-1") == before
    await say(store, "s-1", "after")
    assert await contents(store, "s-1") == ["before", "after"]


async def test_a_refusal_leaves_the_transaction_usable(store: Store) -> None:
    await say(store, "s-1", "before")
    append = {"role": "user", "content": "m", "external_id": "m"}

    async with store.transaction() as tx:
        await tx.turns.append_many("s-1", [append])
        with pytest.raises(ConflictError):
            await tx.turns.append_many("s-1", [{**append, "content": "other"}])
        with pytest.raises(InvalidInputError):
            await tx.turns.append("s-1", role="user", content="\0")
        with pytest.raises(SessionNotFoundError):
            await tx.turns.append("absent", role="user")
        with pytest.raises(VersionConflictError):
            await tx.graph_states.put("s-1", 1, expected_version=7)
        await say(tx, "s-1", "after")

    assert await contents(store, "s-1") == ["before", "m", "after"]


async def test_a_write_outside_by_the_same_task_is_refused(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    async with store.transaction() as tx:
        for outside in (store, store.for_tenant("acme")):
            with pytest.raises(ConfigError, match=r"tx\.turns"):
                await outside.turns.append("s-1", role="user", content="outside")
        with pytest.raises(ConfigError):
            async with store.transaction():
                pass
        await say(tx, "s-1", "inside")

    await say(store, "s-1", "after")
    assert await contents(store, "s-1") == ["inside", "after"]


async def test_a_write_outside_by_another_task_waits_for_the_end(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    async with store.transaction() as tx:
        await say(tx, "s-1", "first")
        waiting = asyncio.create_task(say(store, "s-1", "second"))
        await say(tx, "s-1", "first too")
    await waiting

    assert await contents(store, "s-1") == ["first", "first too", "second"]


@pytest.mark.mostly_slow("sqlite")
async def test_a_write_that_waits_too_long_for_a_transaction_says_busy(
    open_another: Callable[..., Awaitable[Store]],
) -> None:
    store = await open_another(limits={"busy_timeout_s": 3})
    await store.sessions.get_or_create("s-1")

    async with store.transaction() as tx:
        await say(tx, "s-1", "first")
        with pytest.raises(DatabaseBusyError) as caught:
            async with asyncio.timeout(240):  # far from what is asked for
                await asyncio.create_task(say_one(store, "late"))

    assert caught.value.transient
    assert await contents(store, "s-1") == ["first"]


async def say_one(store: Store, content: str) -> None:
    await store.turns.append("s-1", role="user", content=content)


async def test_transactions_of_one_session_follow_one_another(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    stores = [store, await open_another()]
    await store.sessions.get_or_create("s-1")

    async def increment(number: int) -> None:
        async with stores[number % 2].transaction() as tx:
            await tx.sessions.touch("s-1")  # takes the session's lock
            latest = await tx.graph_states.find("s-1")
            value = 0 if latest is None else latest.state
            await tx.graph_states.put("s-1", value + 1)

    await asyncio.gather(*(increment(i) for i in range(20)))

    assert (await store.graph_states.get("s-1")).state == 20


async def test_a_transaction_cannot_be_used_after_its_block(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    async with store.transaction() as tx:
        pass

    for call in (
        tx.turns.append("s-1", role="user", content="late"),
        tx.turns.window("s-1"),
    ):
        with pytest.raises(ConfigError, match="over"):
            await call

    await say(store, "s-1", "after")
    assert await contents(store, "s-1") == ["after"]


async def test_tasks_may_share_a_transaction(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    async with store.transaction() as tx:
        await asyncio.gather(
            *(tx.turns.append("s-1", role="user", content=str(i)) for i in range(20))
        )

    assert sorted(map(int, await contents(store, "s-1"))) == list(range(20))


async def test_a_cancelled_call_in_the_block_undoes_all_of_it(store: Store) -> None:
    """Whoever swallows the cancellation must not be told that it was committed."""
    await store.sessions.get_or_create("s-1")

    async def cancel_one(tx: Any) -> None:
        call = asyncio.create_task(say(tx, "s-1", *map(str, range(50))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    async def transact() -> None:
        async with store.transaction() as tx:
            await say(tx, "s-1", "first")
            await cancel_one(tx)

    try:
        await transact()
    except UnavailableError:
        expected = []
    else:  # cancelled before it began: the block knows nothing of it
        expected = ["first"]

    assert await contents(store, "s-1") == expected


async def test_waiting_for_a_transaction_can_be_cancelled(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    async def hold() -> None:
        async with store.transaction() as tx:
            await tx.sessions.touch("s-1")

    async with store.transaction() as tx:
        await tx.sessions.touch("s-1")
        waiting = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    await say(store, "s-1", "after")
    assert await contents(store, "s-1") == ["after"]
