"""A stream of the event loop, worked on in a thread: bounded, and gone when done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from convstore.concurrency.feed import AT_ONCE, SIZE_AT_ONCE, Feed


class Numbers:
    """An endless stream that knows how far it was read and whether it was closed."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.read, self.closed, self.fail_at = 0, False, fail_at

    async def stream(self, count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                if number == self.fail_at:
                    raise LookupError(number)
                self.read = number + 1
                await asyncio.sleep(0)
                yield number
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, AT_ONCE, 3 * AT_ONCE + 1])
async def test_every_item_arrives_in_order(count: int) -> None:
    numbers = Numbers()

    got = await Feed(numbers.stream(count)).run(list)

    assert got == list(range(count))
    assert numbers.closed


async def test_the_work_is_done_in_another_thread() -> None:
    feed = Feed(Numbers().stream(1))

    thread = await feed.run(lambda _: threading.get_ident())

    assert thread != threading.get_ident()


async def test_little_is_read_ahead() -> None:
    numbers = Numbers()

    def take_one(items: Iterator[int]) -> int:
        next(items)
        return numbers.read

    read = await Feed(numbers.stream(10_000)).run(take_one)

    assert read <= 2 * AT_ONCE
    assert numbers.closed


async def test_an_error_of_the_stream_reaches_the_work_and_the_caller() -> None:
    seen: list[int] = []

    with pytest.raises(LookupError):
        await Feed(Numbers(fail_at=AT_ONCE + 3).stream(99)).run(seen.extend)

    assert seen == list(range(AT_ONCE))


async def test_an_error_of_the_work_closes_the_stream() -> None:
    numbers = Numbers()

    def fail(items: Iterator[int]) -> None:
        raise LookupError(next(items))

    with pytest.raises(LookupError):
        await Feed(numbers.stream(10_000)).run(fail)

    assert numbers.closed


async def test_a_caller_that_is_cancelled_leaves_no_thread_and_no_stream() -> None:
    numbers, loop = Numbers(), asyncio.get_running_loop()
    begun, ended = asyncio.Event(), threading.Event()

    def work(items: Iterator[int]) -> None:
        try:
            for _ in items:
                loop.call_soon_threadsafe(begun.set)
        finally:
            ended.set()

    task = asyncio.create_task(Feed(numbers.stream(10**9)).run(work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()
    assert numbers.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_work_without_items_is_interrupted_where_it_checks() -> None:
    feed = Feed(Numbers().stream(1))
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def work(items: Iterator[int]) -> None:
        list(items)
        loop.call_soon_threadsafe(begun.set)
        while True:
            feed.check()

    task = asyncio.create_task(feed.run(work))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_large_items_are_held_a_few_at_a_time() -> None:
    """As many as fit the bound on their size, and as many again that are read on."""
    numbers, held = Numbers(), []

    def work(items: Iterator[int]) -> int:
        for number in items:
            held.append(numbers.read - number)
        return len(held)

    feed = Feed(numbers.stream(100), size_of=lambda _: SIZE_AT_ONCE // 4)

    assert await feed.run(work) == 100
    assert max(held) <= 8
