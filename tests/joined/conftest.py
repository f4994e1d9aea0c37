"""An application's engine on the store's database, once with each driver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.joined.hosts import ASYNC, engine_of, orders
from tests.leaks import leaks_told, little_to_walk

__all__ = ["leaks_told", "little_to_walk"]  # Fixtures that pytest finds here.


@pytest.fixture(params=ASYNC)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(driver: str, request: pytest.FixtureRequest) -> str:
    kind = "sqlite" if driver.startswith("sqlite") else "postgres"
    return str(request.getfixturevalue(f"{kind}_url"))


@pytest.fixture
async def engine(database_url: str, driver: str) -> AsyncIterator[AsyncEngine]:
    engine = engine_of(database_url, driver)
    async with engine.begin() as connection:
        await connection.run_sync(orders.create)
    yield engine
    await engine.dispose()
