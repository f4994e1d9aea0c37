"""Files and folders by descriptor, and what their errors mean: below the root, no link
is ever followed.

Every operation on a blob happens relative to an open folder, so that a folder swapped
for a symbolic link between a check and its use cannot lead outside the root.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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

FOLDER_MODE = 0o700
FILE_MODE = 0o600

# Absent on Windows, where `LocalBlobs` refuses to start and importing must still work.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | CLOSE_ON_EXEC


@contextmanager
def translated(action: str, key: str) -> Iterator[None]:
    """Raise our error for any `OSError` inside, with its errno name and no content."""
    try:
        yield
    except OSError as error:
        raise _blob_error(error, action, key) from error


@contextmanager
def open_chain(
    root: Path, parts: Sequence[str], *, create: bool = False
) -> Iterator[list[int]]:
    """Descriptors of `root` and of each folder below it, the innermost last.

    With `create`, missing folders are made for the owner alone, whatever the umask;
    they are durable once `sync_chain` returned.
    """
    chain: list[int] = []
    try:
        if create:
            _make_root(root)
        chain.append(os.open(root, FOLDER_FLAGS))
        _check_root(root, chain[0])
        for part in parts:
            if create:
                _make_folder(part, chain[-1])
            chain.append(os.open(part, FOLDER_FLAGS | NO_FOLLOW, dir_fd=chain[-1]))
        yield chain
    finally:
        for descriptor in chain:
            os.close(descriptor)


def sync_chain(chain: Sequence[int]) -> None:
    """Make the entries of each folder durable, innermost first.

    The outer ones too, even when they existed: another process may have made them a
    moment ago and not yet synced them.
    """
    for descriptor in reversed(chain):
        sync_file(descriptor)


def prune_empty(chain: Sequence[int], parts: Sequence[str]) -> None:
    """Remove the folders of `parts` that are empty, innermost first, durably."""
    for parent, name in reversed(list(zip(chain, parts, strict=False))):
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError:
            # Not empty, a mount point, or already gone: what stays does no harm.
            return
        sync_file(parent)


def sync_file(descriptor: int) -> None:
    """Put a file or folder on stable storage, as far as the system can."""
    if sys.platform == "darwin":  # pragma: no cover - another system
        import fcntl

        # There, fsync stops at the drive's cache. See the manual page of fsync.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def forget_cached(descriptor: int) -> None:
    """Ask the system to drop its cached pages, so that reading back meets the disk."""
    if sys.platform == "linux":  # pragma: no branch - elsewhere there is no such call
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def check_regular(descriptor: int, key: str) -> os.stat_result:
    """The state of the open file of blob `key`, if it may be trusted.

    Raises:
        ConfigError: Not a regular file, of another owner, or with foreign hard links.
    """
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise ConfigError(f"blob {key!r} is not a regular file")
    if os.geteuid() not in (0, state.st_uid) and state.st_uid != 0:
        raise ConfigError(f"blob {key!r} belongs to another user of this machine")
    # Two while a publication is between its link and the removal of the temporary
    # name, and after a crash there until the next sweep.
    if state.st_nlink > 2:
        raise ConfigError(f"blob {key!r} has hard links of unknown origin")
    return state


def read_range(descriptor: int, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`, fewer only at the end of the file."""
    if length <= 0:
        return b""
    pieces = [os.pread(descriptor, length, offset)]
    got = len(pieces[0])
    # One call gives everything but for files over 2 GiB and odd file systems.
    while pieces[-1] and got < length:
        pieces.append(os.pread(descriptor, length - got, offset + got))
        got += len(pieces[-1])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _make_root(root: Path) -> None:
    missing = []
    while not root.exists():
        missing.append(root)
        root = root.parent
    for folder in reversed(missing):
        parent = os.open(folder.parent, FOLDER_FLAGS)
        try:
            _make_folder(folder.name, parent)
            sync_file(parent)
        finally:
            os.close(parent)


def _make_folder(name: str, parent: int) -> None:
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
    except FileExistsError:
        return
    # The umask may have taken bits away from the mode given to mkdir.
    os.chmod(name, FOLDER_MODE, dir_fd=parent)


def _check_root(root: Path, descriptor: int) -> None:
    mode = os.fstat(descriptor).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigError(
            f"archive folder {str(root)!r} can be changed by every user of this "
            "machine: take the right to write from others (chmod o-w)"
        )


def _blob_error(error: OSError, action: str, key: str) -> ConvstoreError:
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
