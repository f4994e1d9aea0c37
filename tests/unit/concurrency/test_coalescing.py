"""Callers who wait together are asked for together, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from convstore.concurrency.coalescing import Coalescer


class Oracle:
    """Doubles numbers once it is let; remembers what it was asked in one go."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.error: BaseException | None = None
        self.let = asyncio.Event()
        self.let.set()
        self.began = asyncio.Event()

    async def ask(self, keys: Sequence[int]) -> dict[int, int]:
        self.asked.append(list(keys))
        self.began.set()
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return {key: 2 * key for key in keys}


async def test_who_comes_in_the_same_moment_is_asked_for_in_one_go() -> None:
    oracle = Oracle()
    coalescer = Coalescer(oracle.ask, at_once=4)

    answers = await asyncio.gather(*(coalescer.of(n) for n in (1, 2, 1, 3)))

    assert answers == [2, 4, 2, 6]
    assert oracle.asked == [[1, 2, 3]]


async def test_no_more_are_asked_for_in_one_go_than_the_bound_says() -> None:
    oracle = Oracle()
    coalescer = Coalescer(oracle.ask, at_once=4)

    await asyncio.gather(*(coalescer.of(n) for n in range(10)))

    assert [len(asked) for asked in oracle.asked] == [4, 4, 2]


async def test_who_was_left_out_is_asked_for_again_before_all_others() -> None:
    oracle = Oracle()

    async def some(keys: Sequence[int]) -> dict[int, int]:
        answers = await oracle.ask(keys)
        return {key: answers[key] for key in keys[:2]}

    oracle.let.clear()
    coalescer = Coalescer(some, at_once=3)
    early = [asyncio.ensure_future(coalescer.of(n)) for n in (1, 2, 3)]
    await oracle.began.wait()
    late = [asyncio.ensure_future(coalescer.of(n)) for n in (5, 3, 4)]
    await asyncio.sleep(0)
    oracle.let.set()

    assert await asyncio.gather(*early, *late) == [2, 4, 6, 10, 6, 8]
    assert oracle.asked == [[1, 2, 3], [3, 5, 4], [4]]


async def test_who_comes_while_an_answer_is_on_its_way_is_asked_for_anew() -> None:
    """The answer under way may be of before what the second caller knows."""
    oracle = Oracle()
    oracle.let.clear()
    coalescer = Coalescer(oracle.ask, at_once=4)
    first = asyncio.ensure_future(coalescer.of(1))
    await oracle.began.wait()
    second = asyncio.ensure_future(coalescer.of(1))
    await asyncio.sleep(0)
    oracle.let.set()

    assert await asyncio.gather(first, second) == [2, 2]
    assert oracle.asked == [[1], [1]]


async def test_an_error_is_told_to_all_it_concerns_and_to_no_later_caller() -> None:
    oracle = Oracle()
    oracle.error = LookupError("gone")
    coalescer = Coalescer(oracle.ask, at_once=4)

    told = await asyncio.gather(
        coalescer.of(1), coalescer.of(2), return_exceptions=True
    )
    oracle.error = None

    assert [type(error) for error in told] == [LookupError, LookupError]
    assert await coalescer.of(1) == 2


async def test_a_caller_who_is_cancelled_leaves_the_others_their_answer() -> None:
    oracle = Oracle()
    oracle.let.clear()
    coalescer = Coalescer(oracle.ask, at_once=4)
    first, second = (asyncio.ensure_future(coalescer.of(1)) for _ in range(2))
    await oracle.began.wait()

    first.cancel()
    oracle.let.set()

    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_is_no_ordinary_error_reaches_its_callers_and_only_them() -> None:
    class Ended(BaseException):
        pass

    oracle = Oracle()
    oracle.error = Ended()
    coalescer = Coalescer(oracle.ask, at_once=1)

    with pytest.raises(Ended):
        await coalescer.of(1)
    await coalescer.close()
    oracle.error = None

    assert await coalescer.of(2) == 4


async def test_closing_sees_those_through_who_wait() -> None:
    oracle = Oracle()
    oracle.let.clear()
    coalescer = Coalescer(oracle.ask, at_once=1)
    waiting = [asyncio.ensure_future(coalescer.of(n)) for n in (1, 2)]
    await oracle.began.wait()
    oracle.let.set()

    await coalescer.close()

    assert await asyncio.gather(*waiting) == [2, 4]
    assert len(asyncio.all_tasks()) == 1
    await coalescer.close()


def test_another_event_loop_asks_alone_and_does_not_wait_for_the_first() -> None:
    oracle = Oracle()
    coalescer = Coalescer(oracle.ask, at_once=4)
    first_loop = asyncio.new_event_loop()
    oracle.let = asyncio.Event()
    first = first_loop.create_task(coalescer.of(1))
    first_loop.run_until_complete(asyncio.wait_for(oracle.began.wait(), 120))
    mine, oracle.let = oracle.let, asyncio.Event()
    oracle.let.set()

    assert asyncio.run(asyncio.wait_for(coalescer.of(2), 120)) == 4

    first_loop.call_soon(mine.set)
    assert first_loop.run_until_complete(first) == 2
    first_loop.run_until_complete(coalescer.close())
    first_loop.close()
