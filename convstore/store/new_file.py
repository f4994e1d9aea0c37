"""A file that appears whole or not at all, and never in another one's place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from convstore.vocabulary.errors import (
    NO_SPACE,
    InvalidInputError,
    StorageFullError,
    shown,
)

# Python closes it in child processes by itself; not every system has a flag for it.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@contextmanager
def new_file(field: str, to: Path) -> Iterator[IO[bytes]]:
    """A file to write to, for its owner alone; it has its name when the block is left.

    Call `settle` as the last thing in the block: in a thread, where there is a loop.

    Raises:
        InvalidInputError: `field`: it is there already, or cannot be made.
        StorageFullError: There is no room for it.
    """
    part = to.with_name(f"{to.name}.part")
    for path in (to, part):
        if os.path.lexists(path):
            raise InvalidInputError(field, f"{shown(str(path))} is there already")
    with _told(field, to):
        descriptor = os.open(part, _FLAGS, 0o600)
    try:
        with open(descriptor, "wb") as file, _told(field, to):
            yield file
        with _told(field, to):
            os.rename(part, to)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def settle(file: IO[bytes]) -> None:
    """Make what was written durable."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _told(field: str, to: Path) -> Iterator[None]:
    """Errors of the file as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError(str(to.parent)) from error
        if error.errno is None:
            raise
        raise InvalidInputError(field, f"{to}: {error.strerror}") from error
