"""Several processes on one database: nothing lost, no gap, no order broken."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from convstore import Store
from tests.integration.conversations import contents, every_page, say
from tests.processes import Process

Run = Callable[..., list[list[Any]]]

OPEN = """
import asyncio, sys
from convstore import StoreConfig, VersionConflictError, open_store
async def with_store(work):
    config = StoreConfig(url=sys.argv[1], limits={"busy_timeout_s": 120})
    async with open_store(config) as store:
        wait_for_all()
        await work(store)
"""

APPEND = (
    OPEN
    + """
async def work(store):
    async def append(number):
        turn = await store.turns.append(
            "s-1" if number % 2 else f"own-{INDEX}",
            role="user", content=f"{INDEX}:{number}",
        )
        report([number, turn.seq])
    for start in range(0, int(sys.argv[2]), 10):
        await asyncio.gather(*(append(start + i) for i in range(10)))
asyncio.run(with_store(work))
"""
)


@pytest.mark.slow
async def test_eight_processes_append_without_error_gap_or_loss(
    store: Store, database_url: str, run_processes: Run
) -> None:
    """Half of the turns go to one session of all, half to a session of each."""
    count = 500
    for name in ("s-1", *(f"own-{i}" for i in range(8))):
        await store.sessions.get_or_create(name)

    reported = run_processes(8, APPEND, database_url, count, together=True)

    shared = await every_page(store.turns.list, "s-1", limit=1000)
    assert [t.seq for t in shared] == list(range(1, 8 * count // 2 + 1))
    assert [t.parent_seq for t in shared] == [None, *range(1, len(shared))]
    for index, acknowledged in enumerate(reported):
        own = await every_page(store.turns.list, f"own-{index}", limit=1000)
        assert [t.seq for t in own] == list(range(1, count // 2 + 1))
        for number, seq in acknowledged:
            turn = (shared if number % 2 else own)[seq - 1]
            assert turn.content == f"{index}:{number}"
        assert len(acknowledged) == count


CREATE = (
    OPEN
    + """
async def work(store):
    made = await asyncio.gather(
        *(store.sessions.get_or_create(f"s-{i % 10}") for i in range(50))
    )
    for session, created in made:
        report([session.id, session.created_at.isoformat(), created])
asyncio.run(with_store(work))
"""
)


@pytest.mark.mostly_slow("postgres")
async def test_of_several_processes_one_caller_creates_each_session(
    database_url: str, run_processes: Run, store: Store
) -> None:
    each = run_processes(4, CREATE, database_url, together=True)

    reported = [made for one in each for made in one]
    creators = [session_id for session_id, _, created in reported if created]
    assert sorted(creators) == [f"s-{i}" for i in range(10)]
    assert len({(session_id, at) for session_id, at, _ in reported}) == 10


COUNT_UP = (
    OPEN
    + """
async def work(store):
    done = conflicts = 0
    while done < int(sys.argv[2]):
        latest = await store.graph_states.get("s-1")
        session = await store.sessions.get("s-1")
        try:
            await store.graph_states.put(
                "s-1", {"n": latest.state["n"] + 1}, expected_version=latest.version
            )
            done += 1
        except VersionConflictError:
            conflicts += 1
    report(conflicts)
asyncio.run(with_store(work))
"""
)


@pytest.mark.mostly_slow("sqlite")
async def test_processes_that_count_up_one_graph_state_lose_no_update(
    store: Store, database_url: str, run_processes: Run
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.graph_states.put("s-1", {"n": 0})

    run_processes(3, COUNT_UP, database_url, 20, together=True)

    latest = await store.graph_states.get("s-1")
    assert latest.state == {"n": 60}
    assert latest.version == 61


REPEAT = (
    OPEN
    + """
async def work(store):
    for number in range(40):
        turn = await store.turns.append(
            "s-1", role="user", content=str(number), external_id=f"m-{number}"
        )
        report(turn.seq)
asyncio.run(with_store(work))
"""
)


@pytest.mark.mostly_slow("postgres")
async def test_processes_that_repeat_the_same_appends_add_each_once(
    store: Store, database_url: str, run_processes: Run
) -> None:
    await store.sessions.get_or_create("s-1")

    reported = run_processes(3, REPEAT, database_url, together=True)

    assert all(seqs == reported[0] for seqs in reported)
    assert len(await contents(store, "s-1")) == 40


POLL = (
    OPEN
    + """
async def work(store):
    reads = 0
    earlier = []
    while len(earlier) < int(sys.argv[2]):
        turns = [t.content for t in await store.turns.window("s-1", limit=10_000)]
        if turns[: len(earlier)] != earlier:
            report(["not a prefix", len(earlier), len(turns)])
            return
        earlier = turns
        reads += 1
    report(["all prefixes", reads])
asyncio.run(with_store(work))
"""
)


async def test_a_polling_reader_sees_only_prefixes_while_sixteen_write(
    store: Store,
    database_url: str,
    start_process: Callable[..., Process],
    open_another: Callable[..., Awaitable[Store]],
) -> None:
    import asyncio

    writers = [store, await open_another()]
    await store.sessions.get_or_create("s-1")
    reader = start_process(POLL, database_url, 16 * 40)
    await asyncio.to_thread(reader.wait_until_waiting)
    reader.release()

    async def write(writer: int) -> None:
        for number in range(40):
            await writers[writer % 2].turns.append(
                "s-1", role="user", content=f"{writer}:{number}"
            )

    await asyncio.gather(*(write(i) for i in range(16)))
    reports = await asyncio.to_thread(lambda: list(reader.reports()))

    assert [report[0] for report in reports] == ["all prefixes"], reader.errors()
    assert await asyncio.to_thread(reader.finish) == 0
    turns = await contents(store, "s-1")
    for writer in range(16):
        own = [int(t.split(":")[1]) for t in turns if t.startswith(f"{writer}:")]
        assert own == list(range(40)), "each writer's own order is kept"


OPEN_NEW = """
import asyncio, sys
from convstore import open_store
async def main():
    wait_for_all()
    async with open_store(sys.argv[1]) as store:
        await store.sessions.get_or_create(f"s-{INDEX}")
        report(await store.sessions.count() >= 1)
asyncio.run(main())
"""


async def test_processes_that_open_one_new_file_at_once_all_succeed(
    tmp_path: Any, run_processes: Run
) -> None:
    from convstore import open_store

    url = f"sqlite:///{tmp_path / 'new.db'}"

    run_processes(4, OPEN_NEW, url, together=True)

    async with open_store(url) as store:
        await say(store, "s-1", "x")
        assert await store.sessions.count() == 4
