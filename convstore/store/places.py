"""Where the rows and the archive of a store lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convstore.blobs.base import BlobStore
from convstore.blobs.memory import MemoryBlobs
from convstore.blobs.retrying import RetryingBlobs
from convstore.blobs.selection import blob_store
from convstore.db.engine import BackendOptions
from convstore.vocabulary.settings import StoreConfig

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
    )


def blobs_of(config: StoreConfig) -> BlobStore:
    """The blob store of the archive; that of a database in memory goes with it."""
    if config.archive_dir is None and config.database_url.rstrip("/") == "sqlite:":
        return MemoryBlobs()
    return RetryingBlobs(blob_store(str(config.archive_dir or config.archive_path)))
