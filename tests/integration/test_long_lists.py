"""Lists longer than PostgreSQL's 32,767 bound values, wherever a caller gives one."""

from __future__ import annotations

from datetime import timedelta

from convstore import Store
from convstore.db import models, prefixes
from convstore.db.imported_sessions import stored_of_names
from convstore.db.unfinished import with_unwanted
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import raw
from tests.integration.conversations import say

MANY = 40_000


async def test_documents_take_any_number_of_session_ids(store: Store) -> None:
    await say(store, "s-7", "one")
    await say(store, "s-39999", "one")
    await say(store, "another", "one")
    await store.run_retention(older_than_s=0, max_batches=1)
    await say(store, "s-7", "two")

    wanted = [f"s-{number}" for number in range(MANY)]
    found = [d.session.id async for d in store.documents(session_ids=wanted)]

    assert found == ["s-39999", "s-7"]


async def test_documents_come_once_however_often_an_id_is_given(store: Store) -> None:
    for number in range(130):
        await store.sessions.get_or_create(f"s-{number:03}")

    wanted = [f"s-{number % 130:03}" for number in range(390)]
    found = [d.session.id async for d in store.documents(session_ids=wanted)]

    assert found == [f"s-{number:03}" for number in range(130)]


async def test_any_number_of_prefixes_come_due_at_once(
    store: Store, clock: ManualClock, database_url: str
) -> None:
    cache = store.prefix_cache(ttl_s=60)
    await cache.store("key", [{"role": "user", "content": "x"}], "u-1")
    raw(
        database_url,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        f"WHERE i < {MANY}) "
        "INSERT INTO prefix_entries SELECT tenant_id, 'k-' || i, "
        "upstream_session_id, instance, expires_at, used_at FROM prefix_entries, n",
    )
    clock.advance(timedelta(hours=1).total_seconds())

    await cache.store("key", [{"role": "user", "content": "y"}], "u-2")

    left = raw(database_url, "SELECT count(*) FROM prefix_entries")
    assert [tuple(row) for row in left] == [(1,)]


async def test_any_number_of_external_ids_and_sessions_are_looked_up(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.interactions.record("s-1", action="feedback", external_id="m-39999")
    read = store._parts.backend.read
    ids = [f"m-{number}" for number in range(MANY)]
    keys = [("default", name) for name in ids]

    found = await read(
        lambda c: stored_of_names(c, models.interactions, ("default", "s-1"), ids)
    )

    assert list(found) == ["m-39999"]
    assert await read(lambda c: with_unwanted(c, keys)) == []
    assert await read(lambda c: prefixes.count(c, "default", 0)) == 0
