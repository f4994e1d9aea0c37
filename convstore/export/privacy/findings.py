"""What is personal in a text, who finds it, and where that is kept between exports."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import struct
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convstore.vocabulary.errors import (
    NO_SPACE,
    InvalidInputError,
    StorageFullError,
    shown,
)

log = logging.getLogger(__name__)

PAGE_BYTES = 4_096
PAGES = 32_768
"""128 MiB: room for some three million texts in which little was found."""

OPTION = "redaction_cache"
_HEADER = b"convstore redaction cache 1\n"
_COUNT = struct.Struct("<H")
_FIND = struct.Struct("<IIB")
_KEY_BYTES = 32
_CHECK_BYTES = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of text that is personal: from `start` up to `end`, exclusive."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds personal data. Pure: the same version finds the same in the same text.

    Attributes:
        name: What the option `redact` calls it.
        version: Of everything that decides what it finds: its own patterns and choices,
            and the libraries that do the work.
        kinds: Every kind that it tells, in a fixed order.
        find: What is personal in a text, in order, without overlaps.
    """

    name: str
    version: str
    kinds: tuple[str, ...]
    find: Callable[[str], Sequence[Found]]


class FindCache:
    """Finds in a file that any number of exports share. It holds no text.

    The file is a header page and pages of entries; the hash of a text names its page.
    An entry is the hash, what was found where, and a checksum. A new one is put before
    the others of its page, and what is then too much at the end of the page falls off:
    so the file never grows, and the oldest go. A page is read and written whole, and
    nobody waits for anybody: of two that write one page at once, one entry may be
    lost, which costs the time to search that text again. The same is true of what a
    crash tore and of whatever was damaged, since an entry whose checksum is wrong is
    none. The file can be deleted at any moment.

    Args:
        path: Made if it is not there, for its owner alone; its folder must be.
        finder: Whose finds these are. Those of others are beside them, unseen.

    Raises:
        InvalidInputError: The file is another one, others may write it, or it cannot be
            opened. It was not changed.
        StorageFullError: There is no room for the first page.
    """

    def __init__(self, path: Path, finder: Finder) -> None:
        self._kinds = finder.kinds
        self._numbers = {kind: number for number, kind in enumerate(finder.kinds)}
        self._file: int | None = _opened(path)
        self._closing = weakref.finalize(self, os.close, self._file)

    def get(self, key: bytes) -> Sequence[Found] | None:
        """What was found in the text of this key; None if that is not known."""
        page = self._read(key)
        at = page.find(key) + _KEY_BYTES
        if at < _KEY_BYTES or at + _COUNT.size > len(page):
            return None
        (count,) = _COUNT.unpack_from(page, at)
        end = at + _COUNT.size + count * _FIND.size
        if page[end : end + _CHECK_BYTES] != _check(page[at - _KEY_BYTES : end]):
            return None
        finds = _FIND.iter_unpack(page[at + _COUNT.size : end])
        return [Found(start, stop, self._kinds[kind]) for start, stop, kind in finds]

    def put(self, key: bytes, found: Sequence[Found]) -> None:
        """Keep what was found. Nothing is kept of a text that fills half a page."""
        entry = b"".join(
            (
                key,
                _COUNT.pack(min(len(found), PAGE_BYTES)),
                *(_FIND.pack(f.start, f.end, self._numbers[f.kind]) for f in found),
            )
        )
        if len(entry) > PAGE_BYTES // 2:
            return
        page = entry + _check(entry) + self._read(key)
        self._write(key, page[:PAGE_BYTES])

    def close(self) -> None:
        """Let go of the file. Idempotent; nothing is known any more."""
        self._file = None
        self._closing()

    def _read(self, key: bytes) -> bytes:
        if self._file is None:
            return b""
        try:
            return os.pread(self._file, PAGE_BYTES, _place(key))
        except OSError as error:
            self._give_up(error)
            return b""

    def _write(self, key: bytes, page: bytes) -> None:
        if self._file is None:
            return
        try:
            os.pwrite(self._file, page, _place(key))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Go on without the file: it saves time, and decides nothing."""
        self.close()
        log.warning(
            "the redaction cache is not used any more: %s",
            os.strerror(error.errno or 0),
            extra={"event": "redaction_cache_lost"},
        )


def _place(key: bytes) -> int:
    return PAGE_BYTES * (1 + int.from_bytes(key[:4]) % PAGES)


def _check(entry: bytes) -> bytes:
    return hashlib.blake2b(entry, digest_size=_CHECK_BYTES).digest()


def _opened(path: Path) -> int:
    """The file, which is one of ours; open as long as somebody closes it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _claim(file)
        except BaseException:
            os.close(file)
            raise
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError("no space left for the redaction cache") from error
        raise InvalidInputError(
            OPTION, f"{shown(str(path))}: {os.strerror(error.errno or 0)}"
        ) from error
    return file


def _claim(file: int) -> None:
    """Make a new file ours; refuse one that is not."""
    facts = os.fstat(file)
    if not stat.S_ISREG(facts.st_mode):
        raise InvalidInputError(OPTION, "is no file")
    if facts.st_size == 0:
        os.fchmod(file, 0o600)
        # Twice at once, it is the same.
        os.pwrite(file, _HEADER, 0)
        os.fsync(file)
        return
    if os.pread(file, len(_HEADER), 0) != _HEADER:
        raise InvalidInputError(OPTION, "is a file of something else")
    # Who may write it can say that there is nothing to redact.
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InvalidInputError(OPTION, "may be written by others: chmod 600")
