"""Errors of an object store's client, told in the words of the library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore import exceptions

from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ArchiveAwayError,
    ConfigError,
    ConvstoreError,
    SegmentNotFoundError,
    StorageFullError,
    UnavailableError,
)

ERRORS = (exceptions.BaseError, OSError)
"""What the client raises. A missing object is `FileNotFoundError` there."""

# As the servers name them in the body of their answer. A missing bucket has the status
# of a missing object, and must not be taken for one.
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist")
_REFUSED = re.compile(
    r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|code: 40[13] "
    r"|InvalidBucketName|PermanentRedirect|code: 301 "
)
_FULL = re.compile(r"QuotaExceeded|code: 507 |InsufficientStorage")
_STATUS = re.compile(r"status code: ([0-9]{3})")
# The second and the third are how Azure's imitation for tests is understood.
_BEYOND = re.compile(
    r"status code: 416|Wanted range starting at [0-9]+, but object was only "
    r'|CONTENT_RANGE header: "bytes 0--1/0"'
)

_DENIED = (
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.NotSupportedError,
    exceptions.InvalidPathError,
    exceptions.UnknownConfigurationKeyError,
)


def is_beyond_the_end(error: BaseException) -> bool:
    """Whether a range begins where the object has ended already."""
    return _BEYOND.search(str(error)) is not None


@contextmanager
def translated(action: str, key: str) -> Iterator[None]:
    """Raise our error for any of the client's inside, without what the server said."""
    try:
        yield
    except ERRORS as error:
        raise object_error(error, action, key) from error


def object_error(error: Exception, action: str, key: str) -> ConvstoreError:
    """Our error for a failed `action` ("read", "publish", …) on the blob `key`."""
    said = str(error)
    if _NO_BUCKET.search(said):
        return ArchiveAwayError("there is no such bucket")
    if isinstance(error, FileNotFoundError):
        return SegmentNotFoundError(key)
    if isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
        return AlreadyExistsError(f"blob {key!r}")
    found = _STATUS.search(said)
    why = f"status {found[1]}" if found else type(error).__name__
    problem = f"cannot {action} blob {key!r}: {why}"
    if _FULL.search(said):
        return StorageFullError(problem)
    if isinstance(error, _DENIED) or _REFUSED.search(said):
        return ConfigError(
            f"{problem}; the archive must be a bucket whose objects these credentials "
            "may list, read, write and delete"
        )
    return UnavailableError(problem)
