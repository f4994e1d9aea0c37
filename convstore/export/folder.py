"""A folder that appears whole or not at all: built beside its place, then renamed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from convstore.codec import dumps
from convstore.errors import (
    NO_SPACE,
    AlreadyExistsError,
    ExportRefusedError,
    StorageFullError,
    shown,
)
from convstore.export.writers.base import FileRecord, HashedFile
from convstore.records import Json

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
WORK = ".work"


def refuse_existing(target: Path) -> None:
    """Refuse a target that holds anything: an export never mixes with another.

    Raises:
        AlreadyExistsError: It is a file, or a folder that is not empty.
    """
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise AlreadyExistsError(f"export folder {shown(str(target))}")


@contextmanager
def building(target: Path, dry_run: bool) -> Iterator[Path]:
    """The folder to build in: beside the target, held by this process alone.

    It stays when the export is interrupted, so that the next one goes on from there;
    not when it was refused, or the disk is full. A dry run builds in a temporary one.

    Raises:
        AlreadyExistsError: Another export is building there, or it is not ours.
        StorageFullError: The disk filled up meanwhile.
    """
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="convstore-export-") as folder:
            yield Path(folder)
        return
    partial = target.with_name(target.name + ".partial")
    with _room_for(partial):
        partial.mkdir(parents=True, exist_ok=True)
    if any(partial.iterdir()) and not (partial / WORK).is_dir():
        # Not ours: an unfinished export always has its work folder.
        raise AlreadyExistsError(f"folder {shown(str(partial))}")
    lock = os.open(partial, os.O_RDONLY)
    try:
        _hold(lock, partial, target)
        with _room_for(partial):
            (partial / WORK).mkdir(exist_ok=True)
            yield partial
    except ExportRefusedError:
        discard(partial)
        raise
    finally:
        os.close(lock)


@contextmanager
def _room_for(partial: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        discard(partial)
        told = "no space left for the export; nothing was published"
        raise StorageFullError(told) from error


def _hold(lock: int, partial: Path, target: Path) -> None:
    """Lock the folder against other exports; the lock goes with the process."""
    busy = AlreadyExistsError(f"an export to {shown(str(target))}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    if not partial.exists() or not os.path.samestat(os.fstat(lock), partial.stat()):
        # Another export published the folder between our opening and locking it.
        raise busy


def write_file(root: Path, name: str, data: bytes) -> FileRecord:
    """Write one small file durably; returns its line of the manifest."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    file = HashedFile(path)
    file.write(data)
    file.close()
    return file.record(name, None)


def seal_folder(
    root: Path, files: Sequence[FileRecord], facts: dict[str, Json]
) -> None:
    """Write `manifest.json` and `SHA256SUMS` over the files of one data set."""
    listed = sorted(files, key=lambda file: file.path)
    manifest = {"schema_version": 1, **facts, "files": [_line(file) for file in listed]}
    own = write_file(root, MANIFEST, dumps(manifest, indent=True) + b"\n")
    sums = "".join(f"{file.sha256}  {file.path}\n" for file in [*listed, own])
    write_file(root, SUMS, sums.encode())


def publish(partial: Path, target: Path) -> None:
    """Give the finished folder its name; it is durable after this.

    Raises:
        AlreadyExistsError: Somebody filled the target meanwhile.
    """
    for folder, _, _ in os.walk(partial):
        _sync(Path(folder))
    refuse_existing(target)
    try:
        os.rename(partial, target)
    except OSError:
        refuse_existing(target)
        raise
    _sync(target.parent)


def discard(folder: Path) -> None:
    """Remove an unfinished folder, if it is there."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _line(file: FileRecord) -> dict[str, Json]:
    line: dict[str, Json] = {
        "path": file.path,
        "sha256": file.sha256,
        "bytes": file.size_bytes,
    }
    return line if file.rows is None else {**line, "rows": file.rows}


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
