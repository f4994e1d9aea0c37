"""From a split to packed rows: what a worker of an export does, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from convstore.export.formats import pick_formats
from convstore.export.options import ExportOptions
from convstore.export.privacy.quarantine import reports_of
from convstore.export.stages.entries import Packed, cut_packed, join_packed
from convstore.export.stages.gather import Gatherer
from convstore.export.stages.reading_splits import SplitReader
from convstore.export.stages.splits import Split
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import JsonObject, SessionDocument

MOST_HELD = 8 * 1024 * 1024
"""Bytes of rows that a worker of ours answers with at once, and one session more."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted while rows were made: numbers, reasons and ids.

    Attributes:
        documents: Sessions that were read.
        tallies: By format, what was counted; for `finish`.
        reports: Who reported what, by id, where `quarantine` asks for it.
    """

    documents: int
    tallies: Mapping[str, JsonObject]
    reports: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """The packed rows of some sessions. Can be pickled.

    `packed` is all rows as one run of bytes; `of` takes it apart. `left` names sessions
    of the split whose rows are not among them; `rows` leaves none.
    """

    formats: tuple[str, ...]
    counts: Counts
    packed: bytes = field(repr=False)
    left: tuple[str, ...] = ()

    def of(self, format_: str) -> Iterator[Packed]:
        """The rows of one format, in no order."""
        place = self.formats.index(format_)
        return (row for row in cut_packed(self.packed) if row.place == place)

    def entries(self, format_: str) -> Iterator[Packed]:
        """What `settle` wants of the rows of one format: all but the rows."""
        return (row._replace(record=b"") for row in self.of(format_))


def rows(
    split: Split,
    formats: str | Sequence[str],
    options: ExportOptions | None = None,
) -> Rows:
    """The rows of a split, packed for each format, and what was left out.

    Opens what the split names, and closes it. Blocks, and holds the rows in memory. In
    code with an event loop, call it in a thread.

    Args:
        split: One of those that `plan` gave.
        formats: Names of formats.
        options: Those of the export; `workers` has no meaning here.

    Raises:
        InvalidInputError: A format or option cannot be meant.
        CorruptionError: A session's rows or file are damaged; names it.
        UnavailableError: The database or the archive is away.
    """
    names = (formats,) if isinstance(formats, str) else tuple(formats)
    options = options or ExportOptions()
    options.check()
    if options.dry_run:
        raise InvalidInputError("dry_run", "is told of whole exports")
    gatherer = Gatherer(pick_formats(names), options)
    with SplitReader() as reader:
        return made(gatherer, reader.documents(split))


def made(
    gatherer: Gatherer, documents: Iterable[SessionDocument], most: int | None = None
) -> Rows:
    """The rows of some sessions, and what was counted for these alone.

    No more are read once there are `most` bytes of rows. The counts are not in the
    gatherer's tallies: rows may be made before it is their turn.
    """
    kept, gatherer.tallies = gatherer.tallies, gatherer.new_tallies()
    found: list[Packed] = []
    reports: list[bytes] = []
    count = size = 0
    try:
        for document in documents:
            count += 1
            if gatherer.options.quarantine:
                reports += reports_of(document)
            for row in gatherer.packed(document):
                found.append(row)
                size += len(row.record)
            if most is not None and size >= most:
                break
        told = {name: tally.told() for name, tally in gatherer.tallies.items()}
    finally:
        gatherer.tallies = kept
    names = tuple(fmt.name for fmt in gatherer.formats)
    return Rows(names, Counts(count, told, tuple(reports)), join_packed(found))


def made_of(gatherer: Gatherer, reader: SplitReader, split: Split) -> Rows:
    """The rows of a split, and the sessions that were too much to be held with them."""
    ids: set[str] = set()

    def noted() -> Iterator[SessionDocument]:
        for document in reader.documents(split):
            ids.add(document.session.id)
            yield document

    found = made(gatherer, noted(), MOST_HELD)
    if len(found.packed) < MOST_HELD:
        return found
    left = tuple(each for each in split.session_ids if each not in ids)
    return replace(found, left=left)
