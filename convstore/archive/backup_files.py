"""The files of a backup: private, hashed while written, read back, on the disk."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from convstore.blobs.base import BlobStore
from convstore.blobs.posix import (
    FILE_MODE,
    FOLDER_MODE,
    forget_cached,
    sync_file,
    translated,
)
from convstore.vocabulary.errors import (
    NO_SPACE,
    ConfigError,
    CorruptionError,
    SegmentNotFoundError,
    StorageFullError,
)
from convstore.vocabulary.record import Value

_CHUNK_BYTES = 4 * 1024 * 1024


class Copied(Value, frozen=True):
    """A file of the backup."""

    size_bytes: int
    sha256: str


class Sums:
    """The checksums of all files, as `sha256sum --check` takes them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Sums:
        self._path.unlink(missing_ok=True)
        self._file = os.fdopen(_new(self._path), "w", encoding="utf-8")
        return self

    def add(self, name: str, copied: Copied) -> None:
        """Note the sum of a file, by its place in the backup."""
        with translated("write", self._path.name):
            self._file.write(f"{copied.sha256}  {name}\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with translated("write", self._path.name), self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())


def begin(to: Path, claimed: Path) -> bool:
    """Take an empty folder, made if need be, for one backup; whether it was there.

    Raises:
        ConfigError: It is not empty, or no folder that this user may write to.
        StorageFullError: There is no room for it.
    """
    was_there = to.exists()
    if was_there and not to.is_dir():
        raise ConfigError(f"{to} is not an empty folder")
    try:
        _make_folders(to)
        if any(to.iterdir()):
            raise ConfigError(
                f"{to} is not empty: give each backup a folder of its own"
            )
        # Of two that found it empty, one makes this file.
        os.close(_new(claimed))
    except FileExistsError as error:
        raise ConfigError(f"{to} is not an empty folder") from error
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError(f"{to}: no space left for a backup") from error
        why = os.strerror(error.errno or 0)
        raise ConfigError(f"{to} cannot take a backup: {why}") from error
    sync_folder(to)
    sync_folder(to.parent)
    return was_there


def make_empty(path: Path) -> None:
    """An empty file that nobody else may read, in place of what was there."""
    path.unlink(missing_ok=True)
    os.close(_new(path))


def copy_blob(source: BlobStore, target: BlobStore, key: str) -> Copied | None:
    """Copy one file of the archive and read the copy back; None where it is gone.

    Raises:
        CorruptionError: What was read back is not what was written.
    """
    staged, told, size = target.create(key), hashlib.sha256(), 0
    try:
        while True:
            data = source.read(key, size, _CHUNK_BYTES)
            staged.write(data)
            told.update(data)
            size += len(data)
            if len(data) < _CHUNK_BYTES:
                break
        staged.sync()
        back = hashlib.sha256()
        for offset in range(0, size, _CHUNK_BYTES):
            back.update(staged.read(offset, _CHUNK_BYTES))
        if back.digest() != told.digest():
            raise CorruptionError(f"{key}: the copy reads back differently")
        staged.publish()
    except SegmentNotFoundError:
        return None
    finally:
        staged.abort()
    return Copied(size, told.hexdigest())


def hashed(path: Path) -> Copied:
    """Size and checksum of a file as the disk has it."""
    told, size = hashlib.sha256(), 0
    with translated("read", path.name), path.open("rb") as file:
        forget_cached(file.fileno())
        while data := file.read(_CHUNK_BYTES):
            told.update(data)
            size += len(data)
    return Copied(size, told.hexdigest())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there already, durably."""
    with translated("write", path.name), path.open("r+b") as file:
        file.write(data)
        file.flush()
        sync_file(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def _make_folders(to: Path) -> None:
    """Make a folder and those above it that are missing, for their owner alone."""
    if not to.exists():
        _make_folders(to.parent)
        with suppress(FileExistsError):
            to.mkdir(mode=FOLDER_MODE)


def _new(path: Path) -> int:
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    return os.open(path, flags, FILE_MODE)
