"""The blob store of a system that can have none: opening it is fine, using it is not.

So that a database server can be used from such a system, and the archive is refused
in words where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from convstore.blobs.base import StagedBlob, StepHook, silent
from convstore.vocabulary.errors import ConfigError


class AbsentBlobs:
    """A `BlobStore` whose every method raises `ConfigError` with the reason."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def create(self, key: str, *, on_step: StepHook = silent) -> StagedBlob:
        self._refuse()

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self._refuse()

    def size(self, key: str) -> int:
        self._refuse()

    def exists(self, key: str) -> bool:
        self._refuse()

    def keys(self, prefix: str = "") -> list[str]:
        self._refuse()

    def iterate(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        self._refuse()

    def delete(self, key: str) -> bool:
        self._refuse()

    def sweep(self, older_than_s: float, *, dry_run: bool = False) -> list[str]:
        self._refuse()

    def free_bytes(self) -> int | None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ConfigError(self._reason)
