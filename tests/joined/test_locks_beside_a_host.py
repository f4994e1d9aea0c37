"""What an application's own transaction holds of our rows, and what we do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from convstore import Store
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import DAY_S
from tests.integration.conversations import contents, say

# Longer than anything here takes, shorter than a write waits before it gives up.
SOON_S = 120
# As our own writes do it.
HOLD = "SELECT 1 FROM sessions WHERE session_id = $1 FOR NO KEY UPDATE"


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
async def host(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of an application that keeps a row for each session."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "CREATE TABLE host_orders (tenant text, session text, FOREIGN KEY "
        "(tenant, session) REFERENCES sessions (tenant_id, session_id))"
    )
    yield connection
    await connection.close()


async def order(host: asyncpg.Connection, session_id: str) -> None:
    await host.execute("INSERT INTO host_orders VALUES ('default', $1)", session_id)


async def test_a_host_that_refers_to_a_session_does_not_hold_up_its_appends(
    store: Store, host: asyncpg.Connection
) -> None:
    await say(store, "s-1", "one")

    async with host.transaction(), asyncio.timeout(SOON_S):
        await order(host, "s-1")
        await say(store, "s-1", "by the transaction that makes sure of the session")
        await store.turns.append("s-1", role="user", content="as one statement")
        async with store.transaction() as tx:
            await tx.sessions.update("s-1", title="by a lock that waits")

    assert len(await contents(store, "s-1")) == 3
    assert (await store.sessions.get("s-1")).title == "by a lock that waits"


async def test_a_session_that_is_held_is_left_by_retention_and_the_others_go(
    store: Store, host: asyncpg.Connection, clock: ManualClock
) -> None:
    for number in range(6):
        await say(store, f"s-{number}", "one")
    clock.advance(2 * DAY_S)

    async with host.transaction(), asyncio.timeout(SOON_S):
        await host.execute(HOLD, "s-3")
        report = await store.run_retention()

    assert (report.purged, report.held, report.problems) == (5, 1, ())
    assert (await store.sessions.get("s-3")).state == "active"
    assert (await store.run_retention()).purged == 1
