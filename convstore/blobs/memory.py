"""Blobs in memory: for tests and for throw-away stores. Nothing here is durable."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

from convstore.blobs.base import (
    StagedBlob,
    StepHook,
    check_key,
    check_prefix,
    silent,
)
from convstore.vocabulary.clock import Clock, SystemClock, to_micros
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ConfigError,
    SegmentNotFoundError,
)


class MemoryBlobs:
    """A `BlobStore` that forgets everything with the process. Thread-safe."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._blobs: dict[str, bytes] = {}
        self._staged: dict[str, int] = {}

    def create(self, key: str, *, on_step: StepHook = silent) -> StagedBlob:
        """Begin a new blob; see `BlobStore.create`."""
        return _MemoryStaged(self, check_key(key), on_step)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """The blob or a range of it; see `BlobStore.read`."""
        with self._lock:
            data = self._blobs.get(check_key(key))
        if data is None:
            raise SegmentNotFoundError(key)
        return data[offset:] if length is None else data[offset : offset + length]

    def size(self, key: str) -> int:
        """Bytes of the blob; see `BlobStore.size`."""
        return len(self.read(key))

    def exists(self, key: str) -> bool:
        """Whether the blob is there; see `BlobStore.exists`."""
        with self._lock:
            return check_key(key) in self._blobs

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted; see `BlobStore.keys`."""
        check_prefix(prefix)
        with self._lock:
            return sorted(key for key in self._blobs if key.startswith(prefix))

    def iterate(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """The keys behind `after`, in order; see `BlobStore.iterate`."""
        yield from (key for key in self.keys(prefix) if key > after)

    def delete(self, key: str) -> bool:
        """Remove the blob; see `BlobStore.delete`."""
        with self._lock:
            return self._blobs.pop(check_key(key), None) is not None

    def sweep(self, older_than_s: float, *, dry_run: bool = False) -> list[str]:
        """Drop forgotten staged blobs; see `BlobStore.sweep`."""
        newest = self.now() - int(older_than_s * 1e6)
        with self._lock:
            names = sorted(name for name, at in self._staged.items() if at <= newest)
            if not dry_run:
                for name in names:
                    del self._staged[name]
        return names

    def free_bytes(self) -> int | None:
        """None: memory is not a disk."""
        return None

    def now(self) -> int:
        """Microseconds since 1970, by the clock of this store."""
        return to_micros(self._clock.now())

    def touch(self, name: str) -> None:
        """Note that the staged blob `name` was written to."""
        with self._lock:
            self._staged[name] = self.now()

    def drop(self, name: str) -> bool:
        """Forget the staged blob `name`; whether it was known."""
        with self._lock:
            return self._staged.pop(name, None) is not None

    def put(self, name: str, key: str, data: bytes) -> None:
        """Publish the staged blob `name` under `key`."""
        with self._lock:
            if self._staged.pop(name, None) is None:
                raise SegmentNotFoundError(key)
            if key in self._blobs:
                raise AlreadyExistsError(f"blob {key!r}")
            self._blobs[key] = data


class _MemoryStaged:
    def __init__(self, store: MemoryBlobs, key: str, on_step: StepHook) -> None:
        self._store, self._key, self._on_step = store, key, on_step
        self._name = f"{key.rpartition('/')[2]}.{secrets.token_hex(8)}"
        self._data = bytearray()
        self._state = "writing"
        store.touch(self._name)
        on_step("write.open")

    @property
    def size_bytes(self) -> int:
        return len(self._data)

    def write(self, data: bytes) -> None:
        self._check("writing")
        self._data += data
        self._store.touch(self._name)

    def sync(self) -> None:
        self._check("writing")
        self._on_step("fsync.file")
        self._state = "synced"
        self._on_step("write.close")

    def read(self, offset: int, length: int) -> bytes:
        self._check("synced")
        return bytes(self._data[offset : offset + length])

    def publish(self) -> None:
        self._check("synced")
        self._state = "finished"
        self._on_step("publish.mkdir")
        self._store.put(self._name, self._key, bytes(self._data))
        for step in ("publish.link", "publish.unlink_tmp", "publish.dirsync"):
            self._on_step(step)

    def abort(self) -> None:
        self._state = "finished"
        self._store.drop(self._name)

    def _check(self, state: str) -> None:
        if self._state != state:
            raise ConfigError(
                f"blob {self._key!r} is {self._state}; this needs it {state}"
            )
