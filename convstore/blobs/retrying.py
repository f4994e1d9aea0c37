"""A blob store that tries again when the storage is away for a moment.

Only what is idempotent is repeated. A write, sync or publication that failed is not:
its outcome is unknown, and the caller must begin again under a new key.

The loop is ten lines of ours and not tenacity: what may be repeated is told by our
own errors, the clock and the dice are handed in, and nothing else here retries.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from convstore.blobs.base import (
    Advised,
    BlobStore,
    Placed,
    StagedBlob,
    StepHook,
    silent,
)
from convstore.vocabulary.errors import (
    ArchiveAwayError,
    StorageFullError,
    UnavailableError,
)
from convstore.vocabulary.record import Value

T = TypeVar("T")

_PAGE = 1_000
"""Keys that are listed in one try."""

# Seconds do not empty a disk, nor make a bucket.
_LASTING = (StorageFullError, ArchiveAwayError)


class RetryPolicy(Value, frozen=True):
    """How often and how long.

    Attributes:
        attempts: Calls in all, the first included.
        base_s: Longest pause before the second call; doubles for each further one.
        max_s: Longest pause of all. The pauses are drawn evenly from zero up to these
            bounds, so that many workers do not come back at once.
    """

    attempts: int = 5
    base_s: float = 0.05
    max_s: float = 2.0


class RetryingBlobs:
    """A `BlobStore` around another one; see the contract for each method.

    A full disk and a missing bucket are not tried again. `delete` after a retry
    may say that nothing was there although this call removed it.

    Args:
        inner: The store that does the work.
        policy: Bounds; the defaults wait at most about 0.8 seconds in all.
        sleep: Takes seconds.
        draw: Gives numbers evenly from [0, 1).
    """

    def __init__(
        self,
        inner: BlobStore,
        policy: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._inner, self._policy = inner, policy or RetryPolicy()
        self._sleep, self._draw = sleep, draw

    @property
    def root(self) -> Path | None:
        """The folder of a store in one, absolute."""
        return getattr(self._inner, "root", None)

    def create(self, key: str, *, on_step: StepHook = silent) -> StagedBlob:
        """Begin a new blob; each try has a temporary name of its own."""
        return _RetryingStaged(
            self.again(lambda: self._inner.create(key, on_step=on_step)), self
        )

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """The blob or a range of it."""
        return self.again(lambda: self._inner.read(key, offset, length))

    def size(self, key: str) -> int:
        """Bytes of the blob."""
        return self.again(lambda: self._inner.size(key))

    def exists(self, key: str) -> bool:
        """Whether the blob is there."""
        return self.again(lambda: self._inner.exists(key))

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""
        return self.again(lambda: self._inner.keys(prefix))

    def iterate(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """The keys behind `after`, in order; taken up where a listing broke off."""
        while True:
            page = self.again(lambda a=after: self._page(prefix, a))  # type: ignore[misc]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _page(self, prefix: str, after: str) -> list[str]:
        return list(islice(self._inner.iterate(prefix, after=after), _PAGE))

    def delete(self, key: str) -> bool:
        """Remove the blob durably."""
        return self.again(lambda: self._inner.delete(key))

    def sweep(self, older_than_s: float, *, dry_run: bool = False) -> list[str]:
        """Drop forgotten staged blobs."""
        return self.again(lambda: self._inner.sweep(older_than_s, dry_run=dry_run))

    def free_bytes(self) -> int | None:
        """Room left for new blobs."""
        return self.again(self._inner.free_bytes)

    def place(self, key: str) -> tuple[str, ...]:
        """Where the inner store is, if it tells."""
        inner = self._inner
        return inner.place(key) if isinstance(inner, Placed) else ()

    def advice(self) -> list[str]:
        """What the inner store says of its place, if it does."""
        inner = self._inner
        return self.again(inner.advice) if isinstance(inner, Advised) else []

    def again(self, action: Callable[[], T]) -> T:
        """The result of `action`, repeated within the policy while it is away."""
        bound_s = self._policy.base_s
        for _ in range(self._policy.attempts - 1):
            try:
                return action()
            except UnavailableError as error:
                if isinstance(error, _LASTING) or not error.transient:
                    raise
            self._sleep(self._draw() * min(bound_s, self._policy.max_s))
            bound_s *= 2
        return action()


class _RetryingStaged:
    def __init__(self, inner: StagedBlob, retry: RetryingBlobs) -> None:
        self._inner, self._retry = inner, retry

    @property
    def size_bytes(self) -> int:
        return self._inner.size_bytes

    def write(self, data: bytes) -> None:
        self._inner.write(data)

    def sync(self) -> None:
        self._inner.sync()

    def read(self, offset: int, length: int) -> bytes:
        return self._retry.again(lambda: self._inner.read(offset, length))

    def publish(self) -> None:
        self._inner.publish()

    def abort(self) -> None:
        self._inner.abort()
