"""Blobs as objects of a bucket: S3 and what speaks it, Google Cloud and Azure.

Staged objects live in `tmp/` of the same prefix. A blob is published by a copy within
the server, or where the server knows no condition for that by a second put; both only
where nothing has the key.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import obstore

from convstore.blobs.base import (
    STAGING_FOLDER,
    StagedBlob,
    StepHook,
    check_key,
    check_prefix,
    is_key,
    silent,
)
from convstore.blobs.object_faults import ERRORS, is_beyond_the_end, translated
from convstore.blobs.object_staged import PART_BYTES, ObjectStaged
from convstore.vocabulary.clock import Clock, to_micros
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ArchiveAwayError,
    ConfigError,
    SegmentNotFoundError,
    StorageFullError,
    UnavailableError,
)

if TYPE_CHECKING:
    from obstore import GetOptions, WritableFile
    from obstore.store import ObjectStore

_TRIES = 4
_PAGE = 1_000
_LARGEST_PUT = 5 * 1024**3
"""What S3 takes in one request; a copy takes no more either."""


class ObjectBlobs:
    """A `BlobStore` in a bucket. Safe for any number of threads and processes.

    Not usable in a process that was forked from one that used it.

    Args:
        store: The client, at the prefix of the archive.
        place: Names the bucket and the prefix, to tell them from others.
        publish: `copy`, `put`, or `auto`: found out by trying, before the first blob.
        clock: What says how old a staged object is; the server's by default, so that
            the clock of this machine may be wrong.
    """

    def __init__(
        self,
        store: ObjectStore,
        place: str,
        *,
        publish: str = "auto",
        clock: Clock | None = None,
    ) -> None:
        self._store, self._place, self._clock = store, place, clock
        self._way = publish
        self._lock = threading.Lock()

    def create(self, key: str, *, on_step: StepHook = silent) -> StagedBlob:
        """Begin a new blob; see `BlobStore.create`."""
        return ObjectStaged(self, check_key(key), on_step)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """The blob or a range of it in one request; see `BlobStore.read`."""
        return self.read_range(check_key(key), offset, length)

    def size(self, key: str) -> int:
        """Bytes of the blob; see `BlobStore.size`."""
        return self.size_of(check_key(key))

    def exists(self, key: str) -> bool:
        """Whether the blob is there; see `BlobStore.exists`."""
        try:
            self.size(key)
        except SegmentNotFoundError:
            return False
        return True

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted; see `BlobStore.keys`."""
        return sorted(self.iterate(prefix))

    def iterate(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """The keys behind `after`, in order; see `BlobStore.iterate`."""
        folder = check_prefix(prefix).rpartition("/")[0]
        last = after
        for found in self._listed(folder, after):
            key = str(found["path"])
            if not is_key(key) or not key.startswith(prefix) or key <= after:
                continue
            if key <= last:
                raise ConfigError("the archive does not list its objects in order")
            last = key
            yield key

    def delete(self, key: str) -> bool:
        """Remove the blob; True, for whether there was one is not asked."""
        self.remove(check_key(key))
        return True

    def sweep(self, older_than_s: float, *, dry_run: bool = False) -> list[str]:
        """Drop forgotten staged objects; see `BlobStore.sweep`."""
        staged = list(self._listed(STAGING_FOLDER, ""))
        if not staged:
            return []
        newest = self._now() - int(older_than_s * 1e6)
        names = sorted(
            str(found["path"]).removeprefix(f"{STAGING_FOLDER}/")
            for found in staged
            if _micros(found["last_modified"]) <= newest
        )
        for name in () if dry_run else names:
            self.remove(f"{STAGING_FOLDER}/{name}")
        return names

    def free_bytes(self) -> int | None:
        """None: a bucket has no end."""
        return None

    def place(self, key: str) -> tuple[str, ...]:
        """The bucket and the prefix; see `Placed`."""
        return (f"bucket:{self._place}",)

    def advice(self) -> list[str]:
        """What is not well set up in the bucket; see `Advised`.

        Puts an object and deletes it.
        """
        name = f"{STAGING_FOLDER}/advice.{secrets.token_hex(8)}"
        with translated("write", name):
            done = obstore.put(self._store, name, b"")
        self.remove(name)
        # A bucket that never had versions names none, one with paused ones `null`.
        if done.get("version") in (None, "null"):
            return []
        told = (
            "the bucket keeps versions, so that what is erased stays: turn versioning "
            "off, or let a lifecycle rule end noncurrent versions"
        )
        return [told]

    # What a staged object asks for

    def put(self, key: str, data: bytes) -> None:
        """Put an object, over one that is there."""
        with translated("write", key):
            obstore.put(self._store, key, data, use_multipart=False)

    def writer(self, key: str) -> WritableFile:
        """Begin an object in parts."""
        with translated("write", key):
            return obstore.open_writer(
                self._store, key, buffer_size=PART_BYTES, max_concurrency=4
            )

    def sent(self, writer: WritableFile, data: bytes, key: str) -> None:
        """Send a part."""
        with translated("write", key):
            writer.write(data)

    def completed(self, writer: WritableFile, key: str) -> None:
        """Put the parts together."""
        with translated("sync", key):
            writer.close()

    def read_range(self, key: str, offset: int, length: int | None) -> bytes:
        """One ranged request; nothing behind the end is no error."""
        if length is not None and length <= 0:
            self.size_of(key)
            return b""
        wanted: GetOptions = {}
        if length is not None:
            wanted["range"] = (offset, offset + length)
        elif offset:
            wanted["range"] = {"offset": offset}
        with translated("read", key):
            try:
                got = obstore.get(self._store, key, options=wanted or None)
                return got.bytes().to_bytes()
            except ERRORS as error:
                if is_beyond_the_end(error):
                    return b""
                raise

    def size_of(self, key: str) -> int:
        """Bytes of an object.

        By its first byte and not by asking for its head: an answer without a body
        cannot say whether it is the object or the bucket that is missing.
        """
        with translated("look at", key):
            try:
                got = obstore.get(self._store, key, options={"range": (0, 1)})
                return int(got.meta["size"])
            except ERRORS as error:
                if is_beyond_the_end(error):
                    return 0
                raise

    def publish(self, staged: str, key: str, size_bytes: int, sha256: str) -> None:
        """Give a staged object its key, if nothing has it.

        Whoever loses the answer asks again and finds the key taken, by itself: so
        where it is taken, what is there is compared with what should be.
        """
        if size_bytes > _LARGEST_PUT:
            raise ConfigError(f"blob {key!r} is larger than one request may be")
        way = self._found_way()
        for left in reversed(range(_TRIES)):
            try:
                self._publish_once(way, staged, key, sha256)
            except (ArchiveAwayError, StorageFullError):
                raise
            except (
                AlreadyExistsError,
                SegmentNotFoundError,
                UnavailableError,
            ) as error:
                if self._holds(key, size_bytes, sha256):
                    return
                if not left or not isinstance(error, UnavailableError):
                    raise
            else:
                return

    def remove(self, key: str) -> None:
        """Delete an object; nothing where there is none."""
        try:
            with translated("delete", key):
                obstore.delete(self._store, key)
        except SegmentNotFoundError:
            return

    def _publish_once(self, way: str, staged: str, key: str, sha256: str) -> None:
        if way == "copy":
            with translated("publish", key):
                obstore.copy(self._store, staged, key, overwrite=False)
            return
        data = self.read_range(staged, 0, None)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ConfigError("the archive does not return the bytes that it was given")
        with translated("publish", key):
            obstore.put(self._store, key, data, mode="create", use_multipart=False)
        # It is not the object that was read back.
        if not self._holds(key, len(data), sha256):
            self.remove(key)
            raise UnavailableError(f"cannot publish blob {key!r}: it reads otherwise")

    def _holds(self, key: str, size_bytes: int, sha256: str) -> bool:
        """Whether an object is there, and is that one."""
        found, size = hashlib.sha256(), 0
        try:
            with translated("read", key):
                got = obstore.get(self._store, key)
                if got.meta["size"] != size_bytes:
                    return False
                for chunk in got.stream(PART_BYTES):
                    found.update(chunk)
                    size += len(chunk)
        except SegmentNotFoundError:
            return False
        return (size, found.hexdigest()) == (size_bytes, sha256)

    def _found_way(self) -> str:
        with self._lock:
            if self._way == "auto":
                self._way = self._tried_way()
            return self._way

    def _tried_way(self) -> str:
        """How the server publishes without replacing what is there.

        Raises:
            ConfigError: In no way.
        """
        name = secrets.token_hex(8)
        source, target = (f"{STAGING_FOLDER}/{w}.{name}" for w in ("way", "taken"))
        data = name.encode()
        sha256 = hashlib.sha256(data).hexdigest()
        self.put(source, data)
        try:
            for way in ("copy", "put"):
                if self._refuses(way, source, target, sha256):
                    return way
                self.remove(target)
        finally:
            self.remove(source)
            self.remove(target)
        where = " in a bucket that keeps versions" if self.advice() else ""
        raise ConfigError(
            f"the archive's server has no conditional writes{where}: what it holds "
            "could be overwritten; use another one"
        )

    def _refuses(self, way: str, source: str, target: str, sha256: str) -> bool:
        try:
            self._publish_once(way, source, target, sha256)
        except ArchiveAwayError:
            raise
        except (ConfigError, UnavailableError, SegmentNotFoundError):
            return False  # not known to the server; what is denied is denied again
        try:
            self._publish_once(way, source, target, sha256)
        except AlreadyExistsError:
            return True
        except (UnavailableError, SegmentNotFoundError):
            return False
        return False

    def _listed(self, folder: str, after: str) -> Iterator[Any]:
        with translated("list", folder):
            pages = obstore.list(
                self._store, folder or None, offset=after or None, chunk_size=_PAGE
            )
            for page in pages:
                yield from page

    def _now(self) -> int:
        if self._clock is not None:
            return to_micros(self._clock.now())
        name = f"{STAGING_FOLDER}/clock.{secrets.token_hex(8)}"
        self.put(name, b"")
        try:
            # From a list, like those that it is compared with: a head's are in seconds.
            for found in self._listed(STAGING_FOLDER, ""):
                if found["path"] == name:
                    return _micros(found["last_modified"])
        finally:
            self.remove(name)
        raise UnavailableError("the archive does not list what was just put there")


def _micros(at: datetime) -> int:
    return to_micros(at)
