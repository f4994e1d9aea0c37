"""Calls of a driver that blocks: in order, by one thread while none takes long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from convstore.db.dialects import driver_thread
from convstore.db.dialects.base import BackendOptions
from convstore.db.dialects.driver_thread import DriverThreads
from convstore.db.engine import open_backend
from convstore.vocabulary.errors import StoreClosedError, UnavailableError
from convstore.vocabulary.limits import Limits

Make = Callable[[int], DriverThreads]
_PATIENCE_S = 120.0


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[DriverThreads] = []

    def threads(most: int) -> DriverThreads:
        made.append(DriverThreads("test", most))
        return made[-1]

    yield threads
    for each in made:
        await asyncio.to_thread(each.close)


async def test_short_calls_are_done_in_order_by_one_thread(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_thread, "_STUCK_S", _PATIENCE_S)
    threads, seen = make(4), []

    def note(number: int) -> int:
        seen.append((number, threading.get_ident()))
        return number

    told = await asyncio.gather(
        *(threads.call(lambda n=number: note(n)) for number in range(500))
    )

    assert told == [number for number, _ in seen] == list(range(500))
    assert len({thread for _, thread in seen}) == 1


async def test_a_call_that_takes_long_keeps_no_other_waiting(make: Make) -> None:
    threads, goes_on = make(2), threading.Event()
    long = threads.call(lambda: goes_on.wait(_PATIENCE_S))

    assert await threads.call(lambda: "short") == "short"
    assert not long.done()
    goes_on.set()
    assert await long


async def test_no_more_threads_are_at_work_than_there_may_be(make: Make) -> None:
    threads, goes_on = make(2), threading.Event()
    begun: list[int] = []
    two = threading.Event()

    def wait(number: int) -> bool:
        begun.append(number)
        if len(begun) == 2:
            two.set()
        return goes_on.wait(_PATIENCE_S)

    calls = [threads.call(lambda n=number: wait(n)) for number in range(3)]
    await asyncio.to_thread(two.wait, _PATIENCE_S)

    assert begun == [0, 1]
    goes_on.set()
    assert await asyncio.gather(*calls) == [True] * 3
    assert begun == [0, 1, 2]


async def test_who_ends_the_threads_waits_for_none_that_nobody_told_to_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call takes long, and another waits when the store is closed: just then it is
    time for a second thread to join in."""
    monkeypatch.setattr(driver_thread, "_STUCK_S", _PATIENCE_S)
    threads, goes_on = make(2), threading.Event()
    long = threads.call(lambda: goes_on.wait(_PATIENCE_S))
    short = threads.call(lambda: "short")
    ending = asyncio.create_task(asyncio.to_thread(threads.close))
    while threads._go.empty() or threads._begun == 0:  # noqa: ASYNC110 - a thread does it
        await asyncio.sleep(0)

    threads._look(asyncio.get_running_loop(), threads._begun)
    goes_on.set()

    async with asyncio.timeout(_PATIENCE_S):
        assert await long
        assert await short == "short"
        await ending
    with pytest.raises(StoreClosedError):
        threads.call(lambda: None)


async def test_a_call_that_came_as_its_thread_came_to_rest_is_done_before_the_end(
    make: Make,
) -> None:
    threads = make(1)
    await threads.call(lambda: "first")
    threads._at_work = 1  # as until the loop is told that the thread rests
    second = threads.call(lambda: "second")

    await asyncio.to_thread(threads.close)

    async with asyncio.timeout(_PATIENCE_S):
        assert await second == "second"


async def test_a_call_for_which_no_thread_starts_is_not_done_later(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller was told that it failed, and may have repeated it by then."""
    threads, done = make(1), []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_none)
        with pytest.raises(UnavailableError, match="threads"):
            threads.call(lambda: done.append("refused"))

    await threads.call(lambda: done.append("asked again"))

    assert done == ["asked again"]


async def test_a_write_for_which_no_thread_starts_keeps_nobody_waiting(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BackendOptions(sqlite_url, 1, "none", Limits(busy_timeout_s=1.0))
    backend = await open_backend(options)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start_none)
            with pytest.raises(UnavailableError, match="threads"):
                await backend.write(lambda connection: None)

        assert await backend.write(lambda connection: "written") == "written"
    finally:
        await backend.close()


def start_none(thread: threading.Thread) -> None:
    """As CPython says it when the system refuses."""
    raise RuntimeError("can't start new thread")


async def test_a_call_is_withdrawn_before_it_has_begun_and_not_after(
    make: Make,
) -> None:
    threads, begun, goes_on = make(1), threading.Event(), threading.Event()
    done: list[str] = []

    def first() -> None:
        begun.set()
        goes_on.wait(_PATIENCE_S)
        done.append("first")

    calls = [threads.call(first), threads.call(lambda: done.append("second"))]
    await asyncio.to_thread(begun.wait, _PATIENCE_S)
    for call in calls:
        call.cancel()
    goes_on.set()
    await threads.call(lambda: done.append("third"))

    assert done == ["first", "third"]


async def test_an_error_is_told_and_the_thread_goes_on(make: Make) -> None:
    threads = make(1)

    with pytest.raises(ZeroDivisionError):
        await threads.call(lambda: 1 / 0)
    assert await threads.call(lambda: 1) == 1


async def test_what_was_asked_for_is_finished_before_the_end() -> None:
    threads, done = DriverThreads("test", 3), []
    calls = [threads.call(lambda n=number: done.append(n)) for number in range(50)]
    await asyncio.to_thread(threads.close)
    await asyncio.to_thread(threads.close)

    await asyncio.gather(*calls)
    assert sorted(done) == list(range(50))
