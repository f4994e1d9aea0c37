"""`store.joined`: an order and its message in one commit, the application's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.util import await_only

from convstore import (
    ConfigError,
    ConflictError,
    InvalidInputError,
    ItemInput,
    SessionNotFoundError,
    Store,
    VersionConflictError,
)
from tests.integration.archives import DAY_S
from tests.integration.conversations import contents, say
from tests.joined.hosts import count_orders, engine_of, order, orders


async def test_an_order_and_its_message_come_with_one_commit(
    store: Store, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await order(connection, 1)
        tx = store.joined(connection)
        await say(tx, "s-1", "q", "a")
        await tx.interactions.record("s-1", action="feedback", turn_seq=2, feedback="x")
        await tx.graph_states.put("s-1", {"n": [1, 2.5, "é"]}, turn_seq=2)
        await tx.conversation("s-2", user_id="u-1").append(role="user", content="c")
        await tx.ledger.touch("s-1")
        assert await contents(tx, "s-1") == ["q", "a"]
        assert await store.sessions.find("s-1") is None

    assert await contents(store, "s-1") == ["q", "a"]
    session = await store.sessions.get("s-1")
    assert (session.feedback_counts, session.graph_state_count) == ({"x": 1}, 1)
    state = await store.graph_states.get("s-1")
    assert state.state == {"n": [1, 2.5, "é"]}
    assert await count_orders(engine) == 1


async def test_a_step_and_its_items_come_with_the_application_s_commit(
    store: Store, engine: AsyncEngine
) -> None:
    await store.sessions.get_or_create("s-1")
    step: dict[str, Any] = {
        "turns": [{"role": "user", "content": "q", "external_id": "e-1"}],
        "adapter_state": {"agent": {"n": 1}},
        "items": [
            ItemInput("inside", "k", [1.5], inside=True, ttl_s=60),
            ItemInput("seen", "u-1", patch={"n": 1}, user_id="u-1"),
        ],
    }

    async with engine.connect() as connection:
        tx = store.joined(connection)
        done = await tx.sessions.apply("s-1", user_id="u-1", **step)
        assert (await tx.sessions.apply("s-1", **step)).repeated
        await tx.items.patch("seen", "u-1", {"m": 2})
        await tx.sessions.patch("s-1", adapter_state={"agent": {"m": 2}})
        assert await store.items.find("seen", "u-1") is None
        await connection.rollback()
    async with engine.begin() as connection:
        again = await store.joined(connection).sessions.apply(
            "s-1", user_id="u-1", **step
        )

    assert again == done
    assert again.session.user_id == "u-1"
    assert await store.sessions.adapter_state("s-1", "agent") == {"n": 1}
    assert (await store.items.get("seen", "u-1")).value == {"n": 1}
    assert (await store.items.get("inside", "k", session_id="s-1")).ttl_s == 60.0


async def test_who_writes_first_in_the_application_s_transaction_owns(
    store: Store, engine: AsyncEngine
) -> None:
    await say(store, "s-1", "q")
    await store.ledger.add_cost("s-1", micros=7)

    async with engine.begin() as connection:
        chat = store.joined(connection).conversation("s-1", user_id="u-1")
        await chat.append(role="assistant", content="a")

    assert (await store.sessions.get("s-1")).user_id == "u-1"
    assert await store.ledger.cost(user_id="u-1") == 7


async def test_an_item_outside_the_open_transaction_is_refused_where_it_would_wait(
    store: Store, engine: AsyncEngine
) -> None:
    if store.config.url.startswith("postgres"):
        pytest.skip("PostgreSQL lets two transactions write at once")
    async with engine.begin() as connection:
        await store.joined(connection).items.put("n", "k", 1)
        with pytest.raises(ConfigError):
            await store.items.put("n", "other", 1)

    assert (await store.items.get("n", "k")).value == 1


async def test_a_rollback_takes_both_away(store: Store, engine: AsyncEngine) -> None:
    await say(store, "s-1", "before")
    with pytest.raises(IntegrityError):  # noqa: PT012 - as an application has it
        async with engine.begin() as connection:
            await order(connection, 1)
            turn = await store.joined(connection).turns.append(
                "s-1", role="assistant", content="gone", external_id="m-1"
            )
            await order(connection, 1)

    assert turn.seq == 2
    assert await contents(store, "s-1") == ["before"]
    assert await count_orders(engine) == 0
    again = await store.turns.append(
        "s-1", role="assistant", content="other", external_id="m-1"
    )
    assert again.seq == 2


async def test_a_connection_without_a_transaction_gets_one_that_its_commit_ends(
    store: Store, engine: AsyncEngine
) -> None:
    async with engine.connect() as connection:
        await say(store.joined(connection), "s-1", "kept")
        await connection.commit()
        await say(store.joined(connection), "s-1", "not kept")
        await connection.rollback()

    assert await contents(store, "s-1") == ["kept"]


async def test_a_session_of_sqlalchemy_is_joined_with_its_savepoints(
    store: Store, engine: AsyncEngine
) -> None:
    async with AsyncSession(engine) as db, db.begin():
        await db.execute(insert(orders).values(id=1))
        tx = store.joined(db)
        await say(tx, "s-1", "first")
        nested = await db.begin_nested()
        await tx.turns.append("s-1", role="assistant", content="undone")
        await nested.rollback()
        await tx.turns.append("s-1", role="assistant", content="second")

    assert await contents(store, "s-1") == ["first", "second"]
    assert await count_orders(engine) == 1


async def test_a_nested_block_may_come_first(store: Store, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        tx = store.joined(connection)
        async with connection.begin_nested():
            await say(tx, "s-1", "inside")
        nested = await connection.begin_nested()
        await say(tx, "s-2", "undone")
        await nested.rollback()
        assert await tx.sessions.find("s-2") is None
        await tx.turns.append("s-1", role="assistant", content="after")

    assert await contents(store, "s-1") == ["inside", "after"]
    assert await store.sessions.find("s-2") is None


async def test_a_failed_call_is_undone_and_the_transaction_goes_on(
    store: Store, engine: AsyncEngine
) -> None:
    await say(store, "s-1", "one")
    async with engine.begin() as connection:
        await order(connection, 1)
        tx = store.joined(connection)
        with pytest.raises(SessionNotFoundError):
            await tx.turns.append("nobody", role="user", content="x")
        with pytest.raises(VersionConflictError):
            await tx.sessions.update("s-1", title="t", expected_version=99)
        with pytest.raises(InvalidInputError):
            await tx.turns.append("s-1", role="user", content="\x00")
        await tx.turns.append("s-1", role="user", content="two", external_id="m")
        with pytest.raises(ConflictError):
            await tx.turns.append("s-1", role="user", content="else", external_id="m")

    assert await contents(store, "s-1") == ["one", "two"]
    assert await count_orders(engine) == 1


async def test_an_archived_session_comes_back_with_the_commit_or_not_at_all(
    store: Store, engine: AsyncEngine, clock: Any
) -> None:
    await say(store, "s-1", "one")
    clock.advance(2 * DAY_S)
    assert (await store.run_retention()).purged == 1
    async with engine.connect() as connection:
        await say(store.joined(connection), "s-1", "two")
        await connection.rollback()
    assert (await store.sessions.find("s-1")).state == "archived"  # type: ignore[union-attr]

    async with engine.begin() as connection:
        await say(store.joined(connection), "s-1", "three")

    assert await contents(store, "s-1") == ["one", "three"]


async def test_within_run_sync_its_verbs_are_awaited_by_the_greenlet(
    store: Store, engine: AsyncEngine
) -> None:
    def work(connection: Any) -> None:
        connection.execute(insert(orders).values(id=1))
        await_only(say(store.joined(connection), "s-1", "kept"))

    async with engine.begin() as connection:
        await connection.run_sync(work)

    assert await contents(store, "s-1") == ["kept"]


async def test_a_transaction_that_is_over_is_not_written_to(
    store: Store, engine: AsyncEngine
) -> None:
    async with engine.connect() as connection:
        tx = store.joined(connection)
        await say(tx, "s-1", "kept")
        await connection.commit()
        with pytest.raises(ConfigError, match="over"):
            await say(tx, "s-1", "late")
        async with connection.begin():
            with pytest.raises(ConfigError, match="over"):
                await tx.turns.window("s-1", limit=1)
    with pytest.raises(ConfigError, match="over"):
        await say(tx, "s-1", "later")
    async with AsyncSession(engine) as db:
        tx = store.joined(db)
        await say(tx, "s-1", "kept too")
        await db.commit()
        with pytest.raises(ConfigError, match="over"):
            await say(tx, "s-1", "late")
        assert not db.in_transaction()

    assert await contents(store, "s-1") == ["kept", "kept too"]


async def test_autocommit_is_refused(store: Store, engine: AsyncEngine) -> None:
    await say(store, "s-1", "one")
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(ConfigError, match="AUTOCOMMIT"):
            await say(store.joined(connection), "s-1", "two")

    assert await contents(store, "s-1") == ["one"]


async def test_another_database_is_refused(
    store: Store, driver: str, new_database: Any
) -> None:
    kind = "sqlite" if driver.startswith("sqlite") else "postgres"
    other = engine_of(new_database(kind), driver)
    async with other.connect() as connection:
        with pytest.raises(ConfigError, match="another database"):
            await say(store.joined(connection), "s-1", "elsewhere")
        await connection.commit()
        found = await connection.execute(text("SELECT count(*) FROM sessions"))
        assert found.scalar_one() == 0
    await other.dispose()


async def test_a_write_past_the_open_transaction_is_refused(
    store: Store, engine: AsyncEngine
) -> None:
    await say(store, "s-1", "one")
    async with engine.begin() as connection:
        await say(store.joined(connection), "s-1", "two")
        with pytest.raises(ConfigError, match="nouns of the transaction"):
            await say(store, "s-2", "past it")
        with pytest.raises(ConfigError, match="nouns of the transaction"):
            async with store.transaction():
                pass
    await say(store, "s-2", "after it")

    assert await contents(store, "s-2") == ["after it"]


async def test_a_session_is_not_deleted_inside(
    store: Store, engine: AsyncEngine
) -> None:
    await say(store, "s-1", "one")
    async with engine.begin() as connection:
        with pytest.raises(ConfigError, match="not deleted inside"):
            await store.joined(connection).sessions.delete("s-1")


async def test_what_is_no_connection_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="not a str"):
        store.joined("sqlite://")  # type: ignore[arg-type]


async def test_the_log_of_the_application_holds_nothing_that_was_said(
    store: Store, database_url: str, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "Geheim-4711"
    caplog.set_level("DEBUG")
    engine = engine_of(database_url, driver, echo="debug")
    async with engine.begin() as connection:
        tx = store.joined(connection)
        await say(tx, "s-1", secret)
        await tx.sessions.update("s-1", title=secret)
        await tx.turns.append("s-1", role="user", content=secret, external_id="m")
        with pytest.raises(ConflictError):
            await tx.turns.append("s-1", role="user", content="!", external_id="m")
        assert await contents(tx, "s-1") == [secret, secret]
    await engine.dispose()

    assert caplog.records
    assert secret not in caplog.text
    told = [str(record.__dict__) for record in caplog.records]
    assert not [each for each in told if secret in each]


async def test_two_hosts_on_one_session_take_turns(
    store: Store, engine: AsyncEngine
) -> None:
    await store.sessions.get_or_create("s-1")

    async def host(first: int) -> None:
        for number in range(first, first + 5):
            async with engine.begin() as connection:
                await order(connection, number)
                await store.joined(connection).turns.append(
                    "s-1", role="user", content=str(number)
                )

    await asyncio.gather(*(host(100 * n) for n in range(3)), _write(store, 10))

    said = await contents(store, "s-1")
    assert len(said) == 25
    assert await count_orders(engine) == 15


async def _write(store: Store, times: int) -> None:
    for number in range(times):
        await store.turns.append("s-1", role="user", content=f"own {number}")


async def test_a_cancelled_call_is_whole_or_nothing(
    store: Store, engine: AsyncEngine
) -> None:
    await store.sessions.get_or_create("s-1")
    kept = 0
    for number in range(40):
        kept += await _cancelled_after(store, engine, number)

    assert await count_orders(engine) == kept
    assert len(await contents(store, "s-1")) == kept


async def _cancelled_after(store: Store, engine: AsyncEngine, rounds: int) -> bool:
    async def host() -> None:
        async with engine.begin() as connection:
            await order(connection, rounds)
            await store.joined(connection).turns.append(
                "s-1", role="user", content=str(rounds)
            )

    task = asyncio.create_task(host())
    for _ in range(rounds):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        async with engine.connect() as connection:
            found = await connection.execute(
                select(orders.c.id).where(orders.c.id == rounds)
            )
            return found.scalar_one_or_none() is not None
    return True


async def test_an_owner_comes_with_the_commit_of_the_application(
    store: Store, engine: AsyncEngine
) -> None:
    await say(store, "s-1", "nobody's")
    await store.ledger.add_cost("s-1", micros=7)
    async with engine.begin() as connection:
        tx = store.joined(connection)
        await tx.conversation("s-1", user_id="ann").append(role="user", content="mine")
        given = await tx.sessions.transfer("s-1", user_id="bob")
        assert given.user_id == "bob"
        with pytest.raises(SessionNotFoundError):
            await tx.conversation("s-1", user_id="ann").append(role="user")

    session = await store.sessions.get("s-1")
    assert (session.user_id, session.turn_count) == ("bob", 2)
    async with engine.connect() as connection:
        totals = await connection.execute(
            text("SELECT user_id, cost_micros FROM cost_totals")
        )
        assert {tuple(row) for row in totals if row[1]} == {("bob", 7)}


async def test_a_fork_and_a_payload_come_with_the_commit_of_the_application(
    store: Store, engine: AsyncEngine
) -> None:
    await say(store, "s-1", "q", "a")
    async with engine.begin() as connection:
        tx = store.joined(connection)
        turn, new = await tx.turns.append_once(
            "s-1", role="user", external_id="m-1", payload=b"\0", payload_format="f"
        )
        assert (turn.payload, new) == (b"\0", True)
        await tx.sessions.fork("s-1", "s-2")
        assert await store.sessions.find("s-2") is None
        found = await tx.turns.find_all(external_id="m-1")
        assert [t.session_id for t in found.items] == ["s-1", "s-2"]

    assert (await store.turns.branch("s-2"))[-1].payload == b"\0"
