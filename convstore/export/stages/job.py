"""The whole way of an export: read, settle, write, publish.

Memory is flat in the number of rows: they wait on disk, parted by hash. The folder
appears whole, under its name, or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Literal

from convstore.export.choosing.balance import balanced
from convstore.export.choosing.near import add_bands, bands_for, near_duplicates
from convstore.export.choosing.settlement import either, settle
from convstore.export.dataset.files import DataSet, holds_pictures, without
from convstore.export.dataset.folder import (
    MANIFEST,
    WORK,
    beside,
    building,
    discard,
    publish,
    refuse_existing,
)
from convstore.export.dataset.previous import previous_export, row_ids
from convstore.export.dataset.statistics import Losses
from convstore.export.dataset.version import EXPORTER
from convstore.export.formats import pick_formats
from convstore.export.formats.base import Format
from convstore.export.options import ExportOptions
from convstore.export.privacy.quarantine import add_reports, write_reports
from convstore.export.report import ExportReport, FormatReport
from convstore.export.rules import RULES, pick_rules
from convstore.export.stages.entries import Packed, cut_waiting
from convstore.export.stages.gather import Gatherer
from convstore.export.stages.spool import Spool
from convstore.export.stages.workers import gathered
from convstore.export.stages.workspace import Workspace
from convstore.export.writers.parquet import load_pyarrow
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import ExportRefusedError, InvalidInputError
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.records import Json, SessionDocument

_QUARANTINE = "quarantine"
_SPOOLS = ("index", "rows", "near")
_MARK_DOCUMENTS = 16_384
_MARK_BYTES = 32 * 1024 * 1024
_TELL_EVERY = 500


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
    options = options or ExportOptions()
    picked = _checked(formats, options)
    target = Path(to)
    refuse_existing(target)
    _refuse_inside(target, options.redaction_cache)
    previous = {fmt.name: previous_export(fmt, options) for fmt in picked}
    with building(target, options.dry_run) as root:
        export = Export(picked, target, root, options, on_progress)
        export.gather(documents)
        report = export.write(previous)
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
        rules = [rule.id for rule in pick_rules(options.rules)]
        names = [fmt.name for fmt in formats]
        plan = [EXPORTER, names, rules, options.fingerprint(), options.dry_run]
        self.plan = hashlib.sha256(dumps(plan)).hexdigest()
        self.work = Workspace(root / WORK, self.plan)

    def open(self) -> None:
        """Make the work folder, or take up the one of an interrupted run."""
        named = [[f"{fmt.name}.{what}" for what in _SPOOLS] for fmt in self.formats]
        self.work.open([*chain.from_iterable(named), _QUARANTINE])
        self._spools = [[self.work.spools[name] for name in names] for names in named]

    def gather(self, documents: Iterable[SessionDocument]) -> None:
        """Make the rows of all documents; they wait on disk."""
        gatherer, work = self.gatherer, self.work
        self.open()
        made = since_documents = since_bytes = since_told = 0
        unread = work.unread(documents, gatherer.tallies)
        with closing(gathered(gatherer, unread)) as batches:
            for batch in batches:
                for document in batch.documents:
                    work.note(document)
                    if self.options.quarantine:
                        add_reports(work.spools[_QUARANTINE], document)
                for row in batch.rows:
                    since_bytes += self.keep(row)
                    made += 1
                since_documents += len(batch.documents)
                since_told += len(batch.documents)
                if since_told >= _TELL_EVERY:
                    self._tell("gather", made, None)
                    since_told = 0
                if since_bytes >= _MARK_BYTES or since_documents >= _MARK_DOCUMENTS:
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
        index, rows, near = self._spools[row.place]
        row_id = row.row_id
        index.add(row.prompt, row.entry)
        rows.add(row_id, row.record)
        least = self.options.near_duplicates
        if row.signature and least is not None:
            add_bands(near, row.signature, least, row.at_us, row_id)
        return len(row.record)

    def write(self, previous: dict[str, Path | None]) -> ExportReport:
        """Settle which rows stay and write each data set."""
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
            reports.append(self._write_one(fmt, previous[fmt.name], step))
            # Those that were left out are dealt with too.
            step(self.gatherer.tallies[fmt.name].rows - (done - before))
        return ExportReport(
            self.target, self.options.dry_run, self.work.documents, tuple(reports)
        )

    def _write_one(
        self, fmt: Format, previous: Path | None, step: Callable[[int], None]
    ) -> FormatReport:
        tally = self.gatherer.tallies[fmt.name]
        self._refuse_if_faulty(fmt)
        index = self.work.spools[f"{fmt.name}.index"]
        rows = self.work.spools[f"{fmt.name}.rows"]
        folder = self.work.folder / f"{fmt.name}.settle"
        gone = settle(index, self.options.caps, tally.losses, folder)
        near = self._near(fmt, folder)
        alone = len(self.formats) == 1
        data = DataSet(
            self.root if alone else self.root / fmt.name,
            fmt,
            self.options,
            # Seldom: what is drawn first is drawn again for the files.
            pictures=bool(tally.pictured)
            and holds_pictures(
                self._staying(fmt, rows, gone, near, Losses()), row_ids(previous)
            ),
        )
        with closing(data):
            kept = self._staying(fmt, rows, gone, near, tally.losses)
            data.write(kept, row_ids(previous), step)
            if not self.options.dry_run:
                reports = write_reports(self.work.spools[_QUARANTINE], data.root)
                data.files += [reports] if reports else []
                data.finish(tally, self._facts(previous))
        return FormatReport(
            format=fmt.name,
            path=self.target if alone else self.target / fmt.name,
            candidates=tally.rows,
            rows=data.stats.rows,
            splits={name: data.stats.splits[name] for name in self.options.splits},
            dropped=tally.losses.table(),
            faulty=tally.losses.faults.total(),
            tombstones=data.tombstones,
            size_bytes=sum(f.size_bytes for f in data.files if f.path[:5] == "data/"),
            warnings=tuple(data.warnings()),
            not_understood=dict(sorted(tally.unclear.items())),
        )

    def _staying(
        self, fmt: Format, rows: Spool, gone: Spool, near: Spool, losses: Losses
    ) -> Iterable[tuple[bytes, bytes]]:
        """The rows that go into the files, in order; counts what does not."""
        share = None
        if fmt.kind == "pair":
            share = self.options.max_length_bias

        def stay(losses: Losses) -> Iterable[tuple[bytes, bytes]]:
            return without(rows.sorted(cut_waiting), either(gone, near, losses))

        if share is None:
            return stay(losses)
        # The first time for counting only.
        return balanced(stay(Losses()), stay(losses), share, losses)

    def _near(self, fmt: Format, folder: Path) -> Spool:
        """The ids of rows that nearly equal an older one."""
        spool = Spool(folder / "near")
        if self.options.near_duplicates is not None:
            found = self.work.spools[f"{fmt.name}.near"]
            for row_id in near_duplicates(found, self.options.near_duplicates):
                spool.add(row_id, row_id)
        return spool

    def _refuse_if_faulty(self, fmt: Format) -> None:
        tally = self.gatherer.tallies[fmt.name]
        faults = tally.losses.faults.total()
        rate = faults / ((faults + tally.rows) or 1)
        if rate > self.options.max_drop_rate:
            raise ExportRefusedError(fmt.name, rate, self.options.max_drop_rate)

    def _facts(self, previous: Path | None) -> dict[str, Json]:
        facts: dict[str, Json] = {
            "exporter": EXPORTER,
            "documents": self.work.documents,
            "options": self.options.fingerprint(),
            "plan_sha256": self.plan,
        }
        if previous is not None:
            manifest = (previous / MANIFEST).read_bytes()
            facts["parent_manifest_sha256"] = hashlib.sha256(manifest).hexdigest()
        return facts

    def _clear(self) -> None:
        """Remove what an interrupted run wrote after it had read everything."""
        for path in self.root.iterdir():
            if path.name != WORK and path.is_dir():
                discard(path)
            elif path.name != WORK:
                path.unlink()
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


def _checked(formats: Sequence[str], options: ExportOptions) -> list[Format]:
    options.check()
    rules = pick_rules(options.rules)
    picked = pick_formats(formats)
    for fmt in picked:
        if not any(fmt.kind in rule.kinds for rule in rules):
            named = ", ".join(r.name for r in RULES.values() if fmt.kind in r.kinds)
            told = f"none makes rows of {fmt.name}: {named} do"
            raise InvalidInputError("rules", told)
    if options.near_duplicates is not None:
        bands_for(options.near_duplicates)
    if options.redact is not None and any(fmt.name == "convstore" for fmt in picked):
        raise InvalidInputError("redact", "convstore is lossless: export it by itself")
    if options.file_type == "parquet":
        for fmt in picked:
            if not fmt.parquet:
                raise InvalidInputError(
                    "file_type", f"{fmt.name} is read as JSONL only"
                )
        load_pyarrow()
    return picked
