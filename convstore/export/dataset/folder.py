"""A folder that appears whole or not at all: built beside its place, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from convstore.export.writers.base import FileRecord, HashedFile
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import (
    NEEDS_SETUP,
    NO_SPACE,
    AlreadyExistsError,
    ConfigError,
    ExportRefusedError,
    InvalidInputError,
    StorageFullError,
    shown,
)
from convstore.vocabulary.records import Json

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
WORK = ".work"


def refuse_existing(target: Path) -> None:
    """Refuse a target that holds anything: an export never mixes with another.

    Raises:
        AlreadyExistsError: It is a file, or a folder that is not empty.
        InvalidInputError: It cannot be looked into, or cannot be replaced.
    """
    with _told(target):
        if os.path.ismount(target):
            raise _mounted(target)
        if not target.name:
            raise InvalidInputError("to", "a folder is built beside it: give its name")
        if target.is_dir() and not any(target.iterdir()):
            return
        if target.exists() or target.is_symlink():
            raise AlreadyExistsError(f"export folder {shown(str(target))}")


def _mounted(target: Path) -> InvalidInputError:
    problem = "is a mount point, and cannot be replaced at the end: name a folder in it"
    return InvalidInputError("to", f"{target} {problem}")


def _refuse_closed(target: Path) -> None:
    """What a real run would find out by making its folder."""
    above = next(p for p in target.absolute().parents if os.path.lexists(p))
    effective = os.access in os.supports_effective_ids
    if not os.access(above, os.W_OK | os.X_OK, effective_ids=effective):
        raise InvalidInputError("to", f"{above} cannot be written to")


def beside(target: Path) -> Path:
    """The folder in which a target is built."""
    return target.with_name(target.name + ".partial")


@contextmanager
def building(target: Path, dry_run: bool) -> Iterator[Path]:
    """The folder to build in: beside the target, held by this process alone.

    It stays when the export is interrupted, so that the next one goes on from there;
    not when it was refused, or the disk is full. A dry run builds in a temporary one.

    Raises:
        AlreadyExistsError: Another export is building there, or it is not ours.
        InvalidInputError: The place may not be written to.
        StorageFullError: The disk filled up meanwhile.
    """
    if dry_run:
        _refuse_closed(target)
        with _told(), tempfile.TemporaryDirectory(prefix="convstore-export-") as folder:
            yield Path(folder)
        return
    partial = beside(target)
    ours = [path for path in (partial, *partial.parents) if not os.path.lexists(path)]
    try:
        with _told(partial):
            partial.mkdir(parents=True, exist_ok=True)
            if any(partial.iterdir()) and not (partial / WORK).is_dir():
                # Not ours: an unfinished export always has its work folder.
                raise AlreadyExistsError(f"folder {shown(str(partial))}")
            with _held(partial, target):
                (partial / WORK).mkdir(exist_ok=True)
                yield partial
    except (ExportRefusedError, InvalidInputError, StorageFullError):
        for path in ours:
            with suppress(OSError):  # Not empty, and so of use to somebody.
                path.rmdir()
        raise


@contextmanager
def _told(place: Path | None = None) -> Iterator[None]:
    """Tell apart a disk that is full and a place that may not be written to."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            told = "no space left for the export; nothing was published"
            raise StorageFullError(told) from error
        if place is None or error.errno not in NEEDS_SETUP:
            raise
        name = error.filename or (place if error.errno == errno.EROFS else None)
        # Others open files meanwhile too: a tokenizer, a former export.
        if isinstance(name, str | Path) and _on_the_way(Path(name), place):
            problem = f"{name} cannot be written: {error.strerror}"
            raise InvalidInputError("to", problem) from error
        raise


def _on_the_way(path: Path, place: Path) -> bool:
    """Whether it is that place, a folder above it, or in it."""
    one, other = path.absolute(), place.absolute()
    return one.is_relative_to(other) or other.is_relative_to(one)


@contextmanager
def _held(partial: Path, target: Path) -> Iterator[None]:
    """Lock the folder against other exports; the lock goes with the process."""
    lock = os.open(partial, os.O_RDONLY)
    try:
        _hold(lock, partial, target)
        yield
    except ExportRefusedError:
        discard(partial)
        raise
    except OSError as error:
        if error.errno in NO_SPACE:
            discard(partial)
        raise
    finally:
        os.close(lock)


def _hold(lock: int, partial: Path, target: Path) -> None:
    try:
        import fcntl
    except ImportError as error:  # pragma: no cover - Windows
        raise ConfigError("an export needs file locks: a POSIX system") from error
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
    with HashedFile(path) as file:
        file.write(data)
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
    except OSError as error:
        refuse_existing(target)
        if error.errno == errno.EBUSY:
            raise _mounted(target) from error
        raise
    _sync(target.parent)


def clear(root: Path) -> None:
    """Remove what an interrupted run wrote for readers, and leave what it works on."""
    for path in root.iterdir():
        if path.name != WORK and path.is_dir():
            discard(path)
        elif path.name != WORK:
            path.unlink()


def discard(folder: Path) -> None:
    """Remove an unfinished folder, if it is there."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        # Of its own it names what could not be removed without the way there.
        error.filename = str(folder)
        raise


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
