"""The blob store that a place names: a folder, or a URL with the scheme of another."""

from __future__ import annotations

import os
from collections.abc import Callable

from convstore.blobs.absent import AbsentBlobs
from convstore.blobs.base import BlobStore
from convstore.blobs.buckets import bucket_store
from convstore.blobs.local import LocalBlobs
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.policy import ObjectStoragePolicy


def _local(place: str, _: ObjectStoragePolicy) -> BlobStore:
    if os.link not in os.supports_dir_fd:  # Windows
        return AbsentBlobs("an archive in a folder needs a POSIX system")
    return LocalBlobs(place)


STORES: dict[str, Callable[[str, ObjectStoragePolicy], BlobStore]] = {
    "": _local,
    **dict.fromkeys(("s3", "gs", "az"), bucket_store),
}
"""What makes a store of a place, by the scheme of its URL; a path has none."""


def blob_store(place: str, settings: ObjectStoragePolicy | None = None) -> BlobStore:
    """The store at `place`; nothing is read or made yet.

    Raises:
        ConfigError: Nobody knows stores of this scheme.
    """
    scheme, sign, _ = place.partition("://")
    make = STORES.get(scheme if sign else "")
    if make is None:
        known = ", ".join(f"{name}://" for name in STORES if name)
        raise ConfigError(
            f"ARCHIVE_DIR: there is no store for {scheme[:32]!a}; it is a folder, or "
            f"one of {known}"
        )
    return make(place, settings or ObjectStoragePolicy())
