"""Opens what is imported: a file, standard input, a folder, a zip, a SQLite database.

A zip is read member by member and never written out: names from inside it are words in
a report, and lead nowhere. Links are not followed.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from convstore.db.foreign_postgres import is_server, open_foreign_server
from convstore.db.foreign_sqlite import open_foreign
from convstore.imports.grouping import Record
from convstore.imports.material import Tables, Value
from convstore.imports.members import DATABASES, Beside, Member
from convstore.imports.model import Rejected
from convstore.imports.records import records_of
from convstore.imports.source import (
    DEFAULT_LIMITS,
    STDIN,
    SourceLimits,
    open_plain,
    read_chunks,
)
from convstore.imports.strict_json import parse_json
from convstore.imports.tabular import ROWS, csv_records, parquet_records
from convstore.vocabulary.errors import (
    CorruptionError,
    InvalidInputError,
    LimitExceededError,
)
from convstore.vocabulary.records import Json

_SQLITE = b"SQLite format 3\0"
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_ENDINGS = (".json", ".jsonl", ".ndjson")
_PACKED = (".gz", ".zst")
_OTHERS = (".parquet", ".zip", ".db", ".sqlite", ".sqlite3")
MOST_FILES = 200_000
"""Files of one folder or zip: names are held in memory, a few hundred bytes each."""


class Opened:
    """A source that is open; see `Material` for what formats use of it.

    Attributes:
        limits: The bounds that hold.
        total_bytes: Of all files; None where nobody can tell.
        read_bytes: Of them, those read so far; a file that is read twice counts once.
            Of a database about as many as the rows that were read are of all.
        beside: All files of a folder or zip, for what conversations point to.
    """

    def __init__(
        self,
        name: str,
        members: list[Member],
        limits: SourceLimits,
        tables: Tables | None = None,
        total_bytes: int | None = None,
        beside: Beside | None = None,
        share: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self.limits = limits
        self.tables = tables
        self.total_bytes = total_bytes
        self.beside = Beside() if beside is None else beside
        self._members = {member.name: member for member in members}
        self.names = tuple(self._members)
        self._read: dict[str, int] = {}
        self._share = share
        self._out = 0

    @property
    def read_bytes(self) -> int:
        if self._share is not None:
            return round(self._share() * (self.total_bytes or 0))
        return sum(self._read.values())

    def records(self, name: str) -> Iterator[Record | Rejected]:
        member = self._members[name]
        read = 0

        def took(size_bytes: int) -> None:
            nonlocal read
            read += size_bytes
            self._read[name] = max(self._read.get(name, 0), read)

        with self._naming(name), member.open() as (file, spent):
            if name.lower().endswith(".parquet"):
                yield from parquet_records(file, self.limits)
            else:
                chunks = read_chunks(file, self.limits, spent=spent, on_read=took)
                yield from self._of_text(name, self._bounded(chunks))
        self._read[name] = member.size_bytes

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Say which file cannot be read, where there are several."""
        try:
            yield
        except (InvalidInputError, CorruptionError) as error:
            if len(self.names) < 2:
                raise
            if isinstance(error, CorruptionError):
                raise CorruptionError(f"{name}: {error}") from None
            if type(error) is not InvalidInputError:
                raise
            raise InvalidInputError(error.field, f"{name}: {error.problem}") from None

    def _of_text(
        self, name: str, chunks: Iterator[bytes]
    ) -> Iterator[Record | Rejected]:
        name = _unpacked(name)
        if name.endswith(ROWS):
            tabs = name.endswith(".tsv")
            return csv_records(chunks, self.limits, tabs=tabs)
        return records_of(chunks, self.limits)

    def _bounded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks, as long as all files together stay under their bound."""
        try:
            for chunk in chunks:
                self._out += len(chunk)
                if self._out > self.limits.max_total_bytes:
                    bound = self.limits.max_total_bytes
                    raise LimitExceededError("max_total_bytes", bound, self._out)
                yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise CorruptionError("a member of the zip archive is damaged") from None
        except NotImplementedError:
            problem = "has a member that is packed in a way that cannot be read"
            raise InvalidInputError("source", problem) from None

    def rejected(self, name: str, number: int, reason: str, data: bytes) -> Rejected:
        return self.told(Rejected(number, "invalid_input", reason, data), name)

    def told(self, rejected: Rejected, name: str) -> Rejected:
        """With the name of the file in front of the reason, where there are several."""
        if len(self.names) < 2 or rejected.reason.startswith(f"{name}: "):
            return rejected
        return replace(rejected, reason=f"{name}: {rejected.reason}")

    def decoded(self, text: Value, *, field: str = "record") -> Json:
        data = text.encode() if isinstance(text, str) else text
        if not isinstance(data, bytes):
            raise InvalidInputError(field, "must be JSON text")
        limits = self.limits
        return parse_json(
            data, limits.max_depth, max_pieces=limits.max_pieces, field=field
        )


@contextmanager
def open_source(
    source: str | os.PathLike[str], limits: SourceLimits = DEFAULT_LIMITS
) -> Iterator[Opened]:
    """The source, open while the block lasts.

    Raises:
        InvalidInputError: No such file, or of a kind that cannot be read.
        LimitExceededError: More files than allowed.
        CorruptionError: A damaged zip or database.
    """
    if source == STDIN:
        yield Opened("stdin", [Member("-", 0, lambda: _plain(STDIN))], limits)
        return
    if isinstance(source, str) and is_server(source):
        with open_foreign_server(source, limits.max_line_bytes) as server:
            yield Opened("postgresql", [], limits, server)
        return
    path = Path(source)
    with ExitStack() as stack:
        beside = None
        if path.is_dir():
            files = _of_folder(path)
            database = _only_database(files)
            if database is None:
                yield _opened(path.name, files, limits)
                return
            path, beside = path / database, Beside(files, limits)
        with open_plain(path) as file:
            head = file.read(len(_SQLITE))
            size = os.fstat(file.fileno()).st_size
        if head == _SQLITE:
            tables = stack.enter_context(open_foreign(path, limits.max_line_bytes))
            name, share = _stem(path.name), tables.share
            yield Opened(name, [], limits, tables, size, beside, share)
        elif head.startswith(_ZIPS):
            yield _opened(_stem(path.name), _of_zip(stack, path), limits)
        else:
            member = Member(path.name, size, lambda: _plain(path))
            yield Opened(_stem(path.name), [member], limits, total_bytes=size)


def _only_database(files: list[Member]) -> str | None:
    """The one database that a program keeps in a folder of its own, with what it has
    below; None where there are others, or conversations beside it."""
    top = [file.name for file in files if "/" not in file.name]
    found = [name for name in top if name.lower().endswith(DATABASES)]
    alone = len(found) == 1 and not any(map(_is_text, top))
    return found[0] if alone else None


def _opened(name: str, files: list[Member], limits: SourceLimits) -> Opened:
    """A source of many files, of which those are read that hold JSON or rows."""
    members = _chosen([member for member in files if _is_text(member.name)])
    total = sum(member.size_bytes for member in members)
    beside = Beside(files, limits)
    return Opened(name, members, limits, total_bytes=total, beside=beside)


def _stem(name: str) -> str:
    for ending in (*_PACKED, *_ENDINGS, *ROWS, *_OTHERS):
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
    return name


@contextmanager
def _plain(
    path: str | os.PathLike[str],
) -> Iterator[tuple[BinaryIO, Callable[[], int] | None]]:
    with open_plain(path) as file:
        yield file, None


def _unpacked(name: str) -> str:
    lower = name.lower()
    for packed in _PACKED:
        lower = lower.removesuffix(packed)
    return lower


def _is_text(name: str) -> bool:
    if name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith("._"):
        return False  # what a Mac notes of a file of that name
    return _unpacked(name).endswith((*_ENDINGS, *ROWS, ".parquet"))


def _chosen(members: list[Member]) -> list[Member]:
    """Those that hold JSON; where there are none, those that hold rows: beside an
    export of conversations, tables are of something else."""
    json = [m for m in members if _unpacked(m.name).endswith(_ENDINGS)]
    return sorted(json or members, key=lambda member: member.name)


def _of_folder(top: Path) -> list[Member]:
    """The files below a folder, links left alone."""
    members: list[Member] = []
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            problem = f"{folder} cannot be read: {error.strerror}"
            raise InvalidInputError("source", problem) from None
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
                continue
            with suppress(FileNotFoundError):  # gone since
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    members.append(_of_file(Path(entry.path), top, found.st_size))
        _check_count(len(members) + len(waiting))
    return members


def _of_file(path: Path, top: Path, size_bytes: int) -> Member:
    name = path.relative_to(top).as_posix()
    return Member(name, size_bytes, lambda: _plain(path))


def _check_count(count: int) -> None:
    if count > MOST_FILES:
        raise LimitExceededError("max_files", MOST_FILES, count)


def _of_zip(stack: ExitStack, path: Path) -> list[Member]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise CorruptionError(f"{path} is a damaged zip archive") from None
    infos = archive.infolist()
    _check_count(len(infos))
    members: dict[str, Member] = {}
    for info in infos:
        name = str(PurePosixPath(info.filename))
        if info.is_dir():
            continue
        if name in members:
            if not _is_text(name):
                continue
            raise InvalidInputError("source", "is a zip with two files of one name")
        members[name] = Member(name, info.compress_size, _opener(archive, info))
    return list(members.values())


def _opener(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> Callable[[], AbstractContextManager[tuple[BinaryIO, Callable[[], int] | None]]]:
    @contextmanager
    def opened() -> Iterator[tuple[BinaryIO, Callable[[], int] | None]]:
        if info.flag_bits & 1:
            raise InvalidInputError("source", "is a zip with a password: unpack it")
        try:
            file = archive.open(info)
        except (zipfile.BadZipFile, zlib.error):
            raise CorruptionError("the zip archive is damaged") from None
        except NotImplementedError:
            problem = "has a member that is packed in a way that cannot be read"
            raise InvalidInputError("source", problem) from None
        with file:
            # What the member takes in the file is told beforehand: the ratio of a bomb
            # is seen in the first pieces that come out.
            yield cast(BinaryIO, file), lambda: info.compress_size

    return opened
