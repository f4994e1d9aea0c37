"""The files of a folder or zip: those that are read, and those that lie beside them.

What a conversation points to (a picture, a recording, a document) may lie beside it. It
is found by the pointer: as a path, or as an id that a file's name begins with. Nothing
outside of the source is looked at, whatever a pointer says.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import unquote

from convstore.imports.source import DEFAULT_LIMITS, SourceLimits
from convstore.messages.media import type_of_bytes
from convstore.vocabulary.errors import ConvstoreError

_SHORTEST_ID = 8
"""Characters; a shorter one is the beginning of too many names."""
_LONGEST_POINTER = 1_000
_BEHIND_ID = ("-", ".", "_")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30})://", re.IGNORECASE)
DATABASES = (".db", ".sqlite", ".sqlite3")
_SOURCES = (*DATABASES, ".zip")
_SOUNDS = {b"OggS": "audio/ogg", b"ID3": "audio/mpeg", b"fLaC": "audio/flac"}
_BOMB_FROM_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the source.

    Attributes:
        name: Its path inside the folder or zip.
        size_bytes: As it lies there, compressed or not.
        open: Opens it; the second value says how many bytes were taken so far, where
            the file object itself decompresses.
    """

    name: str
    size_bytes: int
    open: Callable[
        [], AbstractContextManager[tuple[BinaryIO, Callable[[], int] | None]]
    ]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a file: `kind` is its media type where its bytes tell one."""

    hash: str
    size_bytes: int
    kind: str | None

    @classmethod
    def of(cls, data: bytes) -> Seen:
        kind = type_of_bytes(data) or _sound(data)
        return cls(hashlib.sha256(data).hexdigest(), len(data), kind)


class Beside:
    """All files of a source, found by what points to them.

    Args:
        members: Links, and what is no file, are none of them.
        limits: Of them those on what comes out, for each byte in and in all.
    """

    def __init__(
        self, members: Iterable[Member] = (), limits: SourceLimits = DEFAULT_LIMITS
    ) -> None:
        self._members = {member.name: member for member in members}
        self._limits = limits
        self._out = 0
        self._seen: dict[str, Seen | None] = {}
        self._names: list[tuple[str, str]] | None = None
        self._by_base: defaultdict[str, list[str]] = defaultdict(list)
        self._by_folder: defaultdict[str, list[str]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._members)

    def find(self, pointer: str) -> str | None:
        """The name of the file that a pointer means; None where it is none of ours, or
        several could be meant."""
        if not 0 < len(pointer) <= _LONGEST_POINTER:
            return None
        self._look()
        scheme = _SCHEME.match(pointer)
        if scheme is None:
            found = self._by_path(pointer) or self._by_path(unquote(pointer))
            if found is not None:
                return found
        elif scheme[1].lower() in ("http", "https"):
            return None
        named = pointer[scheme.end() :] if scheme else pointer
        return self._by_id(re.split("[?#]", named)[0])

    def to_be_named(self) -> list[str]:
        """The names of files that are sources by themselves by what they are called."""
        return [name for name in self._members if name.lower().endswith(_SOURCES)]

    def seen(self, name: str, most: int) -> Seen | None:
        """What a file is, which is read once; None as of `read`, and where too many
        bytes came out of files before."""
        if name not in self._seen:
            full = self._out > self._limits.max_total_bytes
            data = None if full else self.read(name, most)
            self._out += most if data is None else len(data)
            self._seen[name] = None if data is None else Seen.of(data)
        return self._seen[name]

    def read(self, name: str, most: int) -> bytes | None:
        """The bytes of a file; None where there are none or more than `most`, or where
        they cannot be read."""
        member = self._members[name]
        try:
            with member.open() as (file, _):
                data = file.read(most + 1)
        except (OSError, EOFError, NotImplementedError, ConvstoreError):
            return None
        except (zipfile.BadZipFile, zlib.error):
            return None
        most_out = self._limits.max_ratio * member.size_bytes
        if len(data) > _BOMB_FROM_BYTES and len(data) > most_out:
            return None
        return data if 0 < len(data) <= most else None

    def _look(self) -> None:
        """Put the names in order, once, when the first one is asked for."""
        if self._names is not None:
            return
        self._names = sorted((_base(name), name) for name in self._members)
        for base, name in self._names:
            self._by_base[base].append(name)
            self._by_folder[_base(name.rpartition("/")[0])].append(name)

    def _by_path(self, pointer: str) -> str | None:
        path = pointer.replace("\\", "/").removeprefix("./").lstrip("/")
        if path in self._members:
            return path
        ends = f"/{path}"
        found = [n for n in self._by_base.get(_base(path), ()) if n.endswith(ends)]
        return found[0] if len(found) == 1 else None

    def _by_id(self, named: str) -> str | None:
        """The file called after an id, before its ending or what more it is called;
        or the one file in a folder that is called so."""
        if len(named) < _SHORTEST_ID or "/" in named:
            return None
        names = self._names or []
        for begins in (named, *(named + end for end in _BEHIND_ID)):
            place = bisect_left(names, (begins, ""))
            if place < len(names):
                base, name = names[place]
                if base == begins and len(self._by_base[base]) == 1:
                    return name
                if begins != named and base.startswith(begins):
                    return name
        alone = self._by_folder.get(named, ())
        return alone[0] if len(alone) == 1 else None


def _sound(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav"
    return next((kind for mark, kind in _SOUNDS.items() if data.startswith(mark)), None)


def _base(path: str) -> str:
    return path.rpartition("/")[2]
