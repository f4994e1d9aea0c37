"""The blocking face: the same store for threads."""

import gc
import signal
import threading
import traceback
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
)
from convstore.blocking.loop import Loop
from convstore.blocking.wrapping import blocking as blocking_twin
from tests.processes import Process

THREADS = 16


@pytest.fixture(name="threaded")
def threaded_fixture(database_url: str) -> Iterator[blocking.Store]:
    with blocking.open_store(StoreConfig(url=database_url)) as store:
        store.sessions.get_or_create("s-1")
        yield store


def _contents(store: blocking.Store) -> list[str | None]:
    return [turn.content for turn in store.turns.window("s-1", limit=10_000)]


def test_sixteen_threads_append_without_gap_or_loss(threaded: blocking.Store) -> None:
    def append(number: int) -> int:
        turn = threaded.turns.append("s-1", role="user", content=str(number))
        return turn.seq

    with ThreadPoolExecutor(THREADS) as pool:
        given = list(pool.map(append, range(320)))

    assert sorted(given) == list(range(1, 321))
    stored = threaded.turns.list("s-1", limit=1000).items
    assert [int(turn.content or "") for turn in stored] == sorted(
        range(320), key=given.__getitem__
    )


def test_of_sixteen_threads_one_creates_the_session(threaded: blocking.Store) -> None:
    start = threading.Barrier(THREADS)

    def create(_: int) -> bool:
        start.wait()
        return threaded.sessions.get_or_create("s-2")[1]

    with ThreadPoolExecutor(THREADS) as pool:
        created = list(pool.map(create, range(THREADS)))

    assert created.count(True) == 1


def test_threads_patch_items_and_apply_steps(threaded: blocking.Store) -> None:
    chat = threaded.conversation("s-1", user_id="u-1")

    def step(number: int) -> None:
        name = str(number)
        chat.apply(
            turns=[{"role": "user", "content": name, "external_id": name}],
            adapter_state={"agent": {name: 1}},
        )
        chat.items.patch("step", "all", {name: 1})
        threaded.items.patch("seen", "u-1", {name: 1}, user_id="u-1")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(step, range(THREADS)))

    names = set(map(str, range(THREADS)))
    assert set(_contents(threaded)) == names
    assert (chat.adapter_state("agent") or {}).keys() == names
    assert chat.items.get("step", "all").value.keys() == names
    assert [item.value.keys() for item in threaded.items.list("seen").items] == [names]
    assert threaded.items.find("step", "all") is None


async def test_every_verb_has_a_blocking_twin(database_url: str, store: Store) -> None:
    with blocking.open_store(StoreConfig(url=database_url)) as threaded:
        verbs = {n for n in dir(store) if n[0] != "_"}
        assert set(dir(threaded)) == {*verbs, "awaitable"}
        for noun in ("sessions", "turns", "interactions", "graph_states", "holds"):
            twin, original = getattr(threaded, noun), getattr(store, noun)
            verbs = {name for name in dir(original) if not name.startswith("_")}
            assert set(dir(twin)) == verbs
            assert all(callable(getattr(twin, verb)) for verb in verbs)


def test_a_conversation_and_a_tenant_are_blocking_too(threaded: blocking.Store) -> None:
    chat = threaded.for_tenant("acme").conversation("s-1", user_id="u-1")
    chat.append_system_message("opened the map")
    chat.add_exchange("Where?", "Here.")

    assert [m["role"] for m in chat.history()] == ["system", "user", "assistant"]
    assert _contents(threaded) == []


def test_an_error_comes_with_the_place_where_it_was_raised(
    threaded: blocking.Store,
) -> None:
    with pytest.raises(SessionNotFoundError) as caught:
        threaded.turns.append("absent", role="user", content="x")

    assert "convstore/repositories/turns.py" in "".join(traceback.format_tb(caught.tb))


# Transactions


def test_a_transaction_commits_all_of_its_writes(threaded: blocking.Store) -> None:
    with threaded.transaction() as tx:
        tx.turns.append("s-1", role="user", content="one")
        tx.graph_states.put("s-1", {"nodes": []}, expected_version=0)
        tx.turns.append("s-1", role="assistant", content="two")

    assert _contents(threaded) == ["one", "two"]
    assert threaded.graph_states.get("s-1").version == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_undoes_it_and_passes_on(
    threaded: blocking.Store, error: type[BaseException]
) -> None:
    def append_and_fail() -> None:
        with threaded.transaction() as tx:
            tx.turns.append("s-1", role="user", content="gone")
            raise error

    with pytest.raises(error):
        append_and_fail()

    threaded.turns.append("s-1", role="user", content="kept")
    assert _contents(threaded) == ["kept"]


def test_a_generator_closed_inside_a_transaction_undoes_it(
    threaded: blocking.Store,
) -> None:
    def program() -> Iterator[None]:
        with threaded.transaction() as tx:
            tx.turns.append("s-1", role="user", content="gone")
            yield

    running = program()
    next(running)
    running.close()  # type: ignore[attr-defined]

    threaded.turns.append("s-1", role="user", content="kept")
    assert _contents(threaded) == ["kept"]


def test_transactions_of_many_threads_follow_one_another(
    threaded: blocking.Store,
) -> None:
    def two(number: int) -> None:
        with threaded.transaction() as tx:
            tx.turns.append("s-1", role="user", content=f"{number}")
            tx.turns.append("s-1", role="assistant", content=f"{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(two, range(24)))

    contents = _contents(threaded)
    assert len(contents) == 48
    assert contents[::2] == contents[1::2]


def test_a_write_outside_by_the_thread_that_holds_one_is_refused(
    threaded: blocking.Store,
) -> None:
    with threaded.transaction() as tx:
        with pytest.raises(ConfigError, match=r"tx\.turns"):
            threaded.turns.append("s-1", role="user", content="outside")
        with pytest.raises(ConfigError), threaded.transaction():
            pass
        tx.turns.append("s-1", role="user", content="inside")

    threaded.turns.append("s-1", role="user", content="after")
    assert _contents(threaded) == ["inside", "after"]


def test_a_write_outside_by_another_thread_waits_for_its_end(
    threaded: blocking.Store,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with threaded.transaction() as tx:
            tx.turns.append("s-1", role="user", content="first")
            waiting = pool.submit(
                threaded.turns.append, "s-1", role="user", content="second"
            )
        assert waiting.result().seq == 2

    assert _contents(threaded) == ["first", "second"]


def test_a_transaction_cannot_be_used_after_its_block(threaded: blocking.Store) -> None:
    with threaded.transaction() as tx:
        pass

    with pytest.raises(ConfigError, match="over"):
        tx.turns.append("s-1", role="user", content="late")
    assert _contents(threaded) == []


# The thread and its end


def test_a_callback_that_uses_the_store_is_refused_and_not_hung(
    threaded: blocking.Store,
) -> None:
    threaded.turns.append("s-1", role="user", content="x")

    with pytest.raises(ConfigError, match="callback"):
        threaded.turns.window(
            "s-1", max_tokens=5, count_tokens=lambda _: len(_contents(threaded))
        )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, StopAsyncIteration])
def test_an_error_of_a_callback_reaches_the_caller_and_spares_the_loop(
    threaded: blocking.Store, error: type[BaseException]
) -> None:
    threaded.turns.append("s-1", role="user", content="x")

    def fail(_: object) -> int:
        raise error

    with pytest.raises(error):
        threaded.turns.window("s-1", max_tokens=5, count_tokens=fail)
    assert _contents(threaded) == ["x"]


def test_closing_twice_is_closing_once(sqlite_url: str) -> None:
    with blocking.open_store(sqlite_url) as store:
        store.close()
        store.close()
        with pytest.raises(StoreClosedError):
            store.sessions.find("s-1")
    store.close()

    with pytest.raises(StoreClosedError):
        store.sessions.find("s-1")
    assert not [t for t in threading.enumerate() if t.name == "convstore"]


def test_a_store_that_cannot_be_opened_leaves_no_thread() -> None:
    with pytest.raises(ConfigError), blocking.open_store("mysql://localhost/x"):
        pass

    assert not [t for t in threading.enumerate() if t.name == "convstore"]


FORK = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside a thread
from convstore import ConfigError, blocking
with blocking.open_store(sys.argv[1]) as store:
    store.sessions.get_or_create("s-1")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            store.sessions.get("s-1")
        except ConfigError as error:
            os.write(writer, str(error).encode())
        finally:
            store.close()
            os._exit(0)
    os.waitpid(child, 0)
    report(os.read(reader, 1000).decode())
    report(store.turns.append("s-1", role="user", content="x").seq)
"""


def test_a_forked_child_is_told_to_open_its_own_store(
    sqlite_url: str, run_processes: Callable[..., list[list[Any]]]
) -> None:
    ((message, seq),) = run_processes(1, FORK, sqlite_url)

    assert "forked" in message
    assert "each process" in message
    assert seq == 1


INTERRUPTED = """
import sqlite3, sys
from convstore import blocking
url = sys.argv[1]
with blocking.open_store(url) as store:
    store.sessions.get_or_create("s-1")
    blocker = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        report("waiting for the lock")
        store.turns.append("s-1", role="user", content="maybe")
    except KeyboardInterrupt:
        report("interrupted")
    blocker.execute("ROLLBACK")
    blocker.close()
    store.turns.append("s-1", role="user", content="after")
    report([turn.content for turn in store.turns.window("s-1")])
"""


def test_ctrl_c_ends_the_wait_and_leaves_the_store_usable(
    sqlite_url: str, start_process: Callable[..., Process]
) -> None:
    process = start_process(INTERRUPTED, sqlite_url)
    reports = process.reports()
    assert next(reports) == "waiting for the lock"

    process.signal(signal.SIGINT)

    assert next(reports) == "interrupted"
    assert next(reports) in (["after"], ["maybe", "after"])
    assert process.finish() == 0, process.errors()


# What the store's verbs may give, whichever they are


async def _numbers(events: list[str]) -> AsyncIterator[int]:
    try:
        for number in range(3):
            yield number
    finally:
        events.append("closed")


def test_an_asynchronous_generator_becomes_an_iterator() -> None:
    events: list[str] = []

    with Loop() as loop:
        assert list(blocking_twin(loop, _numbers(events))) == [0, 1, 2]
    assert events == ["closed"]


def test_an_iterator_left_early_closes_its_generator() -> None:
    events: list[str] = []

    with Loop() as loop:
        iterator = blocking_twin(loop, _numbers(events))
        assert next(iterator) == 0
        del iterator
        gc.collect()
        loop.run(_nothing())
    assert events == ["closed"]


async def _nothing() -> None:
    return None


def test_a_context_manager_is_entered_and_left_in_one_task() -> None:
    import asyncio

    tasks = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[int]:
        tasks.append(asyncio.current_task())
        yield 1
        tasks.append(asyncio.current_task())

    with Loop() as loop, blocking_twin(loop, manager()) as value:
        assert value == 1
    assert tasks[0] is tasks[1]
