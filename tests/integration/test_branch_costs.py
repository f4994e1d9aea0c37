"""What a branch costs beside a straight line, counted and not timed: rows that the
database visits, steps that it takes, statements that are sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection

from convstore import Store
from convstore.db import branches
from convstore.db.dialects.base import Backend, BackendOptions
from convstore.db.engine import open_backend
from convstore.db.statements import Prepared
from convstore.vocabulary.limits import Limits

LONG = 2_000
SHORT = 1_000
WHOLE = branches.WHOLE


@pytest.fixture
async def backend(database_url: str, store: Store) -> AsyncIterator[Backend]:
    """A database with a thousand short sessions beside three long ones: a straight one,
    one that was left once, and one of which each turn was said twice."""
    for start in range(0, SHORT, 250):
        ids = [f"short-{number}" for number in range(start, start + 250)]
        await asyncio.gather(*map(store.sessions.get_or_create, ids))
        await asyncio.gather(
            *(store.turns.append_many(i, [{"role": "user"}] * 3) for i in ids)
        )
    said = [{"role": "user", "slots": {"place": str(n % 9)}} for n in range(LONG)]
    paths: dict[str, list[Any]] = {
        "straight": said,
        "left": [*said[: LONG // 2], said[0], said[1] | {"parent_seq": LONG // 2}],
        "twice": [
            turn | {"parent_seq": 2 * n} for n, turn in enumerate(said) for _ in "ab"
        ],
    }
    paths["left"] += said[LONG // 2 + 1 :]
    for name, turns in paths.items():
        await store.sessions.get_or_create(name)
        await store.turns.append_many(name, turns)
    options = BackendOptions(database_url, 1, "none", Limits())
    backend = await open_backend(options)
    try:
        yield backend
    finally:
        await backend.close()


@pytest.mark.slow
async def test_a_branch_costs_what_its_length_does_whatever_the_planner_knows(
    backend: Backend, store: Store
) -> None:
    for analysed in (False, True):
        if analysed:
            await backend.write(lambda c: c.exec_driver_sql("ANALYZE").close())

        async def cost(statement: Prepared, session_id: str, limit: int) -> int:
            head = (await store.sessions.get(session_id)).head_seq
            given = {"tenant": "default", "id": session_id, "head": head}
            return await backend.write(
                lambda c: _work(c, statement, {**given, "limit": limit})
            )

        straight = await cost(branches._NEWEST, "straight", LONG)
        handed_down = await cost(branches._INHERITED, "straight", WHOLE)
        # The tip alone, from which the rest is walked.
        assert await cost(branches._NEWEST, "twice", LONG) < straight / 100
        for branched in ("left", "twice"):
            whole = await cost(branches._PATH, branched, LONG)
            # A row of a walk is found, carried up and given out.
            assert whole < 4 * straight
            assert await cost(branches._PATH, branched, 20) < whole / 50
            # A switch, and a turn put elsewhere.
            inherited = await cost(branches._INHERITED, branched, WHOLE)
            assert inherited < 1.2 * handed_down


def _work(connection: Connection, statement: Prepared, given: dict[str, Any]) -> int:
    sql, values = statement.bound(connection, given)
    if connection.dialect.paramstyle == "qmark":
        return _steps(connection, sql, values)
    cursor = connection.connection.cursor()
    cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", values)
    (plan,) = cursor.fetchone()
    cursor.close()
    plan = json.loads(plan) if isinstance(plan, str) else plan
    return _visited(plan[0]["Plan"])


def _visited(node: dict[str, Any]) -> int:
    """Rows that a plan's nodes gave or threw away."""
    rows = node["Actual Rows"]
    rows += sum(n for name, n in node.items() if name.startswith("Rows Removed"))
    return int(rows * node["Actual Loops"]) + sum(map(_visited, node.get("Plans", ())))


def _steps(connection: Connection, sql: str, values: Any) -> int:
    """Instructions of SQLite's machine, counted by sixteen."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 16
        return 0

    raw = connection.connection.driver_connection
    assert raw is not None
    raw.set_progress_handler(count, 16)
    try:
        raw.execute(sql, values).fetchall()
    finally:
        raw.set_progress_handler(None, 0)
    return steps
