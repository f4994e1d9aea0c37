"""A small blob in one call: staged, synced and published."""

from __future__ import annotations

from convstore.blobs.base import BlobStore


def publish_whole(blobs: BlobStore, key: str, data: bytes) -> None:
    """Publish `data` under `key`; durable when this returns.

    Raises:
        AlreadyExistsError: The key is taken; it was left as it is.
        StorageFullError, UnavailableError, ConfigError: From the storage; the key may
            or may not exist.
    """
    staged = blobs.create(key)
    try:
        staged.write(data)
        staged.sync()
        staged.publish()
    finally:
        staged.abort()
