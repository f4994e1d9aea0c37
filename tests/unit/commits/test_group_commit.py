"""Group commit against a flush that the test lets through, one batch at a time."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from convstore.commits.group_commit import GroupCommit
from convstore.errors import (
    ConvstoreError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    InvalidInputError,
    StoreClosedError,
)
from convstore.vocabulary.limits import Limits


@dataclass
class _Write:
    name: str
    session: str = "s-1"
    size: int = 1
    poisons: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return "default", self.session

    def apply(self, unit: Any, /) -> str:
        return self.name


@dataclass(frozen=True)
class _Result:
    value: Any = None
    error: ConvstoreError | None = None
    held: bool = False


@dataclass
class _Database:
    """Commits a batch when the test says so."""

    batches: list[list[str]] = field(default_factory=list)
    open: bool = True
    gates: deque[asyncio.Event] = field(default_factory=deque)
    failures: list[Exception] = field(default_factory=list)
    held: set[str] = field(default_factory=set)

    async def flush(self, writes: Sequence[_Write]) -> list[_Result]:
        self.batches.append([write.name for write in writes])
        if not self.open:
            gate = asyncio.Event()
            self.gates.append(gate)
            await gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if any(write.poisons for write in writes):
            raise ValueError("poison")
        return [
            _Result(error=InvalidInputError("x", "is refused"))
            if write.name == "refused"
            else _Result(held=True)
            if write.session in self.held
            else _Result(write.name)
            for write in writes
        ]

    async def let_through(self) -> None:
        """Let the batch in flight be committed, once there is one."""
        await _settle()
        self.gates.popleft().set()
        await _settle()


async def _settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def _group(database: _Database, **limits: Any) -> GroupCommit:
    return GroupCommit(database.flush, 1, Limits(**limits))  # type: ignore[arg-type]


async def test_a_lone_writer_is_committed_at_once_and_alone() -> None:
    database = _Database()
    group = _group(database)

    for number in range(5):
        assert await group.submit(_Write(str(number))) == str(number)

    assert database.batches == [["0"], ["1"], ["2"], ["3"], ["4"]]
    assert (group.stats.commits, group.stats.writes) == (5, 5)
    await group.close()


async def test_what_gathers_while_a_commit_is_in_flight_goes_down_next() -> None:
    database = _Database(open=False)
    group = _group(database)
    writing = [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}"))) for i in range(1)
    ]
    await _settle()
    writing += [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}"))) for i in range(1, 9)
    ]
    await database.let_through()
    await database.let_through()

    assert await asyncio.gather(*writing) == [str(i) for i in range(9)]
    assert database.batches == [["0"], [str(i) for i in range(1, 9)]]
    assert group.stats.largest_batch == 8
    await group.close()


async def test_nobody_wakes_before_the_commit_is_done() -> None:
    database = _Database(open=False)
    group = _group(database)
    writing = asyncio.create_task(group.submit(_Write("a")))
    await _settle()

    assert not writing.done()
    await database.let_through()
    assert writing.done()
    await group.close()


async def test_writes_of_one_session_keep_their_order() -> None:
    database = _Database()
    group = GroupCommit(database.flush, 4, Limits())  # type: ignore[arg-type]

    await asyncio.gather(
        *(group.submit(_Write(f"{i}", f"s-{i % 3}")) for i in range(60))
    )

    flat = [name for batch in database.batches for name in batch]
    for session in range(3):
        own = [int(n) for n in flat if int(n) % 3 == session]
        assert own == sorted(own)
    await group.close()


async def test_what_is_sent_together_is_together_whatever_came_before() -> None:
    database = _Database()
    group = _group(database)

    for count in (3, 8, 2, 8):
        sent = [group.submit(_Write(str(i), f"s-{i}")) for i in range(count)]
        await asyncio.gather(*sent)

    assert [len(batch) for batch in database.batches] == [3, 8, 2, 8]
    await group.close()


async def test_a_flooding_session_does_not_starve_another() -> None:
    """A batch takes one write of each session in turn."""
    database = _Database(open=False)
    group = _group(database, batch_size=4)
    flood = [asyncio.create_task(group.submit(_Write(f"f{i}"))) for i in range(20)]
    await _settle()
    other = asyncio.create_task(group.submit(_Write("other", "s-2")))
    await database.let_through()
    await database.let_through()

    assert other.done()
    assert "other" in database.batches[1]
    assert sum(task.done() for task in flood) < 10
    database.open = True
    await database.let_through()
    await asyncio.gather(*flood)
    await group.close()


async def test_a_batch_is_bounded_by_count_and_by_bytes() -> None:
    database = _Database(open=False)
    group = _group(database, batch_size=3, batch_bytes=100)
    first = asyncio.create_task(group.submit(_Write("first")))
    await _settle()
    sizes = [10, 10, 10, 10, 60, 60, 500, 10]
    writing = [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}", size)))
        for i, size in enumerate(sizes)
    ]
    database.open = True
    await database.let_through()
    await asyncio.gather(first, *writing)

    assert database.batches[1:] == [
        ["0", "1", "2"], ["3", "4"], ["5"], ["6"], ["7"],
    ]  # fmt: skip
    await group.close()


async def test_a_refused_write_fails_alone() -> None:
    database = _Database(open=False)
    group = _group(database)
    first = asyncio.create_task(group.submit(_Write("first")))
    await _settle()
    names = ["a", "refused", "b"]
    writing = [asyncio.create_task(group.submit(_Write(n, n))) for n in names]
    database.open = True
    await database.let_through()
    done = await asyncio.gather(*writing, return_exceptions=True)

    assert [done[0], done[2]] == ["a", "b"]
    assert isinstance(done[1], InvalidInputError)
    assert len(database.batches) == 2
    await first
    await group.close()


async def test_a_write_that_fails_the_commit_fails_alone() -> None:
    database = _Database(open=False)
    group = _group(database)
    first = asyncio.create_task(group.submit(_Write("first")))
    await _settle()
    writing = [
        asyncio.create_task(group.submit(_Write(n, n, poisons=n == "bad")))
        for n in ("a", "bad", "b")
    ]
    database.open = True
    await database.let_through()
    done = await asyncio.gather(*writing, return_exceptions=True)

    assert [done[0], done[2]] == ["a", "b"]
    assert isinstance(done[1], ValueError)
    await first
    await group.close()


async def test_a_database_that_is_away_fails_the_batch_and_nobody_later() -> None:
    database = _Database(failures=[DatabaseUnavailableError("away")])
    group = _group(database)

    with pytest.raises(DatabaseUnavailableError):
        await group.submit(_Write("a"))

    assert await group.submit(_Write("b")) == "b"
    assert group.stats.commits == 1
    await group.close()


async def test_a_full_queue_makes_callers_wait_and_lets_them_in_later() -> None:
    database = _Database(open=False)
    group = _group(database, queue_size=2, batch_size=1)
    writing = [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}"))) for i in range(6)
    ]
    await _settle()
    assert group.queued() == 2

    database.open = True
    await database.let_through()

    assert await asyncio.gather(*writing) == [str(i) for i in range(6)]
    await group.close()


async def test_a_queue_that_stays_full_gives_busy_and_writes_nothing() -> None:
    database = _Database(open=False)
    group = _group(database, queue_size=1, batch_size=1, busy_timeout_s=0.05)
    first, second = (
        asyncio.create_task(group.submit(_Write(n, n))) for n in ("first", "second")
    )
    await _settle()

    with pytest.raises(DatabaseBusyError) as caught:
        await group.submit(_Write("late", "late"))

    assert caught.value.transient
    database.open = True
    await database.let_through()
    await asyncio.gather(first, second, return_exceptions=True)
    assert "late" not in [name for batch in database.batches for name in batch]
    await group.close()


async def test_a_cancelled_caller_withdraws_what_no_commit_took_up() -> None:
    database = _Database(open=False)
    group = _group(database)
    first = asyncio.create_task(group.submit(_Write("first")))
    await _settle()
    cancelled = asyncio.create_task(group.submit(_Write("cancelled", "s-2")))
    kept = asyncio.create_task(group.submit(_Write("kept", "s-3")))
    await _settle()
    cancelled.cancel()
    database.open = True
    await database.let_through()

    assert await kept == "kept"
    assert await first == "first"
    assert database.batches == [["first"], ["kept"]]
    await group.close()


async def test_a_caller_cancelled_in_flight_leaves_the_batch_whole() -> None:
    database = _Database(open=False)
    group = _group(database)
    first = asyncio.create_task(group.submit(_Write("first")))
    await _settle()
    first.cancel()
    await _settle()
    assert first.cancelled()
    database.open = True
    await database.let_through()

    assert await group.submit(_Write("next")) == "next"
    assert group.stats.commits == 2, "it happened, though nobody was told"
    await group.close()


async def test_a_caller_cancelled_while_it_waits_for_a_place_takes_none() -> None:
    database = _Database(open=False)
    group = _group(database, queue_size=1, batch_size=1)
    tasks = [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}"))) for i in range(4)
    ]
    await _settle()
    tasks[2].cancel()
    database.open = True
    await database.let_through()
    done = await asyncio.gather(*tasks, return_exceptions=True)

    assert [d for d in done if isinstance(d, str)] == ["0", "1", "3"]
    assert ["2"] not in database.batches
    await group.close()


async def test_a_place_given_to_a_cancelled_caller_goes_to_the_next() -> None:
    database = _Database(open=False)
    group = _group(database, queue_size=1, batch_size=1)
    tasks = [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}"))) for i in range(4)
    ]
    await _settle()
    # Given the place by the commit that ends now, and cancelled in the same moment.
    database.open = True
    database.gates.popleft().set()
    await asyncio.sleep(0)
    tasks[2].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)

    assert [d for d in done if isinstance(d, str)] in (["0", "1", "3"], list("0123"))
    await group.close()


async def test_a_caller_that_waits_for_a_place_is_not_overtaken() -> None:
    database = _Database(open=False)
    group = _group(database, queue_size=1, batch_size=1)
    tasks = [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}"))) for i in range(5)
    ]
    for number in range(5):
        await database.let_through()
        tasks.append(asyncio.create_task(group.submit(_Write("late", f"l-{number}"))))
    database.open = True
    await database.let_through()
    await asyncio.gather(*tasks)

    assert [b for [b] in database.batches][:5] == list("01234")
    await group.close()


async def test_closing_finishes_what_is_queued_and_takes_no_more() -> None:
    database = _Database(open=False)
    group = _group(database)
    writing = [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}"))) for i in range(5)
    ]
    await _settle()
    closing = asyncio.create_task(group.close())
    await _settle()
    assert not closing.done()
    with pytest.raises(StoreClosedError):
        await group.submit(_Write("late"))
    database.open = True
    await database.let_through()
    await closing
    await group.close()

    assert await asyncio.gather(*writing) == [str(i) for i in range(5)]
    assert len(asyncio.all_tasks()) == 1


async def test_closing_turns_away_those_that_wait_for_a_place() -> None:
    database = _Database(open=False)
    group = _group(database, queue_size=1, batch_size=1)
    tasks = [
        asyncio.create_task(group.submit(_Write(str(i), f"s-{i}"))) for i in range(4)
    ]
    await _settle()
    closing = asyncio.create_task(group.close())
    database.open = True
    await database.let_through()
    await closing

    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert done[:2] == ["0", "1"]
    assert all(isinstance(d, StoreClosedError | str) for d in done)


async def test_a_group_that_was_never_used_closes() -> None:
    await _group(_Database()).close()


async def test_closing_that_is_cancelled_leaves_no_caller_waiting() -> None:
    database = _Database(open=False)
    group = _group(database, batch_size=1)
    writing = [asyncio.create_task(group.submit(_Write(name, name))) for name in "ab"]
    await _settle()
    closing = asyncio.create_task(group.close())
    await _settle()

    closing.cancel()
    async with asyncio.timeout(120):
        in_flight, queued = await asyncio.gather(*writing, return_exceptions=True)

    assert isinstance(in_flight, DatabaseUnavailableError), "its outcome is unknown"
    assert isinstance(queued, StoreClosedError)
    await asyncio.wait([closing])


async def test_writes_of_a_session_that_is_held_wait_and_the_others_do_not() -> None:
    database = _Database(held={"held"})
    group = _group(database)
    waiting = [
        asyncio.create_task(group.submit(_Write(name, "held"))) for name in ("1", "2")
    ]

    for number in range(10):
        assert await group.submit(_Write(f"free-{number}", "free"))
    assert not any(task.done() for task in waiting)
    assert (group.stats.writes, group.queued()) == (10, 2)

    database.held.clear()
    assert await asyncio.gather(*waiting) == ["1", "2"]
    await group.close()


async def test_what_comes_behind_a_held_write_does_not_overtake_it() -> None:
    database = _Database(held={"held"})
    group = _group(database, batch_size=2)
    told: list[str] = []

    async def write(name: str) -> None:
        told.append(await group.submit(_Write(name, "held")))

    tasks = []
    for number in range(8):
        tasks.append(asyncio.create_task(write(str(number))))
        await group.submit(_Write("x", "free"))
    database.held.clear()
    tasks.append(asyncio.create_task(write("8")))
    await asyncio.gather(*tasks)

    assert told == [str(number) for number in range(9)]
    await group.close()


async def test_a_held_write_is_given_up_when_its_time_is_over() -> None:
    database = _Database(held={"held"})
    group = _group(database, busy_timeout_s=0.05)
    waiting = asyncio.create_task(group.submit(_Write("late", "held")))
    async with asyncio.timeout(120):
        with pytest.raises(DatabaseBusyError, match="another transaction"):
            await waiting

    assert group.queued() == 0
    assert await group.submit(_Write("x", "free")) == "x"
    await group.close()


async def test_a_caller_that_gives_up_on_a_held_write_takes_no_place() -> None:
    database = _Database(held={"held"})
    group = _group(database)
    first, second = (
        asyncio.create_task(group.submit(_Write(name, "held"))) for name in "ab"
    )
    await group.submit(_Write("x", "free"))
    first.cancel()
    database.held.clear()

    assert await second == "b"
    assert (first.cancelled(), group.queued()) == (True, 0)
    await group.close()


async def test_after_a_failed_commit_a_held_write_is_not_overtaken_either() -> None:
    database = _Database(open=False, held={"held"})
    group = _group(database)
    names = [("a", "held"), ("bad", "other"), ("b", "held")]
    first = asyncio.create_task(group.submit(_Write("first")))
    await _settle()
    told: list[str] = []

    async def write(name: str, session: str) -> None:
        told.append(await group.submit(_Write(name, session, poisons=name == "bad")))

    tasks = [asyncio.create_task(write(*each)) for each in names]
    await database.let_through()
    await database.let_through()  # the batch of three, which fails
    await database.let_through()  # "a" alone, which is held
    database.held.clear()
    database.open = True
    await database.let_through()
    await asyncio.wait([first, *tasks])

    assert told == ["a", "b"]
    assert isinstance(tasks[1].exception(), ValueError)
    await group.close()


async def test_closing_waits_for_what_is_held() -> None:
    database = _Database(held={"held"})
    group = _group(database)
    waiting = asyncio.create_task(group.submit(_Write("a", "held")))
    await group.submit(_Write("x", "free"))
    closing = asyncio.create_task(group.close())
    await _settle()
    assert not closing.done()

    database.held.clear()
    await closing

    assert waiting.result() == "a"


async def test_closing_that_is_cancelled_turns_held_writes_away() -> None:
    database = _Database(held={"held"})
    group = _group(database)
    waiting = asyncio.create_task(group.submit(_Write("a", "held")))
    await group.submit(_Write("x", "free"))
    closing = asyncio.create_task(group.close())
    await _settle()

    closing.cancel()
    with pytest.raises(StoreClosedError):
        await waiting
    await asyncio.wait([closing])
