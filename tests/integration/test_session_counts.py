"""How many sessions there are is kept, exactly, whatever happens to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, select

from convstore import Store
from convstore.db import models, row_writes, session_locks, statistics
from tests.crash.invariants import counted_anew, kept_counts, read_rows
from tests.integration.archives import archived, fill, ids, raw
from tests.integration.conversations import say

OpenAnother = Callable[..., Awaitable[Store]]
NewDatabase = Callable[..., str]


def exact(url: str) -> dict[tuple[str, str], tuple[int, ...]]:
    """What is kept, having been compared with a recount."""
    with ThreadPoolExecutor(1) as thread:
        rows = thread.submit(read_rows, url).result()
    kept = kept_counts(rows)
    assert kept == counted_anew(rows)
    return kept


async def test_counts_are_exact_through_a_whole_life(
    store: Store, database_url: str
) -> None:
    for session_id in ids("s", 5):
        await fill(store, session_id)
    await say(store.for_tenant("acme"), "s-0", "one")
    assert exact(database_url)["default", "active"][0] == 5
    await store.sessions.delete("s-0")
    await store.erase(session_id="s-1")
    await archived(store, "s-2")
    assert exact(database_url)["default", "archived"][1] == 3

    await store.restore("s-2")
    await store.sessions.delete("s-3", archive=False)
    await store.erase(session_id="s-4")

    kept = exact(database_url)
    assert {key: counts[0] for key, counts in kept.items()} == {
        ("default", "active"): 1,
        ("default", "deleted"): 2,
        ("default", "erased"): 2,
        ("acme", "archived"): 1,
    }


async def test_a_transaction_that_is_rolled_back_counts_for_nothing(
    store: Store, database_url: str
) -> None:
    try:
        async with store.transaction() as tx:
            await tx.sessions.get_or_create("s-1")
            raise KeyError
    except KeyError:
        pass

    assert exact(database_url) == {}


async def test_sessions_that_many_make_at_once_are_counted_once(
    store: Store, open_another: OpenAnother, database_url: str
) -> None:
    stores = [store, await open_another()]

    await asyncio.gather(
        *(s.sessions.get_or_create(i) for s in stores for i in ids("s", 40)),
    )

    assert exact(database_url)["default", "active"][0] == 40


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_sessions_of_an_index_that_is_rebuilt_are_counted(
    store: Store,
    open_another: OpenAnother,
    new_database: NewDatabase,
    database_url: str,
    kind: str,
) -> None:
    await archived(store, "s-1", "s-2")
    url = new_database(kind)
    fresh = await open_another(url=url)

    await fresh.archive.rebuild()

    assert exact(url) == exact(database_url)
    assert exact(url)["default", "archived"][:2] == (2, 2)


async def test_what_an_older_release_does_is_counted_too(
    store: Store, database_url: str
) -> None:
    """It knows nothing of the table, and may run beside this one."""
    await say(store, "s-1", "one", "two")

    raw(database_url, "UPDATE sessions SET state = 'archived', segment_id = 'x'")
    raw(database_url, "UPDATE sessions SET turn_count = 7, state = 'archived'")

    assert exact(database_url) == {("default", "archived"): (1, 1, 0, 7, 0)}
    raw(database_url, "DELETE FROM turns")
    raw(database_url, "DELETE FROM sessions")
    assert exact(database_url) == {}


async def test_counting_words_no_statement_anew(
    store: Store, database_url: str
) -> None:
    """It did on PostgreSQL, at twice what making the session cost otherwise."""
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite's triggers are statements")
    ((source,),) = raw(
        database_url,
        "SELECT prosrc FROM pg_proc WHERE proname = 'convstore_count_sessions'",
    )

    at_home, elsewhere = source.split(" ELSE IF TG_OP")

    assert "TG_TABLE_SCHEMA = 'public'" in at_home
    assert 'INSERT INTO "public".session_counts' in at_home
    assert "EXECUTE" not in at_home
    assert "EXECUTE" in elsewhere


async def test_a_schema_that_was_renamed_is_counted_in(
    store: Store, database_url: str
) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has no schemas")
    await fill(store, "s-1")
    rest = ", ".join(set(session_locks.NAMES) - {"session_id"})
    for statement in (
        "ALTER SCHEMA public RENAME TO elsewhere",
        (
            f"INSERT INTO elsewhere.sessions (session_id, {rest}) "
            f"SELECT 's-2', {rest} FROM elsewhere.sessions"
        ),
        "UPDATE elsewhere.sessions SET state = 'archived' WHERE session_id = 's-1'",
        "DELETE FROM elsewhere.sessions WHERE session_id = 's-2'",
        "ALTER SCHEMA elsewhere RENAME TO public",
    ):
        raw(database_url, statement)

    kept = {key: counts[0] for key, counts in exact(database_url).items()}
    assert kept == {("default", "archived"): 1}


def test_no_append_fires_a_trigger() -> None:
    assert not {"state", "segment_id", "problem"} & set(row_writes.HOT)


async def test_reading_the_counts_walks_no_sessions(
    store: Store, database_url: str
) -> None:
    await say(store, "s-1", "one", "two")
    raw(database_url, "DELETE FROM session_counts")

    stats = await store.stats()

    assert stats.sessions == {}
    assert not stats.complete


async def test_stats_says_where_it_looked_at_a_part(
    store: Store, database_url: str
) -> None:
    for number, session_id in enumerate(ids("s", 4)):
        await say(store, session_id, "one", "two")
        await store.interactions.record(
            session_id, action="feedback", feedback=f"label {number}"
        )
    await store.run_retention(older_than_s=0)
    for session_id in ids("t", 3):
        await say(store, session_id, "one", "two")
    whole = await store.stats()
    backend = store._parts.backend
    part = await backend.read(lambda c: statistics.of_tenant(c, "default", 2))

    assert whole.complete
    assert (whole.turns, whole.interactions, sum(whole.feedback.values())) == (14, 4, 4)
    assert not part.complete
    assert part.sessions == whole.sessions == {"active": 3, "archived": 4}
    assert (part.turns, part.interactions, sum(part.feedback.values())) == (12, 4, 2)


COPY = """
INSERT INTO sessions ({names})
SELECT {names_of_copy} FROM sessions WHERE tenant_id = 'default' AND session_id = 's-0'
"""


def copies(url: str, prefix: str, count: int) -> None:
    """Sessions like s-0, each made by a statement of its own, past the library."""
    names = [c.name for c in models.sessions.columns if c.computed is None]
    made = ["'" + prefix + "' || {}" if n == "session_id" else n for n in names]
    copy = COPY.format(names=", ".join(names), names_of_copy=", ".join(made))
    if url.startswith("sqlite"):
        numbers = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        numbers += f" WHERE i < {count}) SELECT i FROM n)"
        raw(url, copy.format("i").replace("FROM sessions", f"FROM {numbers}, sessions"))
        return
    loop = f"FOR i IN 1..{count} LOOP {copy.format('i')}; END LOOP"
    raw(url, f"DO $$ BEGIN {loop}; END $$")


def kept_rows(url: str) -> int:
    return int(raw(url, "SELECT count(*) FROM session_counts")[0][0])


async def test_what_is_read_for_a_count_does_not_grow_with_the_sessions(
    store: Store, database_url: str
) -> None:
    """One in fifty adds up: that none of 700 does is one chance in a million."""
    await store.sessions.get_or_create("s-0")
    copies(database_url, "copy", 1_500)

    assert exact(database_url)["default", "active"][0] == 1_501
    assert kept_rows(database_url) < 700

    raw(database_url, "UPDATE sessions SET state = 'deleted'")

    assert {key: sums[0] for key, sums in exact(database_url).items()} == {
        ("default", "deleted"): 1_501
    }
    assert kept_rows(database_url) < 1_400


async def test_stats_reads_as_much_of_many_sessions_as_of_few(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In steps of SQLite's machine, or rows that PostgreSQL's scans gave."""
    monkeypatch.setattr(statistics.of_tenant, "__defaults__", (50,))
    await say(store, "s-0", "one", "two")
    copies(database_url, "few", 150)
    raw(
        database_url,
        "UPDATE sessions SET state = 'archived' "
        "WHERE session_id BETWEEN 'few6' AND 'few99'",
    )
    _, few = await effort(store)
    copies(database_url, "many", 1_350)

    found, many = await effort(store)

    assert found.sessions == {"active": 1_457, "archived": 44}
    assert not found.complete
    assert many < 1.5 * few + 700  # PostgreSQL's additions that are not added up yet
    assert await store.sessions.count() == 1_501
    assert await store.sessions.count(state="archived") == 44
    assert await store.sessions.count(state="erased") == 0


async def effort(store: Store) -> tuple[statistics.Counts, int]:
    """The counts, and what it took to read them."""
    backend = store._parts.backend
    work = lambda c: statistics.of_tenant(c, "default")  # noqa: E731
    if not backend.dialect.has_row_locks:

        def steps(connection: Connection) -> tuple[statistics.Counts, int]:
            taken = [0]

            def step() -> None:
                taken[0] += 1

            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(step, 1)
            try:
                return work(connection), taken[0]
            finally:
                driver.set_progress_handler(None, 0)

        return await backend.read(steps)

    def rows(connection: Connection) -> tuple[statistics.Counts, int]:
        given = 0
        for statement in (
            statistics.live_statement("default", 50),
            statistics.labels_statement("default", 51),
            select(models.session_counts).where(
                models.session_counts.c.tenant_id == "default"
            ),
        ):
            for way in ("seqscan", "bitmapscan", "sort"):
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
            sql = statement.compile(
                dialect=connection.dialect, compile_kwargs={"literal_binds": True}
            )
            plan = connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
            ).scalar_one()
            tree = json.loads(plan) if isinstance(plan, str) else plan
            given += scanned(tree[0]["Plan"])
        return work(connection), given

    return await backend.write(rows)


def scanned(node: dict[str, Any]) -> int:
    """Rows that the scans of a plan looked at."""
    below = sum(scanned(each) for each in node.get("Plans", ()))
    if "Scan" not in node["Node Type"] or "Plans" in node:
        return below
    looked = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return below + int(looked * node["Actual Loops"])


async def test_two_that_make_sessions_do_not_wait_for_each_other(
    store: Store, open_another: OpenAnother, database_url: str
) -> None:
    if database_url.startswith("sqlite"):
        return  # one writes at a time
    other = await open_another()
    async with store.transaction() as tx:
        for number in range(120):  # adds up now and then, and holds what it took
            await tx.sessions.get_or_create(f"s-{number}")
        for number in range(120):
            await other.sessions.get_or_create(f"t-{number}")
        assert exact(database_url)["default", "active"][0] == 120

    assert exact(database_url)["default", "active"][0] == 240


async def test_sessions_that_are_made_at_a_higher_isolation_are_counted(
    store: Store, database_url: str
) -> None:
    """As by an application's own transaction; others go on adding up meanwhile."""
    if database_url.startswith("sqlite"):
        return  # knows one level
    import asyncpg

    await store.sessions.get_or_create("s-0")
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.fetch("SELECT count(*) FROM session_counts")
            copies(database_url, "others", 300)
            names = [c.name for c in models.sessions.columns if c.computed is None]
            made = ["'mine' || {}" if n == "session_id" else n for n in names]
            copy = COPY.format(names=", ".join(names), names_of_copy=", ".join(made))
            loop = f"FOR i IN 1..300 LOOP {copy.format('i')}; END LOOP"
            await connection.execute(f"DO $$ BEGIN {loop}; END $$")
    finally:
        await connection.close()

    assert exact(database_url)["default", "active"][0] == 601
