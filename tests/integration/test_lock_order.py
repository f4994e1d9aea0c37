"""On PostgreSQL every transaction takes its locks in one order, so none of two waits
for the other: while one waits for the first, it does not hold the second yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, case, false, func

from convstore import Store
from convstore.archive.archiver import archive
from convstore.db import items, models, search_removal, session_locks
from convstore.db.batch import run_batch, run_in
from convstore.db.cells import Place
from convstore.db.dialects.base import Dialect
from convstore.db.key_locks import KeyLocks
from convstore.db.outcomes import Tracked
from convstore.db.sessions import EnsureSession, UpdateSession
from convstore.db.unit import Unit
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


async def test_a_key_that_is_being_made_is_waited_for_before_any_session(
    store: Store, database_url: str
) -> None:
    """Who holds the key may go on to wait for the other session."""
    import asyncpg

    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    await fill(store, "s-1")
    other = await asyncpg.connect(database_url)

    async with store._parts.backend.transaction() as holder:
        new = [("default", "s-2")]
        assert await holder.run(lambda c: session_locks.locked(c, new)) == {}
        task = asyncio.ensure_future(store.sessions.fork("s-1", "s-2"))
        await until_somebody_waits(database_url)
        assert await other.fetch(
            "SELECT 1 FROM sessions WHERE session_id = 's-1' FOR UPDATE NOWAIT"
        )
    await other.close()

    assert (await task).forked_from == "s-1"


async def test_a_copy_of_checkpoints_locks_sessions_in_the_order_of_their_ids(
    store: Store, database_url: str
) -> None:
    for name in ("s-1", "s-2"):
        await store.sessions.get_or_create(name)

    await waits_without(
        database_url,
        lambda: store.checkpoints.copy("s-2", "s-1"),
        "SELECT 1 FROM sessions WHERE session_id = 's-1'",
        "SELECT 1 FROM sessions WHERE session_id = 's-2'",
    )


async def test_a_commit_waits_for_no_session_that_was_made_since_it_looked(
    store: Store, database_url: str
) -> None:
    """It holds other sessions by then, and whoever holds the new one may want them."""
    import asyncpg

    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    await store.sessions.get_or_create("s-1")
    of_new, of_old = ("default", "new"), ("default", "s-1")
    ensure = EnsureSession(of_new, {}, 1)
    writes = [
        Tracked(UpdateSession(of_old, {"title": "a"}, 1)),
        Tracked(ensure),
        UpdateSession(of_new, {"title": "b"}, 1),
        UpdateSession(of_old, {"title": "c"}, 1),
    ]
    holder = await asyncpg.connect(database_url)
    holding = holder.transaction()

    def begin(connection: Connection) -> Unit:
        unit = Unit(connection)
        unit.dialect.bound_waits(connection, 1)
        assert unit.load_free([of_new, of_old]) == set()
        return unit

    async with store._parts.backend.transaction() as transaction:
        unit = await transaction.run(begin)
        # As a release would that claims no keys, and then by the same process again.
        columns = ", ".join(set(session_locks.NAMES) - {"session_id"})
        await holder.execute(
            f"INSERT INTO sessions (session_id, {columns}) "
            f"SELECT 'new', {columns} FROM sessions"
        )
        await holding.start()
        await holder.execute(
            "SELECT 1 FROM sessions WHERE session_id = 'new' FOR UPDATE"
        )
        done = await transaction.run(lambda _: run_in(unit, writes))
    await holding.rollback()
    await holder.close()

    assert [outcome.held for outcome in done] == [False, True, True, False]
    assert (await store.sessions.get("s-1")).title == "c"
    assert (await store.sessions.get("new")).title != "b"


async def test_a_session_that_leaves_the_index_meanwhile_is_held_all_the_same(
    store: Store, database_url: str
) -> None:
    import asyncpg

    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    keys = [("default", "s-1"), ("default", "s-2")]
    await store._parts.backend.write(lambda c: search_removal.hold(c, keys))
    holder = await asyncpg.connect(database_url)
    other = await asyncpg.connect(database_url)
    gone = "DELETE FROM search_sessions WHERE session_id = $1"
    async with holder.transaction():
        await holder.execute(gone, "s-2")
        task = asyncio.ensure_future(
            store._parts.backend.write(lambda c: search_removal.hold(c, keys))
        )
        # It has passed by the row of s-1, which is there, to make that of s-2.
        await until_somebody_waits(database_url)
        await other.execute(gone, "s-1")
    await holder.close()
    await other.close()

    assert set(await task) == set(keys)


async def test_a_write_to_several_sessions_that_a_deadlock_ends_is_done_again(
    store: Store, database_url: str
) -> None:
    import asyncpg

    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    await fill(store, "s-1")
    server = await asyncpg.connect(database_url)
    # A number that was given is never given again, whatever is rolled back.
    await server.execute(
        "CREATE SEQUENCE tried; CREATE FUNCTION give_up() RETURNS trigger AS $$ BEGIN "
        "IF nextval('tried') < 3 THEN RAISE SQLSTATE '40P01'; END IF; RETURN NEW; "
        "END $$ LANGUAGE plpgsql; CREATE TRIGGER give_up BEFORE INSERT ON sessions "
        "FOR EACH ROW EXECUTE FUNCTION give_up()"
    )

    fork = await store.sessions.fork("s-1", "s-2")

    assert fork == await store.sessions.get("s-2")
    assert await server.fetchval("SELECT last_value FROM tried") == 3
    await server.close()


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


_GATE = 7


def gated(store: Store, patch: pytest.MonkeyPatch) -> KeyLocks[Place]:
    """The locks of items, whose first statement stops before it takes a key."""
    dialect = type(store._parts.backend.dialect)
    claimed = dialect.claimed

    def claimed_at_the_gate(self: Dialect, *key: Any) -> Any:
        opened = func.pg_advisory_xact_lock(_GATE)
        return case((opened.is_(None), false()), else_=claimed(self, *key))

    patch.setattr(dialect, "claimed", claimed_at_the_gate)
    columns = list(models.items.c)
    return KeyLocks(models.items, items.OUTSIDE.key, columns)  # worded by this


async def make_item(connection: Any) -> None:
    """As another process would, and has committed."""
    await connection.execute("CREATE TEMP TABLE made AS SELECT * FROM items")
    await connection.execute("UPDATE made SET key = 'k'")
    await connection.execute("INSERT INTO items SELECT * FROM made")


async def test_an_item_that_is_made_while_its_key_is_taken_is_seen(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement that takes the key began before, and sees no row of it."""
    import asyncpg

    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    await store.items.put("n", "other", 1)
    other = await asyncpg.connect(database_url)
    monkeypatch.setattr(items, "_LOCKS", gated(store, monkeypatch))
    await other.execute("SELECT pg_advisory_lock($1)", _GATE)
    task = asyncio.ensure_future(store.items.put("n", "k", 2))
    try:
        await until_somebody_waits(database_url)
        await make_item(other)
    finally:
        await other.close()

    assert (await task).version == 2
    assert (await store.items.get("n", "k")).value == 2


async def test_an_item_that_is_made_and_held_while_its_key_is_taken_is_held(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, though not to be read: to insert it would fail."""
    import asyncpg

    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    await store.items.put("n", "other", 1)
    other = await asyncpg.connect(database_url)
    locks, place = gated(store, monkeypatch), (store.tenant, "n", "k")
    await other.execute("SELECT pg_advisory_lock($1)", _GATE)
    looking = store._parts.backend.write(lambda c: locks.free(c, [place]))
    task = asyncio.ensure_future(looking)
    try:
        await until_somebody_waits(database_url)
        await make_item(other)
        await other.execute("BEGIN; SELECT FROM items WHERE key = 'k' FOR UPDATE")
        await other.execute("SELECT pg_advisory_unlock($1)", _GATE)
        found = await task
    finally:
        await other.close()

    assert found == ({}, {place})
