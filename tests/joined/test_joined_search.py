"""What an application commits is found, and what it rolls back is not."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.conversations import say
from tests.integration.test_search import OpenAnother, mode, places
from tests.joined.hosts import order


@pytest.mark.mostly_slow("sqlite+aiosqlite-inline", "postgresql+asyncpg-deferred")
@pytest.mark.parametrize("name", ["deferred", "inline"])
async def test_what_an_application_commits_is_found(
    open_another: OpenAnother, engine: AsyncEngine, name: str
) -> None:
    store = await open_another(search=mode(name))
    async with engine.connect() as connection:
        await order(connection, 1)
        await say(store.joined(connection), "s-1", "appel", "peer")
        await connection.commit()
        await order(connection, 2)
        await say(store.joined(connection), "s-2", "appel")
        await connection.rollback()

    page = await store.search("appel")

    assert places(page) == [("s-1", "turn", 1)]
    assert page.complete
    assert (await store.search_index.check()).ok
