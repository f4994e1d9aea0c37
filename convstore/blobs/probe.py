"""Whether a blob store can do what the archive needs, found out by doing it."""

from __future__ import annotations

from convstore.blobs.base import BlobStore
from convstore.vocabulary.errors import AlreadyExistsError, ConfigError
from convstore.vocabulary.ids import new_id


def probe(blobs: BlobStore) -> None:
    """Write, sync, read back, publish, refuse to overwrite, list and delete a blob.

    Leaves nothing behind. Call it at start and from diagnostics: a network or FUSE
    file system that lacks hard links or exclusive creation fails here, not later.

    Raises:
        ConfigError: The store cannot serve as an archive.
        UnavailableError: It is away or full.
    """
    key = f"probe/{new_id()}.bin"
    data = key.encode()
    _publish(blobs, key, data)
    try:
        if blobs.read(key) != data or blobs.size(key) != len(data):
            raise ConfigError("the archive does not return the bytes that it was given")
        if key not in blobs.keys("probe/"):
            raise ConfigError("the archive does not list what it holds")
        try:
            _publish(blobs, key, b"")
        except AlreadyExistsError:
            return
        raise ConfigError("the archive overwrites what it holds")
    finally:
        blobs.delete(key)


def _publish(blobs: BlobStore, key: str, data: bytes) -> None:
    staged = blobs.create(key)
    try:
        staged.write(data)
        staged.sync()
        if staged.read(0, len(data)) != data:
            raise ConfigError("the archive does not return the bytes that it was given")
        staged.publish()
    finally:
        staged.abort()
