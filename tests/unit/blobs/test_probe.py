"""The probe finds the stores that cannot serve as an archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from convstore.blobs.memory import MemoryBlobs
from convstore.blobs.probe import probe
from convstore.errors import ConfigError, StorageFullError


def lies_on_reading(blobs: MemoryBlobs) -> None:
    blobs.read = lambda *args: b"other"  # type: ignore[method-assign]


def lies_on_size(blobs: MemoryBlobs) -> None:
    blobs.size = lambda key: 0  # type: ignore[method-assign]


def hides_keys(blobs: MemoryBlobs) -> None:
    blobs.keys = lambda prefix="": []  # type: ignore[method-assign]


def overwrites(blobs: MemoryBlobs) -> None:
    real = blobs.put

    def put(name: str, key: str, data: bytes) -> None:
        blobs.delete(key)
        real(name, key, data)

    blobs.put = put  # type: ignore[method-assign]


def reads_back_something_else(blobs: MemoryBlobs) -> None:
    real = blobs.create

    def create(key: str, **options: Any) -> Any:
        staged: Any = real(key, **options)
        staged.read = lambda offset, length: b"other"
        return staged

    blobs.create = create  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "break_it",
    [lies_on_reading, lies_on_size, hides_keys, overwrites, reads_back_something_else],
)
def test_a_store_that_cannot_serve_is_refused(
    break_it: Callable[[MemoryBlobs], None],
) -> None:
    blobs = MemoryBlobs()
    break_it(blobs)

    with pytest.raises(ConfigError, match="archive"):
        probe(blobs)
    assert MemoryBlobs.keys(blobs) == []
    assert blobs.sweep(0) == []


def test_a_store_without_room_says_so() -> None:
    class Full(MemoryBlobs):
        def put(self, name: str, key: str, data: bytes) -> None:
            raise StorageFullError("full")

    blobs = Full()

    with pytest.raises(StorageFullError):
        probe(blobs)
    assert blobs.sweep(0) == []
