"""The bucket that the URL of an archive names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from convstore.blobs.base import BlobStore, is_key
from convstore.vocabulary.errors import ConfigError, MissingExtraError
from convstore.vocabulary.policy import ObjectStoragePolicy

if TYPE_CHECKING:
    from obstore.store import ObjectStore


def bucket_store(url: str, settings: ObjectStoragePolicy) -> BlobStore:
    """The store of `s3://`, `gs://` or `az://` BUCKET`/PREFIX`; nothing is asked yet.

    Credentials come from where the makers' tools look: the environment, the machine's
    role.

    Raises:
        MissingExtraError: `object-storage` is not installed.
        ConfigError: The URL or a setting cannot be used.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    if not bucket or any(c in bucket for c in "@:?#"):
        raise ConfigError(f"ARCHIVE_DIR: {scheme}://BUCKET/PREFIX is meant")
    if prefix and not is_key(prefix):
        raise ConfigError(
            "ARCHIVE_DIR: a prefix is of letters, digits, `_`, `-` and inner dots"
        )
    try:
        from convstore.blobs.object_store import ObjectBlobs
    except ImportError:
        raise MissingExtraError("an archive in a bucket", "object-storage") from None
    # What is not S3 has a copy that replaces nothing.
    way = settings.publish if scheme == "s3" else "copy"
    place = "/".join(filter(None, (settings.endpoint, f"{scheme}:{bucket}", prefix)))
    try:
        store = _client(scheme, bucket, prefix, settings)
    except Exception as error:  # noqa: BLE001 - of the client, in many types
        name = type(error).__name__
        raise ConfigError(f"ARCHIVE_DIR: no client for this bucket: {name}") from None
    return ObjectBlobs(store, place, publish=way)


def _client(
    scheme: str, bucket: str, prefix: str, settings: ObjectStoragePolicy
) -> ObjectStore:
    from obstore import store

    timeout = timedelta(seconds=settings.timeout_s)
    given: dict[str, Any] = {
        "prefix": prefix or None,
        "client_options": {"timeout": timeout, "connect_timeout": timeout},
        "retry_config": {"max_retries": 4, "retry_timeout": 2 * timeout},
    }
    if settings.endpoint is not None:
        given["endpoint"] = settings.endpoint
        if settings.endpoint.startswith("http://"):
            given["client_options"]["allow_http"] = True
    if scheme == "gs":
        if "endpoint" in given:
            given["base_url"] = given.pop("endpoint")
        return store.GCSStore(bucket, **given)
    if scheme == "az":
        return store.AzureStore(bucket, **given)
    if settings.region is not None:
        given["region"] = settings.region
    return store.S3Store(bucket, copy_if_not_exists="multipart", **given)
