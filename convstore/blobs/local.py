"""Blobs as files under one folder of a POSIX file system with hard links.

Folders are 0700 and files 0600, whatever the umask. Keys become paths; ids of callers
never do. Staged files live in `tmp/` of the same folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convstore.blobs.base import (
    STAGING_FOLDER,
    StagedBlob,
    StepHook,
    check_key,
    check_prefix,
    is_key,
    silent,
)
from convstore.blobs.posix import (
    CLOSE_ON_EXEC,
    FOLDER_FLAGS,
    NO_FOLLOW,
    check_regular,
    open_chain,
    prune_empty,
    read_range,
    sync_file,
    translated,
)
from convstore.blobs.staged import LocalStaged
from convstore.vocabulary.clock import Clock, SystemClock, to_micros
from convstore.vocabulary.errors import SegmentNotFoundError

# Opening a pipe that somebody put in place of a blob must not wait for a writer.
_READ_FLAGS = os.O_RDONLY | NO_FOLLOW | CLOSE_ON_EXEC | getattr(os, "O_NONBLOCK", 0)


class LocalBlobs:
    """A `BlobStore` in the folder `root`, which is made when first written to.

    Safe for any number of threads and processes. `root` itself may be reached through
    symbolic links; nothing below it may.
    Needs a system with folder descriptors; see `blobs.selection`.
    """

    def __init__(self, root: Path | str, *, clock: Clock | None = None) -> None:
        self._root = Path(os.path.abspath(root))
        self._clock = clock or SystemClock()

    @property
    def root(self) -> Path:
        """The folder, absolute."""
        return self._root

    def create(self, key: str, *, on_step: StepHook = silent) -> StagedBlob:
        """Begin a new blob; see `BlobStore.create`."""
        return LocalStaged(self._root, check_key(key), on_step)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """The blob or a range of it; see `BlobStore.read`."""
        with translated("read", key), self._opened(key) as (descriptor, size):
            wanted = size - offset if length is None else min(length, size - offset)
            return read_range(descriptor, offset, wanted)

    def size(self, key: str) -> int:
        """Bytes of the blob; see `BlobStore.size`."""
        with translated("look at", key), self._opened(key) as (_, size):
            return size

    def exists(self, key: str) -> bool:
        """Whether the blob is there; see `BlobStore.exists`."""
        try:
            self.size(key)
        except SegmentNotFoundError:
            return False
        return True

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted; see `BlobStore.keys`."""
        return list(self.iterate(prefix))

    def iterate(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """The keys behind `after`, in order; see `BlobStore.iterate`."""
        folder = check_prefix(prefix).rpartition("/")[0]
        parts = folder.split("/") if folder else []
        try:
            with (
                translated("list", prefix),
                open_chain(self._root, parts) as chain,
            ):
                for key in _walk(chain[-1], f"{folder}/" if folder else "", after):
                    if key.startswith(prefix) and key > after:
                        yield key
        except SegmentNotFoundError:
            return

    def delete(self, key: str) -> bool:
        """Remove the blob durably; see `BlobStore.delete`.

        Folders that become empty go with it.
        """
        *parts, name = check_key(key).split("/")
        try:
            with (
                translated("delete", key),
                open_chain(self._root, parts) as chain,
            ):
                removed = _unlink(name, chain[-1])
                # Also when it was gone: an earlier delete may have died before this.
                sync_file(chain[-1])
                prune_empty(chain, parts)
                return removed
        except SegmentNotFoundError:
            return False

    def sweep(self, older_than_s: float, *, dry_run: bool = False) -> list[str]:
        """Drop forgotten staged files; see `BlobStore.sweep`."""
        try:
            with (
                translated("sweep", STAGING_FOLDER),
                open_chain(self._root, [STAGING_FOLDER]) as (_, staging),
            ):
                names = self._older_than(older_than_s, staging)
                if names and not dry_run:
                    names = [name for name in names if _unlink(name, staging)]
                    sync_file(staging)
                return names
        except SegmentNotFoundError:
            return []

    def place(self, key: str) -> tuple[str, ...]:
        """The folder's path, and the file's number on its disk; see `Placed`."""
        names = [f"path:{os.path.realpath(self._root)}"]
        try:
            with translated("look at", key), self._opened(key) as (descriptor, _):
                names.append(f"inode:{os.fstat(descriptor).st_ino}")
        except SegmentNotFoundError:
            pass
        return tuple(names)

    def free_bytes(self) -> int | None:
        """Bytes that this user may still write on the file system of `root`."""
        folder = self._root
        while not folder.exists():
            folder = folder.parent
        with translated("find the room left for", "*"):
            state = os.statvfs(folder)
        return state.f_bavail * state.f_frsize

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, int]]:
        *parts, name = check_key(key).split("/")
        with open_chain(self._root, parts) as chain:
            descriptor = os.open(name, _READ_FLAGS, dir_fd=chain[-1])
        try:
            yield descriptor, check_regular(descriptor, key).st_size
        finally:
            os.close(descriptor)

    def _older_than(self, age_s: float, staging: int) -> list[str]:
        newest = to_micros(self._clock.now()) * 1_000 - int(age_s * 1e9)
        names = []
        with os.scandir(staging) as entries:
            for entry in entries:
                state = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(state.st_mode) and state.st_mtime_ns <= newest:
                    names.append(entry.name)
        return sorted(names)


def _walk(folder: int, prefix: str, after: str) -> Iterator[str]:
    """The keys below a folder in order; whole folders before `after` are left out."""
    with os.scandir(folder) as entries:
        found = [
            (f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name)
            for entry in entries
            if entry.is_dir(follow_symlinks=False)
            or entry.is_file(follow_symlinks=False)
        ]
    # With its slash a folder sorts as the keys that are in it do.
    for name in sorted(found):
        key = prefix + name
        if not name.endswith("/"):
            if is_key(key):
                yield key
        elif is_key(f"{key}x") and not (key < after and not after.startswith(key)):
            yield from _walk_below(folder, name[:-1], key, after)


def _walk_below(parent: int, name: str, prefix: str, after: str) -> Iterator[str]:
    try:
        descriptor = os.open(name, FOLDER_FLAGS | NO_FOLLOW, dir_fd=parent)
    except FileNotFoundError:  # Deleted by another process since it was listed.
        return
    try:
        yield from _walk(descriptor, prefix, after)
    finally:
        os.close(descriptor)


def _unlink(name: str, folder: int) -> bool:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True
