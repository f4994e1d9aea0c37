"""An object on its way into a bucket."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from convstore.blobs.base import STAGING_FOLDER, StepHook
from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    SegmentNotFoundError,
    UnavailableError,
)

if TYPE_CHECKING:
    from obstore import WritableFile

PART_BYTES = 8 * 1024 * 1024
"""A larger blob is sent in parts of this size; S3 takes no smaller ones than 5 MiB."""


class Bucket(Protocol):
    """What a staged object asks of its store; errors are ours."""

    def put(self, key: str, data: bytes) -> None: ...

    def writer(self, key: str) -> WritableFile: ...

    def sent(self, writer: WritableFile, data: bytes, key: str) -> None: ...

    def completed(self, writer: WritableFile, key: str) -> None: ...

    def read_range(self, key: str, offset: int, length: int | None) -> bytes: ...

    def size_of(self, key: str) -> int: ...

    def publish(self, staged: str, key: str, size_bytes: int, sha256: str) -> None: ...

    def remove(self, key: str) -> None: ...


class ObjectStaged:
    """A `StagedBlob` as an object in `tmp/`; any error drops it.

    An empty object has the name first, so that `sweep` finds who never came to `sync`.
    Parts that were sent and never put together are for the bucket's lifecycle rule.
    """

    def __init__(self, bucket: Bucket, key: str, on_step: StepHook) -> None:
        self._bucket, self._key, self._on_step = bucket, key, on_step
        # Random, because a crash may have left a staged object of the same blob.
        name = f"{key.rpartition('/')[2]}.{secrets.token_hex(8)}"
        self._path = f"{STAGING_FOLDER}/{name}"
        self._waiting, self._size = bytearray(), 0
        self._hash = hashlib.sha256()
        self._writer: WritableFile | None = None
        self._state = "writing"
        bucket.put(self._path, b"")
        on_step("write.open")

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._size

    def write(self, data: bytes) -> None:
        """Append all of `data`; see `StagedBlob.write`."""
        self._check("writing")
        self._hash.update(data)
        self._size += len(data)
        self._waiting += data
        if len(self._waiting) < PART_BYTES:
            return
        try:
            self._send()
        except BaseException:
            self.abort()
            raise

    def sync(self) -> None:
        """Put the object together under its temporary name; see `StagedBlob.sync`."""
        self._check("writing")
        try:
            if self._writer is None:
                self._bucket.put(self._path, bytes(self._waiting))
            else:
                self._send()
                self._complete(self._writer)
            self._waiting = bytearray()
            self._on_step("fsync.file")
        except BaseException:
            self.abort()
            raise
        self._state, self._writer = "synced", None
        self._on_step("write.close")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes as stored; see `StagedBlob.read`."""
        self._check("synced")
        return self._bucket.read_range(self._path, offset, length)

    def publish(self) -> None:
        """Give the object its key; see `StagedBlob.publish`."""
        self._check("synced")
        try:
            self._on_step("publish.mkdir")
            sha256 = self._hash.hexdigest()
            self._bucket.publish(self._path, self._key, self._size, sha256)
            self._on_step("publish.link")
        except BaseException:
            self.abort()
            raise
        self.abort()
        self._on_step("publish.unlink_tmp")
        self._on_step("publish.dirsync")

    def abort(self) -> None:
        """Drop the object; see `StagedBlob.abort`."""
        if self._state == "finished":
            return
        self._state, self._writer, self._waiting = "finished", None, bytearray()
        # Best effort: an error here would hide the one that led here, and `sweep`
        # removes what stays.
        with suppress(ConvstoreError):
            self._bucket.remove(self._path)

    def _send(self) -> None:
        if self._writer is None:
            self._writer = self._bucket.writer(self._path)
        self._bucket.sent(self._writer, bytes(self._waiting), self._path)
        self._waiting = bytearray()

    def _complete(self, writer: WritableFile) -> None:
        try:
            self._bucket.completed(writer, self._path)
        except SegmentNotFoundError:
            # When the answer is lost and the client asks again, the upload is no more:
            # it has become the object.
            if self._bucket.size_of(self._path) != self._size:
                raise UnavailableError(
                    f"cannot sync blob {self._key!r}: its parts are gone"
                ) from None

    def _check(self, state: str) -> None:
        if self._state != state:
            raise ConfigError(
                f"blob {self._key!r} is {self._state}; this needs it {state}"
            )
