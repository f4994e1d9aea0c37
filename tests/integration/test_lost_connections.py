"""A server that cut every connection is used again at once, by reads and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from threading import Thread

import asyncpg
import pytest

from convstore import CheckpointInput, CheckpointValue, Store, UnavailableError
from convstore.db import batch

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
    """Ends every other connection to the database."""

    async def end_them() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
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
