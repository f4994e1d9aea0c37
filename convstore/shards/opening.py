"""`open_store`: the one way in. Light to import; parts are loaded on the first call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from convstore.vocabulary.clock import Clock, SystemClock
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.sharding import shard_urls

if TYPE_CHECKING:
    from convstore.db.joined import HostEngine
    from convstore.store.facade import Store
    from convstore.vocabulary.settings import StoreConfig


@asynccontextmanager
async def open_store(
    target: str | StoreConfig | HostEngine | None = None,
    *,
    shards: Sequence[str] | None = None,
    clock: Clock | None = None,
    on_step: Callable[[str], None] | None = None,
) -> AsyncIterator[Store]:
    """Open a store, and close it at the end of the block.

    A brand-new SQLite file is made and migrated; no existing database is ever changed.

    Args:
        target: A URL (`sqlite:///chat.db`, `sqlite://` for memory, `postgresql://…`),
            settings, or None for the settings of the environment. With a URL the other
            settings still come from the environment. Or an `AsyncEngine` of the
            application: on PostgreSQL the store has a pool of its own that connects
            as the engine does, by asyncpg or psycopg; of SQLite it opens the file.
        shards: URLs of the databases that share the sessions, in an order that stays;
            the URL of `target` is then the home database, with what lies outside
            sessions. In place of the setting.
        clock: Where the time comes from; the machine's clock by default.
        on_step: Told the name of each step of archive, purge, restore and erasure just
            after it happened; crash tests stop the world there.

    Raises:
        ConfigError: The URL or a setting cannot be used; or a database of several is
            not the one that it is named as.
        SchemaMismatchError: The database is at another revision; names the command.
        DatabaseUnavailableError: It cannot be reached.
    """
    from convstore.blobs.base import silent
    from convstore.store.facade import Store
    from convstore.vocabulary.settings import StoreConfig, load_config

    given = {} if shards is None else {"shards": tuple(shards)}
    engine = None
    if isinstance(target, StoreConfig):
        config = target
        if shards is not None:
            config = config.model_copy(update={"shards": shard_urls(shards)})
    elif target is None or isinstance(target, str):
        named = {} if target is None else {"url": target}
        config = load_config(**named, **given)
    else:
        from convstore.db.engine import url_of

        config, engine = load_config(url=url_of(target), **given), target
    store: Store
    if config.shards:
        from convstore.shards.assembly import open_shards

        if engine is not None:
            raise ConfigError("a store over several databases is opened by its URLs")
        store = await open_shards(config, clock or SystemClock(), on_step or silent)
    else:
        store = await Store.open(
            config, clock or SystemClock(), on_step or silent, engine=engine
        )
    try:
        yield store
    finally:
        await store.close()
