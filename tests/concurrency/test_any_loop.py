"""The awaitable face: one store for tasks of any event loop, in any thread."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from convstore import (
    ConfigError,
    SessionNotFoundError,
    Store,
    StoreClosedError,
    StoreConfig,
    blocking,
    open_store,
)
from convstore.blocking.awaiting import awaitable
from convstore.blocking.loop import Loop
from convstore.blocking.wrapping import awaited
from tests.concurrency.test_insistent_cancellation import insist
from tests.integration.conversations import contents, say

LIMIT_S = 120


@pytest.fixture(name="opened")
def opened_fixture(database_url: str) -> Iterator[blocking.Store]:
    with blocking.open_store(StoreConfig(url=database_url)) as store:
        store.sessions.get_or_create("s-1")
        yield store


@pytest.fixture(name="anywhere")
def anywhere_fixture(opened: blocking.Store) -> Store:
    return opened.awaitable


async def test_an_adapter_that_awaits_takes_a_blocking_store(
    opened: blocking.Store, store: Store
) -> None:
    anywhere = awaited(opened)

    assert (await anywhere.sessions.get("s-1")).id == "s-1"
    assert awaited(store) is store
    assert awaited(anywhere) is anywhere


@pytest.mark.parametrize("take", [awaited, blocking.over])
def test_what_is_no_open_store_is_refused_where_it_is_given(
    take: Callable[[Any], object], opened: blocking.Store
) -> None:
    for given in ("sqlite:///chat.db", None, open_store("sqlite://"), opened.turns):
        with pytest.raises(ConfigError, match="no open store"):
            take(given)


async def test_every_verb_is_there_and_awaited(anywhere: Store, store: Store) -> None:
    assert isinstance(anywhere, Store)
    assert set(dir(anywhere)) == {n for n in dir(store) if n[0] != "_"}
    chat = anywhere.for_tenant("acme").conversation("s-1", user_id="u-1")
    await chat.add_exchange("Where?", "Here.")
    async with chat.answer(model="m") as answer:
        answer.write("There ")
        answer.write("too.")
    async with anywhere.transaction() as tx:
        await tx.turns.append("s-1", role="user", content="in a transaction")

    assert answer.turn is not None
    assert answer.turn.content == "There too."
    assert [t.content for t in await chat.window()] == [
        "Where?",
        "Here.",
        "There too.",
    ]
    documents = [d async for d in anywhere.documents()]
    assert [t.content for d in documents for t in d.turns] == ["in a transaction"]


async def test_an_error_comes_as_it_was_raised(anywhere: Store) -> None:
    with pytest.raises(SessionNotFoundError):
        await anywhere.turns.append("absent", role="user", content="x")
    with pytest.raises(TypeError):
        await anywhere.turns.append("s-1", no_such=1)  # type: ignore[call-arg]


def test_two_loops_use_one_store_at_once(anywhere: Store) -> None:
    both = threading.Barrier(2, timeout=LIMIT_S)

    async def write(number: int) -> None:
        both.wait()
        await asyncio.gather(
            *(say(anywhere, "s-1", f"{number}.{i}") for i in range(20))
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: asyncio.run(write(number)), range(2)))

    stored = asyncio.run(contents(anywhere, "s-1", limit=100))
    assert sorted(stored) == sorted(f"{n}.{i}" for n in range(2) for i in range(20))


def test_five_threads_with_five_loops_keep_their_own_order(anywhere: Store) -> None:
    async def write(number: int) -> None:
        for i in range(10):
            await anywhere.turns.append("s-1", role="user", content=f"{number}.{i}")

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda number: asyncio.run(write(number)), range(5)))

    stored = asyncio.run(contents(anywhere, "s-1", limit=100))
    for number in range(5):
        mine = [c for c in stored if c.startswith(f"{number}.")]
        assert mine == [f"{number}.{i}" for i in range(10)]


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 13, 40])
@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
async def test_a_cancelled_write_has_ended_when_its_caller_is_told(
    opened: blocking.Store, turns: int, again: bool
) -> None:
    anywhere = opened.awaitable
    writing = [
        asyncio.create_task(
            anywhere.turns.append_many(
                "s-1", [{"role": "user", "content": f"{i}.{j}"} for j in range(3)]
            )
        )
        for i in range(8)
    ]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in writing[::2]:
        if again:
            await insist(task)
        else:
            task.cancel()
    done = await asyncio.gather(*writing, return_exceptions=True)

    # By another way than the one that might still be writing.
    stored = [t.content or "" for t in opened.turns.window("s-1", limit=100)]
    for number, result in enumerate(done):
        mine = [c for c in stored if c.startswith(f"{number}.")]
        whole = [f"{number}.{j}" for j in range(3)]
        if isinstance(result, BaseException):
            assert isinstance(result, asyncio.CancelledError)
            assert mine in ([], whole)
        else:
            assert mine == whole
    assert len(await contents(anywhere, "s-1", limit=100)) == len(stored)


async def test_a_cancelled_caller_is_told_after_the_work_has_ended() -> None:
    began, may_end = threading.Event(), threading.Event()
    events: list[str] = []

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(may_end.wait, LIMIT_S)
            events.append("ended")

    with Loop() as loop:
        task = asyncio.create_task(loop.carry(work))
        await asyncio.to_thread(began.wait, LIMIT_S)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
        (result,) = await asyncio.gather(task, return_exceptions=True)

    assert isinstance(result, asyncio.CancelledError)
    assert events == ["ended"]


@pytest.mark.parametrize("turns", range(0, 24, 2))
async def test_a_cancelled_transaction_lets_go_of_its_lock(
    anywhere: Store, turns: int
) -> None:
    async def transact() -> None:
        async with anywhere.transaction() as tx:
            await say(tx, "s-1", "0", "1")

    await insist(asyncio.create_task(transact()), after=turns)

    async with asyncio.timeout(LIMIT_S):
        await say(anywhere, "s-1", "after")
    assert await contents(anywhere, "s-1") in (["after"], ["0", "1", "after"])


async def test_what_was_entered_for_a_cancelled_caller_is_left() -> None:
    entered = threading.Event()
    events: list[Any] = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        task = asyncio.current_task()
        entered.set()
        try:
            yield
        except BaseException as error:
            events.extend([type(error), asyncio.current_task() is task])
            raise

    with Loop() as loop:

        async def enter() -> None:
            async with awaitable(loop, manager()):
                events.append("the block")

        task = asyncio.create_task(enter())
        await asyncio.sleep(0)
        # The news of it waits for this loop, which does not turn.
        entered.wait(LIMIT_S)
        loop.run(_nothing())
        await insist(task)

    assert events == [asyncio.CancelledError, True]


async def test_a_stream_that_is_left_early_is_closed() -> None:
    events: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(3):
                yield number
        finally:
            events.append("closed")

    with Loop() as loop:
        stream = awaitable(loop, numbers())
        assert await anext(stream) == 0
        await stream.aclose()
        assert events == ["closed"]
        assert [n async for n in awaitable(loop, numbers())] == [0, 1, 2]
        del stream
        gc.collect()


async def test_a_write_outside_by_the_task_that_holds_a_transaction_is_refused(
    anywhere: Store,
) -> None:
    async with anywhere.transaction() as tx:
        with pytest.raises(ConfigError, match=r"tx\.turns"):
            await say(anywhere, "s-1", "outside")
        await say(tx, "s-1", "inside")

    assert await contents(anywhere, "s-1") == ["inside"]


async def test_closing_answers_every_call_that_is_in_flight(database_url: str) -> None:
    with blocking.open_store(StoreConfig(url=database_url)) as opened:
        anywhere = opened.awaitable
        await anywhere.sessions.get_or_create("s-1")
        writing = [asyncio.create_task(say(anywhere, "s-1", str(i))) for i in range(30)]
        await asyncio.sleep(0)
        await anywhere.close()
        await anywhere.close()
        async with asyncio.timeout(LIMIT_S):
            done = await asyncio.gather(*writing, return_exceptions=True)
    with pytest.raises(StoreClosedError):
        await anywhere.sessions.find("s-1")
    await anywhere.close()

    assert {type(r) for r in done} <= {list, StoreClosedError}
    with blocking.open_store(StoreConfig(url=database_url)) as opened:
        stored = {t.content for t in opened.turns.window("s-1", limit=100)}
    assert {str(i) for i, r in enumerate(done) if isinstance(r, list)} <= stored


async def test_work_that_the_end_of_the_loop_cuts_off_is_told() -> None:
    began = threading.Event()

    async def work() -> None:
        began.set()
        await asyncio.Event().wait()

    with Loop() as loop:
        task = asyncio.create_task(loop.carry(work))
        await asyncio.to_thread(began.wait, LIMIT_S)

    with pytest.raises(StoreClosedError):
        await task


FORK = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside a thread
from convstore import ConfigError, blocking
with blocking.open_store(sys.argv[1]) as store:
    anywhere = store.awaitable
    asyncio.run(anywhere.sessions.get_or_create("s-1"))
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            asyncio.run(anywhere.sessions.get("s-1"))
        except ConfigError as error:
            os.write(writer, str(error).encode())
        finally:
            asyncio.run(anywhere.close())
            os._exit(0)
    os.waitpid(child, 0)
    report(os.read(reader, 1000).decode())
    report(asyncio.run(anywhere.turns.append("s-1", role="user", content="x")).seq)
"""


def test_a_forked_child_is_told_to_open_its_own_store(
    sqlite_url: str, run_processes: Callable[..., list[list[Any]]]
) -> None:
    ((message, seq),) = run_processes(1, FORK, sqlite_url)

    assert "forked" in message
    assert seq == 1


# Over a store that is open already


async def test_threads_and_other_loops_use_a_store_of_this_loop(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    face = blocking.over(store)

    def elsewhere() -> None:
        face.turns.append("s-1", role="user", content="of a thread")
        asyncio.run(say(face.awaitable, "s-1", "of another loop"))

    await asyncio.to_thread(elsewhere)
    await say(face.awaitable, "s-1", "of its own loop")
    async with face.awaitable.transaction() as tx:
        await say(tx, "s-1", "together")

    assert await contents(store, "s-1") == [
        "of a thread",
        "of another loop",
        "of its own loop",
        "together",
    ]
    assert blocking.over(face) is face
    assert isinstance(blocking.over(face.awaitable), blocking.Store)


async def test_a_blocking_call_on_the_stores_own_thread_is_refused_at_once(
    store: Store,
) -> None:
    face = blocking.over(store)

    with pytest.raises(ConfigError, match="await the store"):
        face.sessions.find("s-1")
    with pytest.raises(ConfigError), face.transaction():
        pass


def test_a_loop_that_has_ended_answers_no_more(database_url: str) -> None:
    async def leave() -> blocking.Store:
        from convstore import open_store

        async with open_store(StoreConfig(url=database_url)) as store:
            return blocking.over(store)

    face = asyncio.run(leave())

    with pytest.raises(StoreClosedError):
        face.sessions.find("s-1")
    with pytest.raises(StoreClosedError):
        asyncio.run(face.awaitable.sessions.find("s-1"))


async def test_a_connection_of_another_loop_cannot_be_joined(anywhere: Store) -> None:
    with pytest.raises(ConfigError, match="event loop"):
        anywhere.joined(object())  # type: ignore[arg-type]


async def _nothing() -> None:
    return None
