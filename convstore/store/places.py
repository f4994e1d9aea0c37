"""Where the rows and the archive of a store lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convstore.archive.ownership import archives_to
from convstore.blobs.base import BlobStore
from convstore.blobs.memory import MemoryBlobs
from convstore.blobs.retrying import RetryingBlobs, RetryPolicy
from convstore.blobs.selection import blob_store
from convstore.db import shard_marks
from convstore.db.engine import Backend, BackendOptions, open_backend
from convstore.vocabulary.settings import StoreConfig
from convstore.vocabulary.sharding import Mark

if TYPE_CHECKING:
    from convstore.db.joined import HostEngine


def backend_options(config: StoreConfig, engine: HostEngine | None) -> BackendOptions:
    """What the backend needs of the settings; `engine` is the application's."""
    return BackendOptions(
        config.database_url,
        config.pool_size,
        config.pooler,
        config.limits,
        schema=config.db_schema,
        engine=engine,
        search=config.search.mode,
    )


def replica_options(config: StoreConfig) -> BackendOptions:
    """What the replica's backend needs of the settings."""
    return BackendOptions(
        config.replica_url,
        config.pool_size,
        config.pooler,
        config.limits,
        schema=config.db_schema,
    )


async def with_archive(config: StoreConfig, backend: Backend) -> StoreConfig:
    """The settings with the archive folder in force: where older releases kept the
    archives of all, if that folder has this database's mark."""
    if config.archive_dir is not None or _in_memory(config):
        return config
    previous, chosen = config.previous_archive_path, config.archive_path
    if previous != chosen and await archives_to(backend, blob_store(str(previous))):
        chosen = previous
    return config.model_copy(update={"archive_dir": str(chosen)})


async def mark_of(config: StoreConfig) -> Mark | None:
    """What a database says of itself; changes nothing that is there.

    Raises:
        SchemaMismatchError, DatabaseUnavailableError: As when it is opened.
    """
    backend = await open_backend(backend_options(config, None))
    try:
        return await backend.read(shard_marks.find)
    finally:
        await backend.close()


async def complete_marks(backend: Backend) -> None:
    """Note in the home database of several that all others have their marks."""
    await shard_marks.complete(backend)


def _in_memory(config: StoreConfig) -> bool:
    return config.database_url.rstrip("/") == "sqlite:"


def blobs_of(config: StoreConfig) -> BlobStore:
    """The blob store of the archive; that of a database in memory goes with it."""
    if config.archive_dir is None and _in_memory(config):
        return MemoryBlobs()
    store = blob_store(config.archive_place, config.object_storage)
    # The client of a bucket tries again by itself.
    tries = RetryPolicy(attempts=2) if "://" in config.archive_place else None
    return RetryingBlobs(store, tries)
