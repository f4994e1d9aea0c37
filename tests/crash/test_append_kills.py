"""kill -9 of a writing process at random moments: every acknowledged turn is there.

The normal run kills some dozen times; CONVSTORE_TEST_KILLS=1000 is the long run, and
CONVSTORE_TEST_SEED deals other moments.
"""

import asyncio
import os
import random
import threading
from collections.abc import Callable

import pytest

from convstore import StoreConfig, open_store
from tests.integration.conversations import every_page
from tests.processes import Process

KILLS = int(os.environ.get("CONVSTORE_TEST_KILLS", "8"))
SEED = int(os.environ.get("CONVSTORE_TEST_SEED", "7"))

WRITE = """
import asyncio, sys
from convstore import StoreConfig, open_store
async def write(store, session_id, number):
    while True:
        number += 1
        name = f"{sys.argv[2]}-{number}"
        turn = await store.turns.append(
            session_id, role="user", content=name * 50, external_id=name,
            slots={session_id: name},
        )
        await store.interactions.add_feedback(
            session_id, turn_seq=turn.seq, feedback="up", external_id=name
        )
        # One write of the pipe each: a line is there whole, or not at all.
        report([session_id, turn.seq, name])
async def main():
    async with open_store(StoreConfig(url=sys.argv[1])) as store:
        for i in range(4):
            await store.sessions.get_or_create(f"s-{i}")
        wait_for_all()
        await asyncio.gather(*(write(store, f"s-{i}", 1000 * i) for i in range(4)))
asyncio.run(main())
"""


def _kill_one(
    start: Callable[..., Process], url: str, life: int, delay_s: float | None
) -> list[list[object]]:
    """Let a process write for so long, or until it has acknowledged a turn, kill it,
    and return what it acknowledged."""
    process = start(WRITE, url, life)
    process.wait_until_waiting()
    process.release()
    killer = threading.Timer(delay_s or 0, process.kill)
    if delay_s is not None:
        killer.start()
    acknowledged = []
    for report in process.reports():
        acknowledged.append(report)
        if delay_s is None:
            process.kill()
    killer.cancel()
    process.close()
    return acknowledged


async def _check(url: str, acknowledged: list[list[object]]) -> None:
    async with open_store(StoreConfig(url=url)) as store:
        for i in range(4):
            session = await store.sessions.get(f"s-{i}")
            turns = await every_page(store.turns.list, session.id, limit=1000)
            assert [t.seq for t in turns] == list(range(1, session.turn_count + 1))
            stored = {t.seq: t.external_id for t in turns}
            for session_id, seq, name in acknowledged:
                if session_id == session.id:
                    assert stored[seq] == name, "an acknowledged turn is lost"
            assert all(t.content == t.external_id * 50 for t in turns), "half a turn"
            if turns:
                assert session.current_slots == {session.id: turns[-1].external_id}
            acts = await every_page(store.interactions.list, session.id, limit=1000)
            assert [a.seq for a in acts] == list(range(1, len(acts) + 1))
            assert session.interaction_count == len(acts)
            assert session.feedback_counts.get("up", 0) == len(acts)


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * KILLS)
def test_no_acknowledged_turn_is_lost_by_killing_the_writer(
    database_url: str, start_process: Callable[..., Process]
) -> None:
    chance = random.Random(SEED)
    acknowledged: list[list[object]] = []

    for life in range(KILLS):
        # Without sleeping: the delay is when the kill comes, not what is waited for.
        delay_s = chance.choice([0, 0.001, chance.uniform(0, 0.3)])
        acknowledged += _kill_one(start_process, database_url, life, delay_s)
        asyncio.run(_check(database_url, acknowledged))

    # However slow the machine is, one has written something.
    acknowledged += _kill_one(start_process, database_url, KILLS, None)
    asyncio.run(_check(database_url, acknowledged))
