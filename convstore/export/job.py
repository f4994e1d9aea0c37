"""The whole way of an export: read, settle, write, publish.

Memory is flat in the number of rows: they wait on disk, parted by hash. The folder
appears whole, under its name, or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from convstore.codec import decode_json, dumps
from convstore.errors import (
    AlreadyExistsError,
    ExportRefusedError,
    InvalidInputError,
    StorageFullError,
    shown,
)
from convstore.export.emit import ROW_IDS, DataSet, read_row_ids
from convstore.export.entries import pack_entry, pack_waiting
from convstore.export.folder import (
    MANIFEST,
    discard,
    partial_of,
    publish,
    refuse_existing,
    storage_error,
)
from convstore.export.formats import pick_formats
from convstore.export.formats.base import Format
from convstore.export.gather import Gatherer
from convstore.export.options import ExportOptions
from convstore.export.redact import redactor
from convstore.export.report import ExportReport, FormatReport, OnProgress, Progress
from convstore.export.rules import pick_rules
from convstore.export.settle import gone_ids, settle
from convstore.export.version import EXPORTER
from convstore.export.workspace import Workspace
from convstore.export.writers.parquet import load_pyarrow
from convstore.records import Json, SessionDocument

_WORK = ".work"
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
        InvalidInputError: An option or a format name cannot be meant.
        AlreadyExistsError: `to` holds something, or another export is writing it.
        ExportRefusedError: More was dropped for faults than `max_drop_rate` allows.
        MissingExtraError: An option needs a package that is not installed.
        StorageFullError: No space left; nothing was published.
    """
    options = options or ExportOptions()
    picked = _checked(formats, options)
    target = Path(to)
    refuse_existing(target)
    former = {fmt.name: _former(fmt, options) for fmt in picked}
    with _folder(target, options.dry_run) as root, _disk_errors():
        export = _Export(picked, target, root, options, on_progress)
        export.gather(documents)
        report = export.write(former)
        if not options.dry_run:
            shutil.rmtree(root / _WORK)
            publish(root, target)
        return report


class _Export:
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
        self.gatherer = Gatherer(formats, options, redact=redactor(options))
        rules = [rule.id for rule in pick_rules(options.rules)]
        names = [fmt.name for fmt in formats]
        plan = [EXPORTER, names, rules, options.fingerprint(), options.dry_run]
        self.plan = hashlib.sha256(dumps(plan)).hexdigest()
        self.work = Workspace(root / _WORK, self.plan)

    def gather(self, documents: Iterable[SessionDocument]) -> None:
        """Make the rows of all documents; they wait on disk."""
        gatherer, work = self.gatherer, self.work
        names = [
            f"{fmt.name}.{what}" for fmt in self.formats for what in ("index", "rows")
        ]
        work.open(names)
        index = {fmt.name: work.spools[f"{fmt.name}.index"] for fmt in self.formats}
        rows = {fmt.name: work.spools[f"{fmt.name}.rows"] for fmt in self.formats}
        made = since_documents = since_bytes = 0
        for document in work.unread(documents, gatherer.tallies):
            work.note(document)
            for fmt, entry, row in gatherer.rows(document):
                if self.options.dry_run:
                    row = row._replace(data=b"", side=b"")
                record = pack_waiting(row)
                index[fmt.name].add(entry.prompt, pack_entry(entry))
                rows[fmt.name].add(entry.row_id, record)
                since_bytes += len(record)
                made += 1
            since_documents += 1
            if work.documents % _TELL_EVERY == 0:
                self.tell(Progress("gather", work.documents, made, None))
            if since_bytes >= _MARK_BYTES or since_documents >= _MARK_DOCUMENTS:
                work.mark(gatherer.tallies)
                since_documents = since_bytes = 0
        work.mark(gatherer.tallies)
        self.tell(Progress("gather", work.documents, made, made))

    def write(self, former: dict[str, Path | None]) -> ExportReport:
        """Settle which rows stay and write each data set."""
        self._clear()
        total = sum(tally.rows for tally in self.gatherer.tallies.values())
        done = 0

        def step(rows: int) -> None:
            nonlocal done
            done += rows
            self.tell(Progress("write", self.work.documents, done, total))

        reports = []
        for fmt in self.formats:
            reports.append(self._write_one(fmt, former[fmt.name], step))
        return ExportReport(
            self.target, self.options.dry_run, self.work.documents, tuple(reports)
        )

    def _write_one(
        self, fmt: Format, former: Path | None, step: Callable[[int], None]
    ) -> FormatReport:
        tally = self.gatherer.tallies[fmt.name]
        self._refuse_if_faulty(fmt)
        index = self.work.spools[f"{fmt.name}.index"]
        rows = self.work.spools[f"{fmt.name}.rows"]
        folder = self.work.folder / f"{fmt.name}.settle"
        gone = settle(index, self.options.caps, tally.losses, folder)
        alone = len(self.formats) == 1
        data = DataSet(self.root if alone else self.root / fmt.name, fmt, self.options)
        old = read_row_ids(former / ROW_IDS) if former else ()
        data.write(rows, gone_ids(gone), old, step)
        if not self.options.dry_run:
            data.finish(tally, self._facts(former))
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
        )

    def _refuse_if_faulty(self, fmt: Format) -> None:
        tally = self.gatherer.tallies[fmt.name]
        faults = tally.losses.faults.total()
        rate = faults / ((faults + tally.rows) or 1)
        if rate > self.options.max_drop_rate:
            raise ExportRefusedError(fmt.name, rate, self.options.max_drop_rate)

    def _facts(self, former: Path | None) -> dict[str, Json]:
        facts: dict[str, Json] = {
            "exporter": EXPORTER,
            "documents": self.work.documents,
            "options": self.options.fingerprint(),
            "plan_sha256": self.plan,
        }
        if former is not None:
            manifest = (former / MANIFEST).read_bytes()
            facts["parent_manifest_sha256"] = hashlib.sha256(manifest).hexdigest()
        return facts

    def _clear(self) -> None:
        """Remove what an interrupted run wrote after it had read everything."""
        for path in self.root.iterdir():
            if path.name != _WORK and path.is_dir():
                discard(path)
            elif path.name != _WORK:
                path.unlink()
        for path in (self.root / _WORK).glob("*.settle"):
            discard(path)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = storage_error(error)
        if full is None:
            raise
        raise full from error


def _ignore(progress: Progress) -> None:
    pass


def _checked(formats: Sequence[str], options: ExportOptions) -> list[Format]:
    options.check()
    pick_rules(options.rules)
    picked = pick_formats(formats)
    if options.file_type == "parquet":
        for fmt in picked:
            if not fmt.parquet:
                raise InvalidInputError(
                    "file_type", f"{fmt.name} is read as JSONL only"
                )
        load_pyarrow()
    return picked


def _former(fmt: Format, options: ExportOptions) -> Path | None:
    if options.since is None:
        return None
    for folder in (options.since / fmt.name, options.since):
        manifest, ids = folder / MANIFEST, folder / ROW_IDS
        if manifest.is_file() and ids.is_file():
            told = decode_json(manifest.read_bytes())
            if isinstance(told, dict) and told.get("format") == fmt.name:
                return folder
    raise InvalidInputError(
        "since", f"{shown(str(options.since))} is no {fmt.name} export"
    )


@contextmanager
def _folder(target: Path, dry_run: bool) -> Iterator[Path]:
    """The folder to build in, held by this process alone."""
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="convstore-export-") as folder:
            yield Path(folder)
        return
    partial = partial_of(target)
    partial.mkdir(parents=True, exist_ok=True)
    if any(partial.iterdir()) and not (partial / _WORK).is_dir():
        # Not ours: an unfinished export always has its work folder.
        raise AlreadyExistsError(f"folder {shown(str(partial))}")
    lock = os.open(partial, os.O_RDONLY)
    try:
        _hold(lock, partial, target)
        (partial / _WORK).mkdir(exist_ok=True)
        yield partial
    except (ExportRefusedError, StorageFullError):
        discard(partial)
        raise
    finally:
        os.close(lock)


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
