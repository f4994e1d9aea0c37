"""The contract of a blob store: bytes under a key, published whole and never changed.

A blob is written under a temporary name, synced, read back, and only then published
under its key. Nothing is ever overwritten. Every method may be called from any
thread; all of them block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias, runtime_checkable

from convstore.vocabulary.errors import InvalidInputError

StepHook: TypeAlias = Callable[[str], None]
"""Told the name of each step just after it happened; tests stop the world there."""

MAX_KEY_CHARS = 255
STAGING_FOLDER = "tmp"

_PART = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
# Eight levels are twice what segments and readable copies need. The dot is allowed
# only between other characters, so that no part can be `..` or a hidden file.
_KEY = re.compile(rf"(?!{STAGING_FOLDER}(?:/|$)){_PART}(?:/{_PART}){{0,7}}", re.ASCII)
_PREFIX = re.compile(rf"(?:{_PART}/){{0,8}}(?:{_PART}\.?)?", re.ASCII)


def silent(step: str) -> None:
    """The hook of production: hears nothing."""


def is_key(key: str) -> bool:
    """Whether a blob can have this key, for example `segments/2026/11/x.jsonl.zst`."""
    return len(key) <= MAX_KEY_CHARS and _KEY.fullmatch(key) is not None


def check_key(key: str) -> str:
    """`key` if a blob can have it.

    Raises:
        InvalidInputError: Anything but parts of letters, digits, `_`, `-` and inner
            dots, joined by `/`; or inside the staging folder.
    """
    if not is_key(key):
        raise InvalidInputError("key", "is not a blob key made by this library")
    return key


def check_prefix(prefix: str) -> str:
    """`prefix` if a key can begin with it; empty is the prefix of all.

    Raises:
        InvalidInputError: No key begins like this.
    """
    if len(prefix) > MAX_KEY_CHARS or _PREFIX.fullmatch(prefix) is None:
        raise InvalidInputError("prefix", "is not the beginning of a blob key")
    return prefix


class StagedBlob(Protocol):
    """A blob on its way: written, synced, read back, then published or aborted.

    The order is `write`…, `sync`, `read`…, then `publish` or `abort`. When `write`,
    `sync` or `publish` fails, the staged bytes are dropped and only `abort` may still
    be called: what a failed one left behind is unknown, so the caller starts again
    under a new key. A call out of order is a `ConfigError`.
    """

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        ...

    def write(self, data: bytes) -> None:
        """Append all of `data`. Durable only after `sync`.

        Raises:
            StorageFullError: The disk or quota is full; the staged bytes are dropped.
            UnavailableError: Another fault of the storage; likewise.
        """
        ...

    def sync(self) -> None:
        """Make the bytes durable under the temporary name and end writing.

        Also asks the system to forget its copy in memory, so that `read` comes from
        the disk where this can be had. Errors as `write`; never tried twice.
        """
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the staged blob as they are stored; after `sync` only.

        Idempotent. Fewer bytes come back only where the blob ends.
        """
        ...

    def publish(self) -> None:
        """Give the blob its key. When this returns, bytes and name are durable.

        Not idempotent. When it fails the key may or may not exist: look, or use
        another key.

        Raises:
            AlreadyExistsError: The key is taken; it was left as it is.
        """
        ...

    def abort(self) -> None:
        """Drop the staged bytes. Idempotent, and nothing after `publish`.

        Never raises for a fault of the storage: what stays behind is found by `sweep`.
        """
        ...


@runtime_checkable
class Placed(Protocol):
    """What a blob store may have besides: a word for where it is."""

    def place(self, key: str) -> tuple[str, ...]:
        """What tells the place of the blob with this key from a copy of it: two that
        have none of these in common are two. Idempotent; empty where nothing tells."""
        ...


@runtime_checkable
class Advised(Protocol):
    """What a blob store may have besides: an eye for how its place is set up."""

    def advice(self) -> list[str]:
        """What should be set up otherwise, for a person. Empty when all is well.

        Leaves nothing behind. Errors as of `BlobStore`.
        """
        ...


class BlobStore(Protocol):
    """Bytes under a key.

    Errors, wherever not said otherwise: `StorageFullError` when there is no room,
    `ConfigError` when access is refused or the place cannot serve (retrying is no
    use), `UnavailableError` for faults that may pass. None of them quotes content.
    """

    def create(self, key: str, *, on_step: StepHook = silent) -> StagedBlob:
        """Begin a new blob under a temporary name; `key` stays free until `publish`.

        `on_step` hears `write.open`, `fsync.file`, `write.close` and `publish.*`.
        """
        ...

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """The whole blob, or `length` bytes from `offset`. Idempotent.

        Fewer bytes come back only where the blob ends. One request, where there are
        requests: the size is not asked for first.

        Raises:
            SegmentNotFoundError: Nothing has this key.
        """
        ...

    def size(self, key: str) -> int:
        """Bytes of the blob. Idempotent; raises `SegmentNotFoundError` as `read`."""
        ...

    def exists(self, key: str) -> bool:
        """Whether a blob has this key. Idempotent."""
        ...

    def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin with `prefix`, sorted; staged blobs are not among them.

        What is not a blob of this library (other names, links, devices) is left out.
        Where there may be very many, `iterate`.
        """
        ...

    def iterate(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """The keys that `keys` gives, those that sort behind `after`, one by one.

        In order, in flat memory, and taken up anywhere by the last key that was seen.
        Of what is published or deleted meanwhile each is met or not.
        """
        ...

    def delete(self, key: str) -> bool:
        """Remove the blob, durably when this returns.

        False if it is known that there was none: not every store asks first.
        Idempotent: deleting what is gone does nothing but make its absence durable.
        """
        ...

    def sweep(self, older_than_s: float, *, dry_run: bool = False) -> list[str]:
        """Drop staged blobs not written to for `older_than_s` seconds; their names.

        By the clock of whoever keeps them, where that is another machine.
        A name begins with the last part of the blob's key. Sorted. Idempotent. A blob
        swept under a living writer makes its `publish` fail, never publish a part.
        """
        ...

    def free_bytes(self) -> int | None:
        """Room left for new blobs, or None where the question makes no sense."""
        ...


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
