"""A session that another transaction holds: its writes wait, and nobody else's do.

One lane, so that every write would stand behind the one that waits. SQLite has one
writer, and no session that is held while another is free.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest

from convstore import DatabaseBusyError, Store
from tests.integration.archives import (
    OpenAnother,
    Steps,
    policy,
    segment_files,
    states,
)
from tests.integration.conversations import contents, say

T = TypeVar("T")
Hold = Callable[[str], Awaitable[asyncpg.transaction.Transaction]]

# Longer than anything here takes, shorter than a write waits before it gives up.
SOON_S = 120


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
async def store(open_another: OpenAnother) -> Store:
    """A store with one lane that has written to three sessions."""
    store = await open_another(lanes=1)
    for name in ("held", "free-1", "free-2"):
        await say(store, name, "one")
    return store


@pytest.fixture
async def hold(postgres_url: str) -> AsyncIterator[Hold]:
    """Locks a session's row until the transaction that it gives is ended."""
    connection = await asyncpg.connect(postgres_url)

    async def lock(session_id: str) -> asyncpg.transaction.Transaction:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "SELECT 1 FROM sessions WHERE session_id = $1 FOR UPDATE", session_id
        )
        return transaction

    yield lock
    await connection.close()


async def soon(work: Awaitable[T]) -> T:
    """What `work` gives, without having waited for the lock."""
    async with asyncio.timeout(SOON_S):
        return await work


def begin(store: Store, session_id: str, *texts: str) -> list[asyncio.Task[object]]:
    """Appends of several callers, in this order."""
    return [
        asyncio.create_task(
            store.turns.append(session_id, role="user", content=text)  # type: ignore[arg-type]
        )
        for text in texts
    ]


async def test_appends_to_other_sessions_pass_by_a_held_one(
    store: Store, hold: Hold
) -> None:
    lock = await hold("held")
    waiting = begin(store, "held", "two", "three")

    for number in range(3):
        await soon(
            asyncio.gather(
                *begin(store, "free-1", f"a{number}"),
                *begin(store, "free-2", f"b{number}"),
            )
        )
    assert not any(task.done() for task in waiting)

    await lock.rollback()
    await soon(asyncio.gather(*waiting))
    assert await contents(store, "held") == ["one", "two", "three"]
    assert await contents(store, "free-1") == ["one", "a0", "a1", "a2"]


async def test_writes_of_every_kind_pass_by_a_held_session(
    store: Store, hold: Hold
) -> None:
    """Those that no remembered head is enough for, and those that make a session."""
    lock = await hold("held")
    waiting = begin(store, "held", "two")

    await soon(
        asyncio.gather(
            store.graph_states.put("free-1", {"n": 1}),
            store.interactions.record("free-2", action="feedback", feedback="correct"),
            store.conversation("new").append(role="user", content="first"),
        )
    )
    assert not waiting[0].done()

    await lock.rollback()
    await soon(waiting[0])
    assert await contents(store, "new") == ["first"]


async def test_writes_of_a_held_session_keep_their_order(
    store: Store, hold: Hold
) -> None:
    """Those of before it was held for the lane, and those that came while it was."""
    texts = [f"t{number}" for number in range(40)]
    lock = await hold("held")
    waiting = []
    for start in range(0, 40, 10):
        waiting += begin(store, "held", *texts[start : start + 10])
        await soon(asyncio.gather(*begin(store, "free-1", "x")))

    await lock.rollback()
    waiting += begin(store, "held", "last")
    await soon(asyncio.gather(*waiting))

    assert await contents(store, "held") == ["one", *texts, "last"]


async def test_several_sessions_are_held_and_each_goes_on_when_it_is_free(
    store: Store, hold: Hold, open_another: OpenAnother
) -> None:
    other = await open_another()
    lock = await hold("held")
    async with other.transaction() as tx:
        await tx.turns.append("free-1", role="user", content="theirs")
        first, second = begin(store, "held", "two") + begin(store, "free-1", "two")
        await soon(asyncio.gather(*begin(store, "free-2", "two")))
        assert not any(task.done() for task in (first, second))

    await soon(second)
    assert not first.done()
    await lock.rollback()
    await soon(first)
    assert await contents(store, "free-1") == ["one", "theirs", "two"]


@pytest.mark.slow
async def test_a_session_that_stays_held_gives_busy_and_nothing_is_written(
    open_another: OpenAnother, store: Store, hold: Hold
) -> None:
    hasty = await open_another(lanes=1, limits={"busy_timeout_s": 3})
    lock = await hold("held")

    failing = begin(hasty, "held", "two", "three")
    await soon(asyncio.gather(*begin(hasty, "free-1", "two")))
    failed = await soon(asyncio.gather(*failing, return_exceptions=True))

    assert [type(each) for each in failed] == [DatabaseBusyError] * 2
    assert "another transaction" in str(failed[0])
    await lock.rollback()
    await say(hasty, "held", "after")
    assert await contents(store, "held") == ["one", "after"]


async def test_a_caller_that_gives_up_on_a_held_session_has_written_nothing(
    store: Store, hold: Hold
) -> None:
    lock = await hold("held")
    one, two, three = begin(store, "held", "two", "given up", "three")
    await soon(asyncio.gather(*begin(store, "free-1", "x", "y")))

    two.cancel()
    await lock.rollback()
    await soon(asyncio.gather(one, three))

    assert two.cancelled()
    assert await contents(store, "held") == ["one", "two", "three"]


async def test_a_repeat_on_a_held_session_has_one_effect(
    store: Store, hold: Hold
) -> None:
    async def append() -> int:
        turn = await store.turns.append(
            "held", role="user", content="x", external_id="m-1"
        )
        return turn.seq

    lock = await hold("held")
    waiting = [asyncio.create_task(append()) for _ in range(10)]
    await soon(asyncio.gather(*begin(store, "free-1", "x")))
    await lock.rollback()

    assert await soon(asyncio.gather(*waiting)) == [2] * 10
    assert await contents(store, "held") == ["one", "x"]


@pytest.mark.parametrize("ends_well", [True, False])
async def test_a_session_that_is_being_made_is_waited_for_alone(
    store: Store, open_another: OpenAnother, ends_well: bool
) -> None:
    """Its row cannot be locked: nobody sees it yet."""
    other = await open_another()

    async def make() -> None:
        async with other.transaction() as tx:
            await tx.sessions.get_or_create("made", user_id="u-1")
            making.set()
            await enough.wait()
            if not ends_well:
                raise ZeroDivisionError

    making, enough = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(make())
    await soon(making.wait())
    waiting = asyncio.create_task(store.sessions.get_or_create("made"))
    await soon(asyncio.gather(*begin(store, "free-1", "x", "y")))
    await soon(store.sessions.get_or_create("another"))
    assert not waiting.done()

    enough.set()
    await soon(asyncio.wait([task]))
    session, created = await soon(waiting)

    assert (session.user_id, created) == (("u-1", False) if ends_well else (None, True))
    task.exception()


async def test_an_archived_session_that_is_held_is_restored_when_it_is_free(
    store: Store, hold: Hold
) -> None:
    report = await store.run_retention(older_than_s=0)
    assert report.purged == 3
    lock = await hold("held")
    waiting = begin(store, "held", "two")

    await soon(say(store, "free-1", "two"))
    assert not waiting[0].done()

    await lock.rollback()
    await soon(waiting[0])
    assert await contents(store, "held") == ["one", "two"]


async def test_closing_waits_for_the_writes_of_a_held_session(
    store: Store, hold: Hold
) -> None:
    lock = await hold("held")
    waiting = begin(store, "held", "two")
    await soon(asyncio.gather(*begin(store, "free-1", "x")))
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)

    await lock.rollback()
    await soon(closing)

    assert waiting[0].done()
    assert waiting[0].exception() is None


async def test_transactions_that_hold_a_session_by_turns_do_not_starve_a_lane(
    store: Store, open_another: OpenAnother
) -> None:
    """Whenever the lane looks, one of the four has it, and three stand in line."""
    others = [await open_another() for _ in range(4)]
    told = asyncio.Event()

    async def hold_by_turns(other: Store) -> None:
        while not told.is_set():
            async with other.transaction() as tx:
                await tx.turns.append("held", role="user", content="theirs")
                for _ in range(5):  # what a request does in between
                    await tx.turns.window("held", limit=1)

    holders = [asyncio.create_task(hold_by_turns(other)) for other in others]
    try:
        for number in range(5):
            await soon(
                store.turns.append("held", role="user", content=f"ours {number}")
            )
    finally:
        told.set()
        await asyncio.gather(*holders)
    ours = [text for text in await contents(store, "held") if text.startswith("ours")]

    assert ours == [f"ours {number}" for number in range(5)]


async def test_a_session_that_others_wait_for_is_waited_for_by_its_lock(
    store: Store, hold: Hold, postgres_url: str
) -> None:
    """In the database's own line, which is fair, and beside the commits of others."""
    lock = await hold("held")
    waiting = begin(store, "held", "two", "three")
    watcher = await asyncpg.connect(postgres_url)
    try:
        async with asyncio.timeout(SOON_S):
            while not await watcher.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
            ):
                await soon(asyncio.gather(*begin(store, "free-1", "x")))
    finally:
        await watcher.close()
    await soon(asyncio.gather(*begin(store, "free-2", "two")))
    assert not any(task.done() for task in waiting)

    await lock.rollback()
    await soon(asyncio.gather(*waiting))
    assert await contents(store, "held") == ["one", "two", "three"]


async def test_retention_passes_over_a_held_session_and_takes_it_next_time(
    store: Store, hold: Hold
) -> None:
    lock = await hold("held")

    report = await soon(store.run_retention(older_than_s=0))
    await lock.rollback()
    after = await store.run_retention(older_than_s=0)

    assert (report.archived, report.purged, report.held) == (2, 2, 1)
    assert (after.archived, after.purged, after.held) == (1, 1, 0)


async def test_a_session_that_is_held_when_it_is_to_be_purged_is_purged_later(
    open_another: OpenAnother, store: Store, postgres_url: str
) -> None:
    """It is in a sealed segment by then: the next run reads that one again."""
    steps = Steps()
    other = await open_another(on_step=steps)
    with ThreadPoolExecutor(1) as thread:
        loop = asyncio.Runner()

        def run(work: Coroutine[object, object, T]) -> T:
            return thread.submit(loop.run, work).result()

        connection = run(asyncpg.connect(postgres_url))
        lock = "BEGIN; SELECT 1 FROM sessions WHERE session_id = 'held' FOR UPDATE"
        steps.at("purge.begin", lambda: run(connection.execute(lock)))
        report = await soon(other.run_retention(older_than_s=0))
        again = await soon(other.run_retention(older_than_s=0))
        run(connection.close())
        thread.submit(loop.close).result()
    last = await other.run_retention(older_than_s=0)

    assert (report.archived, report.purged, report.held) == (3, 2, 1)
    assert (again.archived, again.recovered, again.held) == (0, 0, 1)
    assert (last.archived, last.recovered, last.held) == (0, 1, 0)
    assert (await states(store))["held"] == "archived"


async def test_a_session_that_a_transaction_writes_to_does_not_keep_others_here(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()

    async with other.transaction() as tx:
        await tx.turns.append("held", role="user", content="theirs")
        report = await soon(store.run_retention(older_than_s=0))

    assert (report.archived, report.purged, report.held) == (2, 2, 1)
    assert await contents(store, "held") == ["one", "theirs"]


@pytest.mark.slow
async def test_an_archive_that_is_due_and_held_expires_next_time(
    store: Store, open_another: OpenAnother, hold: Hold, archive_dir: Path
) -> None:
    other = await open_another(retention=policy(keep_archive_for_s=0.0))
    assert (await store.run_retention(older_than_s=0)).purged == 3
    lock = await hold("held")

    report = await soon(other.run_retention())
    await lock.rollback()
    after = await other.run_retention()

    assert (report.archives_expired, report.held) == (2, 1)
    assert (after.archives_expired, after.held) == (1, 0)
    assert (await states(store))["free-1"] == "deleted"
    assert segment_files(archive_dir) == []


async def test_deleting_a_held_session_waits_for_it(store: Store, hold: Hold) -> None:
    lock = await hold("held")
    deleting = asyncio.create_task(store.sessions.delete("held"))
    await soon(asyncio.gather(*begin(store, "free-1", "x")))
    assert not deleting.done()

    await lock.rollback()
    await soon(deleting)

    assert (await states(store))["held"] == "deleted"
