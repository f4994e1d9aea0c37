"""The suite of `convstore.testing.blob_suite`, applied to every blob store we ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convstore.blobs.base import BlobStore
from convstore.blobs.buckets import bucket_store
from convstore.blobs.local import LocalBlobs
from convstore.blobs.memory import MemoryBlobs
from convstore.blobs.retrying import RetryingBlobs
from convstore.errors import UnavailableError
from convstore.testing.blob_suite import BlobStoreSuite
from convstore.vocabulary.clock import Clock
from convstore.vocabulary.policy import ObjectStoragePolicy
from tests.servers import S3Server


class TestLocalBlobs(BlobStoreSuite):
    def make_store(self, folder: Path, clock: Clock) -> BlobStore:
        return LocalBlobs(folder, clock=clock)


class _OneStore(BlobStoreSuite):
    """For stores that live in their handle: one per test."""

    @pytest.fixture(autouse=True)
    def _forget(self) -> None:
        self.store: BlobStore | None = None


class TestMemoryBlobs(_OneStore):
    def make_store(self, folder: Path, clock: Clock) -> BlobStore:
        self.store = self.store or MemoryBlobs(clock=clock)
        return self.store


class EverySecondCallFails:
    """Any blob store, away at every other call of an idempotent method."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner, self._calls = inner, 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def call(*args: Any, **options: Any) -> Any:
            self._calls += 1
            if self._calls % 2:
                raise UnavailableError("away for a moment")
            return method(*args, **options)

        return call


class TestRetryingBlobs(_OneStore):
    def make_store(self, folder: Path, clock: Clock) -> BlobStore:
        self.store = self.store or RetryingBlobs(
            EverySecondCallFails(MemoryBlobs(clock=clock)), sleep=lambda seconds: None
        )
        return self.store


class TestObjectsPublishedByCopy(BlobStoreSuite):
    way = "copy"

    @pytest.fixture(autouse=True)
    def _server(self, s3_server: S3Server, bucket: str) -> None:
        if self.way not in s3_server.ways:
            pytest.skip(f"{s3_server.told}: does not publish by {self.way}")
        self.policy = ObjectStoragePolicy(s3_server.url, publish=self.way)  # type: ignore[arg-type]
        self.bucket = bucket

    def make_store(self, folder: Path, clock: Clock) -> BlobStore:
        store: Any = bucket_store(self.bucket, self.policy)
        store._clock = clock
        return store


class TestObjectsPublishedByPut(TestObjectsPublishedByCopy):
    way = "put"
