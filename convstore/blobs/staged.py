"""A file on its way into a local blob store: the only code that publishes one."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from convstore.blobs.base import STAGING_FOLDER, StepHook
from convstore.blobs.posix import (
    CLOSE_ON_EXEC,
    FILE_MODE,
    NO_FOLLOW,
    check_regular,
    forget_cached,
    open_chain,
    read_range,
    sync_chain,
    sync_file,
    translated,
)
from convstore.vocabulary.errors import ConfigError, UnavailableError

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | CLOSE_ON_EXEC

# What `link` says where a file system has no such thing.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
# A delete elsewhere may remove the target's empty folder just before the link. Each
# time this happens somebody else made progress, so a few tries are plenty.
_LINK_TRIES = 5


class LocalStaged:
    """A `StagedBlob` as a file in `tmp/`; any error drops it."""

    def __init__(self, root: Path, key: str, on_step: StepHook) -> None:
        self._root, self._key, self._on_step = root, key, on_step
        # Random, because a crash may have left a staged file of the same blob.
        self._name = f"{key.rpartition('/')[2]}.{secrets.token_hex(8)}"
        self._size = 0
        self._writing = -1
        self._reading = -1
        self._synced = False
        self._identity = (0, 0)
        try:
            with translated("create", key):
                self._create()
            on_step("write.open")
        except BaseException:
            self.abort()
            raise

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._size

    def write(self, data: bytes) -> None:
        """Append all of `data`; see `StagedBlob.write`."""
        if self._writing < 0:
            raise ConfigError(f"blob {self._key!r} is no longer being written")
        try:
            with translated("write", self._key):
                self._write_all(memoryview(data))
        except BaseException:
            self.abort()
            raise

    def sync(self) -> None:
        """Make the file durable and end writing; see `StagedBlob.sync`."""
        if self._writing < 0:
            raise ConfigError(f"blob {self._key!r} is no longer being written")
        try:
            with translated("sync", self._key):
                # Once only: after a failed fsync Linux marks the lost pages clean, so
                # that a second call would report success. The file is dropped instead.
                sync_file(self._writing)
                self._on_step("fsync.file")
                forget_cached(self._writing)
                descriptor, self._writing = self._writing, -1
                os.close(descriptor)
        except BaseException:
            self.abort()
            raise
        self._synced = True
        self._on_step("write.close")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes as stored; see `StagedBlob.read`."""
        self._check_synced()
        with translated("read back", self._key):
            if self._reading < 0:
                self._reading = self._reopen()
            return read_range(self._reading, offset, length)

    def publish(self) -> None:
        """Link the file under its key, durably; see `StagedBlob.publish`."""
        self._check_synced()
        try:
            with translated("publish", self._key):
                self._publish()
        except BaseException:
            self.abort()
            raise
        self._close()

    def abort(self) -> None:
        """Drop the file; see `StagedBlob.abort`."""
        self._close()
        # Best effort: an error here would hide the one that led here, and `sweep`
        # removes what stays.
        with (
            suppress(OSError, ConfigError),
            open_chain(self._root, [STAGING_FOLDER]) as (_, staging),
        ):
            os.unlink(self._name, dir_fd=staging)

    def _create(self) -> None:
        with open_chain(self._root, [STAGING_FOLDER], create=True) as (_, staging):
            self._writing = os.open(self._name, _NEW_FILE, FILE_MODE, dir_fd=staging)
        # The umask may have taken bits away from the mode given to open.
        os.fchmod(self._writing, FILE_MODE)
        self._identity = _identity(os.fstat(self._writing))

    def _write_all(self, rest: memoryview) -> None:
        while rest:
            written = os.write(self._writing, rest)
            if written == 0:
                raise UnavailableError(f"blob {self._key!r}: the disk took no bytes")
            self._size += written
            rest = rest[written:]

    def _reopen(self) -> int:
        flags = os.O_RDONLY | NO_FOLLOW | CLOSE_ON_EXEC
        with open_chain(self._root, [STAGING_FOLDER]) as (_, staging):
            descriptor = os.open(self._name, flags, dir_fd=staging)
        try:
            state = check_regular(descriptor, self._key)
            if _identity(state) != self._identity:
                raise ConfigError(f"staged blob {self._key!r} was replaced")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _publish(self) -> None:
        with open_chain(self._root, [STAGING_FOLDER]) as (_, staging):
            for _ in range(_LINK_TRIES - 1):
                # Not there: the staged file, or a folder that a delete took away.
                with suppress(FileNotFoundError):
                    return self._link(staging)
            return self._link(staging)

    def _link(self, staging: int) -> None:
        *parts, name = self._key.split("/")
        with open_chain(self._root, parts, create=True) as chain:
            self._on_step("publish.mkdir")
            # Unlike a rename, a link never replaces what has the name.
            try:
                os.link(
                    self._name,
                    name,
                    src_dir_fd=staging,
                    dst_dir_fd=chain[-1],
                    follow_symlinks=False,
                )
            except OSError as error:
                # The file is ours and both folders were just written to: what is
                # missing is not a right.
                if error.errno not in _NO_LINKS:
                    raise
                raise ConfigError(
                    "the file system of the archive has no hard links, as SMB and "
                    "exFAT have none, and without them nothing can be published that "
                    "is sure to replace nothing: put the archive on another one"
                ) from error
            self._on_step("publish.link")
            # Swept meanwhile is as good as removed.
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=staging)
            self._on_step("publish.unlink_tmp")
            sync_chain(chain)
            # Durable from here on: the bytes since `sync`, now the name.
            self._on_step("publish.dirsync")

    def _check_synced(self) -> None:
        if not self._synced:
            raise ConfigError(f"blob {self._key!r} was not synced, or is finished")

    def _close(self) -> None:
        for descriptor in (self._writing, self._reading):
            if descriptor >= 0:
                # Nothing depends on these bytes any more.
                with suppress(OSError):
                    os.close(descriptor)
        self._writing = self._reading = -1
        self._synced = False


def _identity(state: os.stat_result) -> tuple[int, int]:
    return state.st_dev, state.st_ino
