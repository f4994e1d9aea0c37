"""Drives an import: read in a thread, write through group commit, report.

One record is one write, and many writes are one commit, so that a record is stored
whole or not at all and yet costs no commit of its own. Memory is bounded by two
batches of records.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from convstore.concurrency.completion import finished
from convstore.imports.material import LeftOut
from convstore.imports.model import ImportedSession, ImportReport, Rejected
from convstore.imports.opening import Opened, open_source
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import Format
from convstore.imports.source import DEFAULT_LIMITS, SourceLimits
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import (
    NO_SPACE,
    ConflictError,
    ConvstoreError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    StorageFullError,
)
from convstore.vocabulary.judgements import Reading
from convstore.vocabulary.policy import FeedbackPolicy
from convstore.vocabulary.progress import OnProgress, Progress

BATCH = 512
"""Records that are written at the same time: as many as one commit takes."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of records, as read, after which a batch is full."""

REJECTED = "rejected.jsonl"
REPORT = "report.json"

MOST_REJECTED_BYTES = 1024**3
"""Bytes of `rejected.jsonl`. A line there is longer than the record that it tells of:
a source of nothing but noise would fill the disk many times over."""


class Stored(Protocol):
    """What the store says of one record."""

    @property
    def created(self) -> bool: ...
    @property
    def turns(self) -> int: ...
    @property
    def interactions(self) -> int: ...
    @property
    def graph_states(self) -> int: ...
    @property
    def changed(self) -> int: ...


Item: TypeAlias = Imported | Rejected | LeftOut
Write = Callable[[ImportedSession], Awaitable[Stored]]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How an import is carried out.

    Attributes:
        strict: End at the first bad record. Those before it stay imported, and some of
            the records just behind it may be.
        report_to: Folder for `report.json` and, if there are any, `rejected.jsonl`
            with the bad records as they were read. Made if need be, for its owner only.
        limits: Bounds on the source.
        most_rejected_bytes: Of `rejected.jsonl`; later records are only counted.
        reading: Tells which of the feedback says something.
        replace_invalid: Replace NUL and halves of surrogate pairs by U+FFFD, in place
            of refusing the record.
        batch: What the import is called, in the report and on the sessions it makes.
    """

    strict: bool = False
    report_to: Path | None = None
    limits: SourceLimits = DEFAULT_LIMITS
    most_rejected_bytes: int = MOST_REJECTED_BYTES
    reading: Reading = field(default_factory=lambda: Reading(FeedbackPolicy()))
    replace_invalid: bool = False
    batch: str = ""

    @classmethod
    def of(
        cls,
        strict: bool,
        report_to: str | os.PathLike[str] | None,
        reading: Reading,
        replace_invalid: bool = False,
        batch: str = "",
    ) -> ImportOptions:
        """The options of a call, with the bounds that all have."""
        folder = None if report_to is None else Path(report_to)
        return cls(
            strict,
            folder,
            reading=reading,
            replace_invalid=replace_invalid,
            batch=batch,
        )

    def with_files_of(self, most_bytes: int) -> ImportOptions:
        """The same, with files of so many bytes at most, or of fewer."""
        most = min(most_bytes, self.limits.max_file_bytes)
        return replace(self, limits=replace(self.limits, max_file_bytes=most))


def _told(report: ImportReport, source: Opened) -> Progress:
    """How far an import is: by records, and of files by bytes, as only the end of a
    source tells how many records it has."""
    counts = {
        "sessions": report.sessions,
        "turns": report.turns,
        "already_present": report.already_present,
        "rejected": report.rejected_total,
        "bytes": source.read_bytes,
    }
    if source.total_bytes is not None:
        counts["total_bytes"] = source.total_bytes
    return Progress("import", "records", report.records, None, counts)


async def run_import(
    format_: Format,
    source: str | os.PathLike[str],
    write: Write,
    options: ImportOptions,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Import every record of a source that can be; the others are reported.

    Cut short by an error or by cancellation, what was imported stays; the next run
    finds it and goes on.

    Raises:
        InvalidInputError: The source cannot be read; or, when strict, a bad record.
        LimitExceededError, CorruptionError: See `read_sessions`.
        StorageFullError: There is no room for the report.
        UnavailableError: The database is away.
    """
    report = ImportReport(format_.name, batch=options.batch)
    desk = _Desk(options.report_to, options.most_rejected_bytes)
    opened = ExitStack()
    given = open_source(source, options.limits)
    try:
        material = await finished(asyncio.to_thread(opened.enter_context, given))
    except BaseException:
        await finished(asyncio.to_thread(opened.close))
        await finished(asyncio.to_thread(desk.close, report))
        raise
    items = read_sessions(
        format_, material, options.limits, replace_invalid=options.replace_invalid
    )
    batches = _batches(items)
    reading = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
    try:
        while batch := await asyncio.shield(reading):
            # Reading goes on while this batch is written.
            reading = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
            bad = await _write_batch(batch, write, report, options.reading)
            await finished(asyncio.to_thread(desk.add, bad))
            if on_progress is not None:
                on_progress(_told(report, material))
            if bad and options.strict:
                first = min(bad, key=lambda rejected: rejected.number)
                raise InvalidInputError(f"record {first.number}", first.reason)
        if format_.absent is not None and report.records:
            report.absent = format_.absent()
    finally:
        # A thread cannot be cancelled: the source is let go when it has come back.
        try:
            with suppress(Exception):  # told already, or nobody is left to be told
                await finished(reading)
            await finished(asyncio.to_thread(_let_go, items, opened))
        finally:
            await finished(asyncio.to_thread(desk.close, report))
    return report


def _let_go(items: Iterator[Item], opened: ExitStack) -> None:
    items.close()  # type: ignore[attr-defined]  # a generator
    opened.close()


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    """The items, many at a time; those before an error come before it."""
    batch: list[Item] = []
    size = 0
    try:
        for item in items:
            batch.append(item)
            if isinstance(item, Imported):
                size += item.size_bytes
            elif isinstance(item, Rejected):
                size += len(item.data or b"")
            if len(batch) >= BATCH or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    except ConvstoreError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


async def _write_batch(
    batch: list[Item],
    write: Write,
    report: ImportReport,
    reading: Reading,
) -> list[Rejected]:
    """Write a batch; the records of it that were not taken, in order."""
    with_files = asyncio.Lock()
    results = await asyncio.gather(
        *(_write_one(item, write, with_files) for item in batch),
        return_exceptions=True,
    )
    bad = []
    failed: BaseException | None = None
    for item, result in zip(batch, results, strict=True):
        if isinstance(result, BaseException):
            failed = failed or result
            continue
        if isinstance(item, LeftOut):
            report.note_left_out([item.kind], item.count)
            continue
        report.records += 1
        if isinstance(result, Rejected):
            report.reject(result)
            bad.append(result)
        elif isinstance(item, Imported):
            report.note_left_out(item.session.left_out)
            report.replaced += item.replaced
            if result is None:
                report.empty += 1
            else:
                _count(report, result)
                _note(report, item, result, reading)
    if failed is not None:
        raise failed
    return bad


def _note(
    report: ImportReport, item: Imported, stored: Stored, reading: Reading
) -> None:
    report.attachments += len(item.session.files)
    report.without_bytes += item.session.without_bytes
    if stored.interactions:
        for act in item.session.interactions[-stored.interactions :]:
            report.note_unclear(reading.not_understood(act))


async def _write_one(
    item: Item, write: Write, with_files: asyncio.Lock
) -> Stored | Rejected | None:
    """What was stored; None where nothing was to be. One at a time brings its files:
    they are in memory while they are put."""
    if isinstance(item, Rejected):
        return item
    if isinstance(item, LeftOut) or (item.session.own_ids and not item.session.turns):
        return None
    try:
        if item.session.files:
            async with with_files:
                return await write(item.session)
        return await write(item.session)
    except (InvalidInputError, NotFoundError, ConflictError, RefusedError) as error:
        return Rejected(item.number, error.code, str(error), item.data)


def _count(report: ImportReport, stored: Stored) -> None:
    report.sessions += stored.created
    report.turns += stored.turns
    report.interactions += stored.interactions
    report.graph_states += stored.graph_states
    report.changed += stored.changed
    added = stored.turns + stored.interactions + stored.graph_states
    report.already_present += not (stored.created or added)


class _Desk:
    """Where the report and the rejected records are laid down."""

    def __init__(self, folder: Path | None, most_bytes: int) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._room = most_bytes

    def add(self, bad: list[Rejected]) -> None:
        if self._folder is None or not bad:
            return
        if self._file is None:
            self._file = _create(self._folder, REJECTED)
        for rejected in bad:
            line = {
                "number": rejected.number,
                "code": rejected.code,
                "reason": rejected.reason,
                "record": None
                if rejected.data is None
                else rejected.data.decode("utf-8", "backslashreplace"),
            }
            data = dumps(line) + b"\n"
            self._room -= len(data)
            if self._room < 0:
                return  # The first ones are there, and the report counts all.
            with _writing(self._folder / REJECTED):
                self._file.write(data)

    def close(self, report: ImportReport) -> None:
        if self._folder is None:
            return
        with _writing(self._folder / REJECTED):
            if self._file is not None:
                self._file.close()
            else:
                # One of an earlier import to this folder would be taken for ours.
                (self._folder / REJECTED).unlink(missing_ok=True)
        with _writing(self._folder / REPORT), _create(self._folder, REPORT) as file:
            file.write(dumps(report, indent=True) + b"\n")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError(f"no space left for {path}") from None
        problem = f"{path} cannot be written: {error.strerror}"
        raise InvalidInputError("report_to", problem) from None


def _create(folder: Path, name: str) -> BinaryIO:
    """A file for its owner's eyes: rejected records are what people said."""
    with _writing(folder / name):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        return os.fdopen(os.open(folder / name, flags, 0o600), "wb")
