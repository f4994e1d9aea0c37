"""The last stages of an export that others carry out: parts are written, and published.

Whoever writes parts needs the rows and the folder, and nobody beside; the folder
appears when all of them are there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

from convstore.export.choosing.keys import KEY_BYTES
from convstore.export.dataset.files import DataSet, report_of
from convstore.export.dataset.folder import (
    WORK,
    beside,
    building,
    clear,
    discard,
    publish,
    refuse_existing,
)
from convstore.export.dataset.parts import DATA, SIDE, Part, WrittenPart, write_rows
from convstore.export.dataset.previous import previous_export
from convstore.export.dataset.statistics import Tally
from convstore.export.formats import pick_formats
from convstore.export.formats.base import Format
from convstore.export.options import ExportOptions
from convstore.export.privacy.quarantine import add_report, write_reports
from convstore.export.report import ExportReport
from convstore.export.stages.entries import Packed
from convstore.export.stages.facts import checked, facts_of, plan_of, refuse_if_faulty
from convstore.export.stages.making import Counts
from convstore.export.stages.settling import Settlement
from convstore.export.stages.spool import Spool
from convstore.vocabulary.errors import CorruptionError, InvalidInputError

_PARTS, _QUARANTINE = "parts", "quarantine"


def write_part(
    rows: Iterable[Packed],
    part: Part,
    *,
    to: str | PathLike[str],
    options: ExportOptions | None = None,
) -> WrittenPart:
    """Write the rows of a part beside the folder of the export, where `finish` looks.

    Call it again after a failure, or twice at once: the bytes are the same, and a file
    has its name when it is durable.

    Args:
        rows: Rows of the part's format in order of row id; those of other parts are
            passed over.
        part: One of those that `settle` gave.
        to: The folder of the export, which all who write parts and who finishes share.
        options: Those with which the rows were made.

    Raises:
        CorruptionError: A row of the part is not among them.
    """
    options = options or ExportOptions()
    (fmt,) = pick_formats([part.format])
    folder = beside(Path(to)) / WORK / _PARTS / fmt.name
    folder.mkdir(parents=True, exist_ok=True)
    # What is left of an attempt that was killed goes with the folder.
    attempt = Path(tempfile.mkdtemp(prefix="attempt-", dir=folder))
    records = (row.record for row in rows)
    written = write_rows(records, part, attempt, fmt, options)
    for kind, file in ((DATA, written.data), (SIDE, written.side)):
        if file is not None:
            (folder / kind).mkdir(exist_ok=True)
            os.replace(attempt / kind / file.path, folder / kind / file.path)
    shutil.rmtree(attempt)
    return written


def finish(
    parts: Iterable[WrittenPart],
    counts: Iterable[Counts],
    *,
    settlements: Sequence[Settlement],
    to: str | PathLike[str],
    options: ExportOptions | None = None,
) -> ExportReport:
    """Name the parts, write what tells of them, and publish the folder.

    Its bytes are those that `Store.export` writes of the same sessions.

    Args:
        parts: What `write_part` gave, of all parts of all formats, in any order.
        counts: What `rows` counted, of all splits.
        settlements: What `settle` gave, of each format in the order asked for.
        to: The folder; with several formats each has one of its name in it.
        options: Those with which the rows were made.

    Raises:
        AlreadyExistsError: `to` holds something, or another export is writing it.
        InvalidInputError: A part is missing.
        ExportRefusedError: More was dropped for faults than `max_drop_rate` allows.
        StorageFullError: No space left; nothing was published.
    """
    options = options or ExportOptions()
    picked = checked([each.format for each in settlements], options)
    target, written = Path(to), list(parts)
    refuse_existing(target)
    with building(target, dry_run=False) as root:
        clear(root)
        discard(root / WORK / _QUARANTINE)
        tallies = {fmt.name: Tally() for fmt in picked}
        quarantine = Spool(root / WORK / _QUARANTINE)
        documents = _counted(counts, tallies, quarantine)
        plan, reports = plan_of(picked, options), []
        for fmt, settlement in zip(picked, settlements, strict=True):
            tally, previous = tallies[fmt.name], previous_export(fmt, options)
            tally.losses.choices.update(settlement.dropped)
            refuse_if_faulty(fmt, tally, options)
            name = "." if len(picked) == 1 else fmt.name
            data = _data_set(root / name, fmt, options, settlement)
            mine = [part for part in written if part.format == fmt.name]
            _take(data, settlement, mine, root / WORK / _PARTS / fmt.name)
            told = write_reports(quarantine, data.root)
            data.files += [told] if told else []
            data.finish(tally, facts_of(documents, options, plan, previous))
            reports.append(report_of(data, tally, target / name))
        shutil.rmtree(root / WORK)
        publish(root, target)
    return ExportReport(target, False, documents, tuple(reports))


def _counted(
    counts: Iterable[Counts], tallies: Mapping[str, Tally], quarantine: Spool
) -> int:
    """Add up what was counted; returns the number of sessions."""
    documents = 0
    for each in counts:
        documents += each.documents
        for report in each.reports:
            add_report(quarantine, report)
        for name, tally in tallies.items():
            tally.take(each.tallies[name])
    return documents


def _data_set(
    root: Path, fmt: Format, options: ExportOptions, settlement: Settlement
) -> DataSet:
    """A data set that says which rows it has, and has none of their files yet."""
    pictures = any(part.pictures for part in settlement.parts)
    data, ids = DataSet(root, fmt, options, pictures=pictures), settlement.ids
    data.list_rows(
        (ids[at : at + KEY_BYTES] for at in range(0, len(ids), KEY_BYTES)),
        settlement.gone,
    )
    return data


def _take(
    data: DataSet, settlement: Settlement, written: Sequence[WrittenPart], source: Path
) -> None:
    """Bring the files of the parts to their data set.

    Raises:
        InvalidInputError: There is a part that nobody wrote.
        CorruptionError: A file is not the one that was written.
    """
    found: Mapping[tuple[str, int], WrittenPart] = {
        (part.split, part.index): part for part in written
    }
    for part in settlement.parts:
        mine = found.get((part.split, part.index))
        if mine is None or mine.rows * KEY_BYTES != len(part.ids):
            raise InvalidInputError("parts", f"{part.name} was not written")
        for kind, file in ((DATA, mine.data), (SIDE, mine.side)):
            if file is None:
                continue
            path = source / kind / file.path
            if not path.is_file() or path.stat().st_size != file.size_bytes:
                raise CorruptionError(f"part {part.name} is not the one written")
            (data.root / kind).mkdir(parents=True, exist_ok=True)
            os.replace(path, data.root / kind / file.path)
        data.take(mine)
