"""A folder that appears whole or not at all: built beside its place, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from convstore.codec import dumps
from convstore.errors import AlreadyExistsError, StorageFullError, shown
from convstore.export.writers.base import FileRecord, HashedFile
from convstore.records import Json

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
_NO_SPACE = (28, 122)  # ENOSPC, EDQUOT


def refuse_existing(target: Path) -> None:
    """Refuse a target that holds anything: an export never mixes with another.

    Raises:
        AlreadyExistsError: It is a file, or a folder that is not empty.
    """
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise AlreadyExistsError(f"export folder {shown(str(target))}")


def partial_of(target: Path) -> Path:
    """Where the folder is built: beside the target, so that a rename is atomic."""
    return target.with_name(target.name + ".partial")


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


def storage_error(error: OSError) -> StorageFullError | None:
    """The typed error for a full disk; None if the fault is another."""
    if error.errno in _NO_SPACE:
        return StorageFullError("no space left for the export; nothing was published")
    return None


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
