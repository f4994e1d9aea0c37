"""On PostgreSQL every transaction takes its locks in one order, so none of two waits
for the other: while one waits for the first, it does not hold the second yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from convstore import Store
from convstore.archive.archiver import archive
from convstore.db import session_locks
from convstore.db.batch import run_batch
from convstore.repositories.ledger_changes import adding
from convstore.retention.purger import purge
from tests.integration.archives import fill, raw
from tests.postgres_locks import until_somebody_waits


async def waits_without(
    url: str, begin: Callable[[], Any], first: str, second: str
) -> None:
    """Hold `first` while the call begins; `second` must be free when it waits."""
    import asyncpg

    if url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    holder, other = await asyncpg.connect(url), await asyncpg.connect(url)
    holding = holder.transaction()
    await holding.start()
    assert await holder.fetch(f"{first} FOR UPDATE")
    task = asyncio.ensure_future(begin())
    try:
        await until_somebody_waits(url)
        assert await other.fetch(f"{second} FOR UPDATE NOWAIT")
    finally:
        await holding.rollback()
        await task
        await holder.close()
        await other.close()


async def test_sessions_are_locked_in_the_order_of_their_ids(
    store: Store, database_url: str
) -> None:
    for name in ("s-1", "s-2"):
        await store.sessions.get_or_create(name)
    keys = [("default", "s-2"), ("default", "s-1")]

    await waits_without(
        database_url,
        lambda: store._parts.backend.write(lambda c: session_locks.locked(c, keys)),
        "SELECT 1 FROM sessions WHERE session_id = 's-1'",
        "SELECT 1 FROM sessions WHERE session_id = 's-2'",
    )


async def test_totals_are_charged_in_the_order_of_the_users(
    store: Store, database_url: str
) -> None:
    for user in ("ann", "bob"):
        await store.sessions.get_or_create(f"of-{user}", user_id=user)
        await store.ledger.add_cost(f"of-{user}", micros=1)
    charges = [
        adding(store._scope, f"of-{user}", "micros", 1) for user in ("bob", "ann")
    ]

    await waits_without(
        database_url,
        lambda: store._parts.backend.write(lambda c: run_batch(c, charges)),
        "SELECT 1 FROM cost_totals WHERE user_id = 'ann'",
        "SELECT 1 FROM cost_totals WHERE user_id = 'bob'",
    )

    totals = raw(database_url, "SELECT user_id, cost_micros FROM cost_totals")
    assert sorted(totals) == [("ann", 2), ("bob", 2)]


async def test_nobodys_total_is_locked_before_that_of_a_user_who_is_forgotten(
    store: Store, database_url: str
) -> None:
    for name, user in (("s-1", None), ("s-2", "ann")):
        await store.sessions.get_or_create(name, user_id=user)
        await store.ledger.add_cost(name, micros=1)

    await waits_without(
        database_url,
        lambda: store.erase(user_id="ann"),
        "SELECT 1 FROM cost_totals WHERE user_id = ''",
        "SELECT 1 FROM cost_totals WHERE user_id = 'ann'",
    )

    assert raw(database_url, "SELECT cost_micros FROM cost_totals") == [(2,)]


async def test_a_purge_locks_its_segment_before_the_sessions(
    store: Store, database_url: str
) -> None:
    await fill(store, "s-1")
    context = store._parts.archive.context
    version = (await store.sessions.get("s-1")).version
    done = await archive(context, "default", [("s-1", version)])

    await waits_without(
        database_url,
        lambda: purge(context, done.entries, done.fingerprints),
        "SELECT 1 FROM archive_segments",
        "SELECT 1 FROM sessions WHERE session_id = 's-1'",
    )

    assert (await store.sessions.get("s-1")).state == "archived"


async def test_a_session_that_was_written_to_is_not_even_tried(store: Store) -> None:
    """The version is looked at before any row is deleted, for newer ones as well."""
    for name in ("s-1", "s-2"):
        await fill(store, name)
    context = store._parts.archive.context
    plan = [(n, (await store.sessions.get(n)).version) for n in ("s-1", "s-2")]
    done = await archive(context, "default", plan)
    await store.sessions.touch("s-1")

    purged = await purge(context, done.entries, done.fingerprints)

    assert purged.purged == [("default", "s-2")]
    assert purged.changed == [("default", "s-1")]
    assert purged.mismatched == []
    assert (await store.stats()).unreadable == 0
