"""A server that cut every connection is used again at once, by reads and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from threading import Thread
from typing import Any

import asyncpg
import pytest

from convstore import CheckpointInput, CheckpointValue, Store, UnavailableError
from convstore.db import batch
from convstore.store.runners import InTransaction

READERS = 5


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """SQLite has no server to lose."""
    return postgres_url


@pytest.fixture
async def store(open_another: Callable[..., Awaitable[Store]]) -> Store:
    """A store whose pool is full of connections."""
    store = await open_another()
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content="one")
    await asyncio.gather(*(store.turns.window("s-1") for _ in range(4 * READERS)))
    return store


@pytest.fixture
async def cut(postgres_url: str) -> Callable[[], Awaitable[None]]:
    """Ends every other connection to the database; they have ended when it returns."""

    async def end_them() -> None:
        connection = await asyncpg.connect(postgres_url)
        for patience_ms in (0, 60_000):  # first all, and then each is waited for
            await connection.execute(
                "SELECT pg_terminate_backend(pid, $1) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()",
                patience_ms,
            )
        await connection.close()

    return end_them


async def test_a_write_after_the_cut_succeeds(
    store: Store, cut: Callable[[], Awaitable[None]]
) -> None:
    await cut()

    turn = await store.turns.append("s-1", role="user", content="two")

    assert turn.seq == 2


@pytest.mark.parametrize("with_step", [False, True])
async def test_a_write_that_meets_the_last_words_of_its_server_succeeds(
    store: Store,
    cut: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    with_step: bool,
) -> None:
    """They arrive when the write is on its way: no look beforehand can see them."""
    monkeypatch.setattr(batch, "_QUIET_S", float("inf"))

    def cut_unseen() -> None:
        asyncio.run(cut())

    # The loop stands still meanwhile, so that its transports see nothing of the cut.
    thread = Thread(target=cut_unseen)
    thread.start()
    thread.join()
    if with_step:
        step = CheckpointInput("c-1", CheckpointValue("text", b"body"))
        said = [{"role": "assistant", "content": "two"}]
        (turn,) = (await store.sessions.apply("s-1", turns=said, checkpoint=step)).turns
    else:
        turn = await store.turns.append("s-1", role="user", content="two")

    assert turn.seq == 2
    assert [t.content for t in await store.turns.window("s-1")] == ["one", "two"]


async def test_a_read_after_the_cut_succeeds(
    store: Store, cut: Callable[[], Awaitable[None]]
) -> None:
    await cut()

    window = await store.turns.window("s-1")

    assert [turn.content for turn in window] == ["one"]


async def test_a_transaction_that_is_cut_fails_and_leaves_no_dead_connection(
    store: Store, cut: Callable[[], Awaitable[None]]
) -> None:
    async def cut_in_the_middle() -> None:
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content="lost")
            await cut()
            await tx.turns.append("s-1", role="user", content="lost too")

    with pytest.raises(UnavailableError):
        await cut_in_the_middle()

    assert (await store.turns.append("s-1", role="user", content="two")).seq == 2


async def test_a_write_to_several_sessions_after_the_cut_succeeds(
    store: Store, cut: Callable[[], Awaitable[None]]
) -> None:
    await cut()

    fork = await store.sessions.fork("s-1", "s-2")

    assert fork.turn_count == 1


async def test_a_write_to_several_sessions_goes_down_again_unless_it_is_committed(
    store: Store,
    cut: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut while it is carried out, and when it has been: before the commit is sent."""
    write, cuts = InTransaction.write, 0

    async def cut_before(self: InTransaction, operation: Any) -> Any:
        nonlocal cuts
        cuts += 1
        if cuts == 1:
            await cut()
        return await write(self, operation)

    async def cut_behind(self: InTransaction, operation: Any) -> Any:
        result = await write(self, operation)
        await cut()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(InTransaction, "write", cut_before)
        assert (await store.sessions.fork("s-1", "s-2")).turn_count == 1
    with monkeypatch.context() as patch:
        patch.setattr(InTransaction, "write", cut_behind)
        with pytest.raises(UnavailableError):
            await store.sessions.fork("s-1", "s-3")

    assert await store.sessions.find("s-3") is None


async def test_a_transaction_after_the_cut_succeeds(
    store: Store, cut: Callable[[], Awaitable[None]]
) -> None:
    await cut()
    for _ in range(3):  # the driver is told by the loop
        await asyncio.sleep(0)

    async with store.transaction() as tx:
        turn = await tx.turns.append("s-1", role="user", content="two")

    assert turn.seq == 2
