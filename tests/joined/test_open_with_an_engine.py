"""`open_store(engine)`: connections of our own, made as the application's are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

from convstore import ConfigError, Store, open_store
from tests.integration.conversations import contents, everything, say
from tests.joined.hosts import bare_url, count_orders, engine_of, order
from tests.joined.test_joined_errors import cut, postgres

WAYS: dict[str, dict[str, Any]] = {
    "autocommit": {"isolation_level": "AUTOCOMMIT"},
    "serializable": {"isolation_level": "SERIALIZABLE"},
    "no pool": {"poolclass": NullPool},
    "a codec": {"json_deserializer": len},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSTORE_HOME", str(tmp_path))


@pytest.fixture
async def own(engine: AsyncEngine) -> AsyncIterator[Store]:
    async with open_store(engine) as store:
        yield store


async def test_a_store_on_an_engine_does_what_one_on_its_url_does(
    own: Store, store: Store, engine: AsyncEngine
) -> None:
    await say(own, "s-1", "one", "two")
    async with own.transaction() as tx:
        await tx.graph_states.put("s-1", {"n": [1, 2.5, "é"]})
    await own.interactions.record(
        "s-1", action="feedback", turn_seq=2, feedback="x", metadata={"a": [1]}
    )
    async with engine.begin() as connection:
        await order(connection, 1)
        await say(own.joined(connection), "s-1", "three")
    # Many at once, and again: by the long way and as one statement.
    for number in range(2):
        await asyncio.gather(*(_append(own, f"s-{n}", number) for n in range(2, 30)))
        await own.turns.append("s-2", role="user", content=f"alone {number}")

    assert await contents(own, "s-1") == ["one", "two", "three"]
    for name in ("s-1", "s-2", "s-29"):
        assert await everything(own, name) == await everything(store, name)
    assert len(await contents(store, "s-2")) == 4


async def test_closing_the_store_leaves_the_engine_of_the_application_open(
    engine: AsyncEngine,
) -> None:
    async with open_store(engine) as store:
        await say(store, "s-1", "one")
    async with engine.begin() as connection:
        await order(connection, 1)

    assert await count_orders(engine) == 1


@postgres
async def test_requests_that_hold_every_connection_of_their_pool_still_append(
    store: Store, database_url: str, driver: str
) -> None:
    engine = engine_of(
        database_url, driver, pool_size=2, max_overflow=0, pool_timeout=60
    )
    async with open_store(engine) as own, engine.connect(), engine.connect():
        await asyncio.gather(*(say(own, f"s-{n}", "x") for n in range(6)))
    await engine.dispose()

    assert await contents(store, "s-5") == ["x"]


@postgres
@pytest.mark.parametrize("way", WAYS)
async def test_the_ways_of_the_application_are_not_ours(
    store: Store, database_url: str, driver: str, way: str
) -> None:
    engine = engine_of(database_url, driver, **WAYS[way])
    async with open_store(engine) as own:
        with pytest.raises(ZeroDivisionError):
            await _fail(own)
        await asyncio.gather(*(say(own, "s-1", "x") for _ in range(10)))
        await own.sessions.update("s-1", metadata={"a": {"b": 1}})
        assert (await own.sessions.get("s-1")).metadata == {"a": {"b": 1}}
    await engine.dispose()

    assert await contents(store, "s-1") == ["x"] * 10


@postgres
async def test_after_a_cut_the_store_goes_on(own: Store, database_url: str) -> None:
    await say(own, "s-1", "one")
    await cut(database_url)
    assert await contents(own, "s-1") == ["one"]
    await cut(database_url)
    await say(own, "s-1", "two")

    assert await contents(own, "s-1") == ["one", "two"]


@postgres
async def test_a_wrong_password_or_database_says_so(
    store: Store, database_url: str, driver: str
) -> None:
    engine = engine_of(database_url, driver)
    wrong = create_async_engine(engine.url.set(database="nowhere"))
    # psycopg has no word of the server's for it before there is a connection.
    told = "no database of this name" if "asyncpg" in driver else "refuses"
    with pytest.raises(ConfigError, match=told):
        async with open_store(wrong):
            pass
    await wrong.dispose()
    await engine.dispose()


@pytest.mark.parametrize("driver", ["sqlite+aiosqlite"], indirect=True)
async def test_what_cannot_be_opened_is_refused(store: Store, driver: str) -> None:
    memory = create_async_engine("sqlite+aiosqlite://")
    for engine, why in ((memory, "memory"), (create_engine("sqlite://"), "Engine")):
        with pytest.raises(ConfigError, match=why):
            async with open_store(engine):  # type: ignore[arg-type]
                pass
    await memory.dispose()


@pytest.mark.parametrize("driver", ["postgresql+asyncpg"], indirect=True)
async def test_a_pool_of_one_connection_is_refused(
    store: Store, database_url: str, driver: str
) -> None:
    engine = create_async_engine(bare_url(database_url, driver), poolclass=StaticPool)
    with pytest.raises(ConfigError, match="StaticPool"):
        async with open_store(engine):
            pass
    await engine.dispose()


async def _append(store: Store, session_id: str, number: int) -> None:
    await store.sessions.get_or_create(session_id)
    await store.turns.append(
        session_id, role="user", content="é\u2028", external_id=f"m-{number}"
    )


async def _fail(store: Store) -> None:
    async with store.transaction() as tx:
        await say(tx, "s-1", "rolled back")
        raise ZeroDivisionError
