"""Errors of the operating system, told in the words of the library."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from convstore.vocabulary.errors import (
    NEEDS_SETUP,
    NO_SPACE,
    AlreadyExistsError,
    ConfigError,
    ConvstoreError,
    SegmentNotFoundError,
    StorageFullError,
    UnavailableError,
)


@contextmanager
def translated(action: str, key: str) -> Iterator[None]:
    """Raise our error for any `OSError` inside, with its errno name and no content."""
    try:
        yield
    except OSError as error:
        raise blob_error(error, action, key) from error


def blob_error(error: OSError, action: str, key: str) -> ConvstoreError:
    """Our error for a failed `action` ("write", "read", …) on the blob `key`."""
    code = error.errno or 0
    if code == errno.ENOENT:
        return SegmentNotFoundError(key)
    if code == errno.EEXIST:
        return AlreadyExistsError(f"blob {key!r}")
    name = errno.errorcode.get(code, "unknown error")
    problem = f"cannot {action} blob {key!r}: {name}"
    if code in NO_SPACE:
        return StorageFullError(problem)
    if code in NEEDS_SETUP:
        return ConfigError(
            f"{problem}; the archive must be a folder that this user may write to"
        )
    return UnavailableError(problem)
