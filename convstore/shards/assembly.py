"""Puts the stores of several databases together, and sees that each is the one that it
is named as."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from convstore.blobs.base import StepHook
from convstore.shards.facade import Store
from convstore.shards.reach import Reach
from convstore.shards.settings import config_of, file_of
from convstore.shards.shard import Named, Shard, first_error
from convstore.store import facade
from convstore.store.places import complete_marks, mark_of
from convstore.vocabulary.clock import Clock
from convstore.vocabulary.errors import (
    ConfigError,
    DatabaseUnavailableError,
    ShardUnavailableError,
)
from convstore.vocabulary.settings import StoreConfig
from convstore.vocabulary.sharding import HOME, Mark, Seat, name_of
from convstore.vocabulary.watch import Watch


async def open_shards(config: StoreConfig, clock: Clock, on_step: StepHook) -> Store:
    """A store over the databases that the settings name.

    One that is away is opened when it is back: only the home database must be there.
    A store that is new needs all of them, and marks them.

    Raises:
        ConfigError: One is not what it is named as.
        ShardUnavailableError: It is new, and one of them is away.
    """
    if config.database_url.rstrip("/") in ("sqlite:", "sqlite:///:memory:"):
        raise ConfigError("URL: the home database of SHARDS cannot be in memory")
    of, watch = len(config.shards), Watch()
    if await mark_of(config_of(config, HOME)) is None:
        await _refuse_marked(config)
    async with AsyncExitStack() as undo:
        home = await facade.Store._open(
            config_of(config, HOME), clock, on_step, seat=Seat(HOME, of), watch=watch
        )
        undo.push_async_callback(home.close)
        mark = home._parts.mark
        assert mark is not None
        begin = _beginner(config, mark, clock, on_step, watch)
        shards = tuple(Shard(n, of, begin(n)) for n in range(of))
        for shard in shards:
            undo.push_async_callback(shard.close)
        await _open_all(shards, mark)
        if not mark.is_complete:
            await complete_marks(home._parts.backend)
        undo.pop_all()
    reach = Reach(home, shards, home.tenant)
    return Store(reach, config.model_copy(update={"archive_dir": config.archive_place}))


async def _refuse_marked(config: StoreConfig) -> None:
    """Refuse, before anything is marked, a home that is not the one of its shards: it
    is marked before them."""
    of = len(config.shards)
    for number in range(of):
        with Named(number, of):
            mark = await mark_of(config_of(config, number))
        if mark is not None:
            raise ConfigError(
                f"{name_of(number, of)}: this database is of a store whose home is "
                "another database than the URL names"
            )


async def _open_all(shards: tuple[Shard, ...], mark: Mark) -> None:
    told: list[Any] = await asyncio.gather(
        *(shard.store() for shard in shards), return_exceptions=True
    )
    error = first_error(told)
    if error is None:
        return
    if mark.is_complete and isinstance(error, ShardUnavailableError):
        return  # said by whoever asks for what lies there
    raise error


def _beginner(
    config: StoreConfig, mark: Mark, clock: Clock, on_step: StepHook, watch: Watch
) -> Callable[[int], Callable[[], Awaitable[facade.Store]]]:
    def begin_of(number: int) -> Callable[[], Awaitable[facade.Store]]:
        own = config_of(config, number)
        seat = Seat(number, mark.of, mark.store_id, is_new=not mark.is_complete)

        async def begin() -> facade.Store:
            file = file_of(own.database_url)
            if not seat.is_new and file is not None and not file.exists():
                # To make it would be to lose what it holds.
                raise DatabaseUnavailableError("its file is not there")
            return await facade.Store._open(own, clock, on_step, seat=seat, watch=watch)

        return begin

    return begin_of
