"""Stores over several databases: two files, or two schemas of one PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, StoreConfig, open_store
from convstore.vocabulary.clock import ManualClock

Open = Callable[..., Awaitable[Store]]


@pytest.fixture(params=["sqlite", "postgres"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The home database and two shards, as settings."""
    databases: Any = request.getfixturevalue(f"{request.param}_databases")
    if request.param == "sqlite":
        yield databases.create_several(tmp_path)
        return
    made = databases.create_several()
    yield made
    databases.drop(made["url"])


@pytest.fixture
async def open_shards(
    urls: dict[str, Any], tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Open]:
    """Open stores over them: `await open_shards(**settings)`."""
    async with AsyncExitStack() as stack:

        async def open_one(*, on_step: Any = None, **settings: Any) -> Store:
            given = {**urls, "archive_dir": tmp_path / "archive", **settings}
            opening = open_store(StoreConfig(**given), clock=clock, on_step=on_step)
            return await stack.enter_async_context(opening)

        yield open_one


@pytest.fixture
async def sharded(open_shards: Open) -> Store:
    """A store over two shards."""
    return await open_shards()
