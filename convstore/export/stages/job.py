"""The whole way of an export: read, settle, write, publish.

Memory is flat in the number of rows: they wait on disk, parted by hash. The folder
appears whole, under its name, or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Literal

from convstore.export.choosing.settlement import listed
from convstore.export.dataset.files import DataSet, Listing, report_of
from convstore.export.dataset.folder import (
    WORK,
    beside,
    building,
    clear,
    discard,
    publish,
    refuse_existing,
)
from convstore.export.dataset.parts import Part, WrittenPart, write_rows
from convstore.export.dataset.previous import previous_export, row_ids
from convstore.export.formats.base import Format
from convstore.export.options import ExportOptions
from convstore.export.privacy.quarantine import add_report, write_reports
from convstore.export.report import ExportReport, FormatReport
from convstore.export.stages.entries import Packed, cut_waiting
from convstore.export.stages.facts import checked, facts_of, plan_of, refuse_if_faulty
from convstore.export.stages.gather import Gatherer
from convstore.export.stages.settling import Settling, WaitingEntries
from convstore.export.stages.splits import Split
from convstore.export.stages.spool import Spool
from convstore.export.stages.workers import (
    Batch,
    WorkerPool,
    gathered,
    gathered_here,
    requests_of,
)
from convstore.export.stages.workspace import Workspace, state_of
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.records import SessionDocument

_QUARANTINE = "quarantine"
_MARK_DOCUMENTS = 16_384
_MARK_BYTES = 32 * 1024 * 1024
_TELL_EVERY = 500
_FINGERPRINT: Callable[[Split], bytes] = attrgetter("fingerprint")


def run_export(
    documents: Iterable[SessionDocument],
    formats: Sequence[str],
    to: Path,
    options: ExportOptions | None = None,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Write one data set per format, in one pass over the documents.

    With one format the data set is the folder `to`; with several, each is a folder of
    its format's name in it. The same content and options give the same bytes, in
    whatever order the documents come. Killed, the next call with the same arguments
    goes on where it stopped. Changes nothing in the store.

    Args:
        documents: Each session once; read once, one held at a time.
        formats: Names from `convstore.export.formats.FORMATS`.
        to: Must not exist, or be an empty folder.
        options: See there.
        on_progress: Called about every 500 documents and 1,000 rows.

    Raises:
        InvalidInputError: An option or a format name cannot be meant, or `to` cannot be
            written to.
        AlreadyExistsError: `to` holds something, or another export is writing it.
        ExportRefusedError: More was dropped for faults than `max_drop_rate` allows.
        MissingExtraError: An option needs a package that is not installed.
        StorageFullError: No space left; nothing was published.
    """

    def carry_out(export: Export, previous: dict[str, Path | None]) -> ExportReport:
        export.gather(documents)
        return export.write(previous)

    return _run(carry_out, formats, to, options, on_progress)


def run_split_export(
    splits: Iterable[Split],
    formats: Sequence[str],
    to: Path,
    options: ExportOptions,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """As `run_export`, of splits that workers read, who also write the files.

    This process only settles and publishes; `options.workers` says how many there are.
    Without any it reads the splits itself, and writes.

    Raises:
        WorkerLostError: A worker ended before its work was done, or failed.
    """

    def carry_out(export: Export, previous: dict[str, Path | None]) -> ExportReport:
        if not options.workers:
            export.gather_splits(splits)
            return export.write(previous)
        with WorkerPool(export.gatherer) as pool:
            export.gather_splits(splits, pool)
            return export.write(previous, pool)

    return _run(carry_out, formats, to, options, on_progress)


def _run(
    carry_out: Callable[[Export, dict[str, Path | None]], ExportReport],
    formats: Sequence[str],
    to: Path,
    options: ExportOptions | None,
    on_progress: OnProgress | None,
) -> ExportReport:
    options = options or ExportOptions()
    picked = checked(formats, options)
    target = Path(to)
    refuse_existing(target)
    _refuse_inside(target, options.redaction_cache)
    previous = {fmt.name: previous_export(fmt, options) for fmt in picked}
    with building(target, options.dry_run) as root:
        export = Export(picked, target, root, options, on_progress)
        report = carry_out(export, previous)
        if not options.dry_run:
            shutil.rmtree(root / WORK)
            publish(root, target)
        return report


class Export:
    """One run: holds the counters and the work folder."""

    def __init__(
        self,
        formats: list[Format],
        target: Path,
        root: Path,
        options: ExportOptions,
        on_progress: OnProgress | None,
    ) -> None:
        self.formats, self.target, self.root = formats, target, root
        self.options, self.tell = options, on_progress or _ignore
        self.gatherer = Gatherer(formats, options)
        self.plan = plan_of(formats, options)
        self.work = Workspace(root / WORK, self.plan)
        # Of each format, and of its splits.
        self._entries: list[WaitingEntries] = []
        self._rows: list[list[Spool]] = []

    def open(self) -> None:
        """Make the work folder, or take up the one of an interrupted run."""
        named = [self._spools_of(fmt) for fmt in self.formats]
        self.work.open([*chain.from_iterable(named), _QUARANTINE])
        for spool in self.work.spools.values():
            spool.share(len(self.options.splits))
        for fmt in self.formats:
            index, near, *rows = (
                self.work.spools[name] for name in self._spools_of(fmt)
            )
            self._entries.append(WaitingEntries(index, near, self.options))
            self._rows.append(rows)

    def _spools_of(self, fmt: Format) -> list[str]:
        """The names of its spools; the rows of each split are by themselves."""
        rows = [f"{fmt.name}.rows.{split}" for split in self.options.splits]
        return [f"{fmt.name}.index", f"{fmt.name}.near", *rows]

    def gather(self, documents: Iterable[SessionDocument]) -> None:
        """Make the rows of all documents; they wait on disk."""
        self.open()
        tallies = self.gatherer.tallies
        unread = self.work.unread(documents, state_of, tallies)
        with closing(gathered(self.gatherer, unread)) as batches:
            self._keep(batches)

    def gather_splits(
        self, splits: Iterable[Split], pool: WorkerPool | None = None
    ) -> None:
        """Make the rows of all splits, or have workers make them; they wait on disk
        here."""
        self.open()
        tallies = self.gatherer.tallies
        unread = self.work.unread(splits, _FINGERPRINT, tallies)
        gathering = (
            gathered_here(self.gatherer, unread)
            if pool is None
            else pool.gathered_splits(unread)
        )
        with closing(gathering) as batches:
            self._keep(batches)

    def _keep(self, batches: Iterable[Batch]) -> None:
        gatherer, work = self.gatherer, self.work
        made = since_documents = since_bytes = since_told = 0
        for batch in batches:
            for state in batch.states:
                work.note(state)
            work.documents += batch.documents
            for report in batch.reports:
                add_report(work.spools[_QUARANTINE], report)
            for row in batch.rows:
                since_bytes += self.keep(row)
                made += 1
            since_documents += batch.documents
            since_told += batch.documents
            if since_told >= _TELL_EVERY:
                self._tell("gather", made, None)
                since_told = 0
            due = since_bytes >= _MARK_BYTES or since_documents >= _MARK_DOCUMENTS
            # Not in the middle of a split: it would be made twice.
            if due and batch.states:
                work.mark(gatherer.tallies)
                since_documents = since_bytes = 0
        work.mark(gatherer.tallies)
        self._tell("gather", made, made)

    def _tell(
        self, phase: Literal["gather", "write"], rows: int, total: int | None
    ) -> None:
        losses = [tally.losses for tally in self.gatherer.tallies.values()]
        lost = sum(one.faults.total() + one.choices.total() for one in losses)
        documents = self.work.documents
        counts = {"documents": documents, "rows": rows, "dropped": lost}
        if phase == "gather":
            # Nobody knows yet how many there are, until all have been read.
            all_read = None if total is None else documents
            self.tell(Progress(phase, "sessions", documents, all_read, counts))
        else:
            self.tell(Progress(phase, "rows", rows, total, counts))

    def keep(self, row: Packed) -> int:
        """Put a row on disk; returns its bytes."""
        place, _, record, _ = row
        self._entries[place].add(row)
        self._rows[place][row.split].add(row.row_id, record)
        return len(record)

    def write(
        self, previous: dict[str, Path | None], pool: WorkerPool | None = None
    ) -> ExportReport:
        """Settle which rows stay and write each data set; with a pool, its workers."""
        self._clear()
        total = sum(tally.rows for tally in self.gatherer.tallies.values())
        done = 0

        def step(rows: int) -> None:
            nonlocal done
            done += rows
            self._tell("write", done, total)

        reports = []
        for fmt in self.formats:
            before = done
            reports.append(self._write_one(fmt, previous[fmt.name], step, pool))
            # Those that were left out are dealt with too.
            step(self.gatherer.tallies[fmt.name].rows - (done - before))
        return ExportReport(
            self.target, self.options.dry_run, self.work.documents, tuple(reports)
        )

    def _write_one(
        self,
        fmt: Format,
        previous: Path | None,
        step: Callable[[int], None],
        pool: WorkerPool | None,
    ) -> FormatReport:
        place, tally = self.formats.index(fmt), self.gatherer.tallies[fmt.name]
        refuse_if_faulty(fmt, tally, self.options)
        folder = self.work.folder / f"{fmt.name}.settle"
        entries = self._entries[place]
        settling = Settling(fmt, self.options, entries, folder, tally.losses)
        # Seldom: what is drawn first is drawn again for the files.
        pictures = bool(tally.pictured) and settling.pictures(previous)
        alone = len(self.formats) == 1
        root = self.root if alone else self.root / fmt.name
        data = DataSet(root, fmt, self.options, pictures=pictures)
        with closing(Listing(data)) as listing:
            new = listed(settling.rows(), row_ids(previous), listing.note, listing.lose)
            parts = settling.parts(new, pictures=pictures)
            if pool is None or pool.is_starting or self.options.dry_run:
                written = self._written(parts, data, step)
            else:
                asked = requests_of(
                    parts, folder, self._rows[place], data, self.options.workers
                )
                written = pool.written(asked, step)
            for part in written:
                data.take(part)
            listing.finish()
        if not self.options.dry_run:
            reports = write_reports(self.work.spools[_QUARANTINE], data.root)
            data.files += [reports] if reports else []
            data.finish(
                tally, facts_of(self.work.documents, self.options, self.plan, previous)
            )
        path = self.target if alone else self.target / fmt.name
        return report_of(data, tally, path)

    def _written(
        self, parts: Iterable[Part], data: DataSet, step: Callable[[int], None]
    ) -> Iterator[WrittenPart]:
        """The parts, written from the rows that wait here."""
        spools = self._rows[self.formats.index(data.fmt)]
        # The rows of a split are read once, by one part after the other.
        waiting = {
            name: (record for _, record in spool.sorted(cut_waiting))
            for name, spool in zip(self.options.splits, spools, strict=True)
        }
        for part in parts:
            rows = waiting[part.split]
            yield write_rows(rows, part, data.root, data.fmt, self.options, step)

    def _clear(self) -> None:
        """Remove what an interrupted run wrote after it had read everything."""
        clear(self.root)
        for path in (self.root / WORK).glob("*.settle"):
            discard(path)


def _refuse_inside(target: Path, cache: Path | None) -> None:
    """Refuse a cache that would be part of the data set, or in its way."""
    if cache is None:
        return
    folder = cache.resolve().parent
    for place in (target, beside(target)):
        if folder.is_relative_to(place.resolve()):
            raise InvalidInputError(
                "redaction_cache", "must not lie in the folder of the export"
            )


def _ignore(progress: Progress) -> None:
    pass
