"""One small data set in one stream: what retention writes beside a segment."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from convstore.export.choosing.settlement import kept_of
from convstore.export.example import Dropped
from convstore.export.formats import pick_formats
from convstore.export.options import ExportOptions
from convstore.export.stages.entries import Entry, Waiting
from convstore.export.stages.gather import Gatherer
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import SessionDocument


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What one shard holds; `dropped` counts losses by reason."""

    documents: int
    rows: int
    dropped: dict[str, int]


def write_shard(
    documents: Iterable[SessionDocument],
    format_name: str,
    sink: BinaryIO,
    options: ExportOptions | None = None,
    *,
    without: Collection[tuple[str, str]] = (),
    provenance: BinaryIO | None = None,
) -> ShardReport:
    """Write the rows of a handful of documents as JSONL, in order of row id.

    The rows are held in memory. The same documents give the same bytes, in whatever
    order they come; without a session, the bytes are those of a shard that never had
    it, so a shard is made again from its segment after an erasure.

    Args:
        documents: Each session once.
        format_name: A name from `convstore.export.formats.FORMATS`.
        sink: Takes the lines; not closed.
        options: As for an export; splits, shard size, file type, near
            duplicates and the caps per session and user do not apply.
        without: Tenant and session ids to leave out.
        provenance: Takes a line per row for formats that carry none in the row.

    Raises:
        InvalidInputError: No format has this name, or the options ask for Parquet.
    """
    options = options or ExportOptions()
    options.check()
    if options.file_type != "jsonl":
        raise InvalidInputError("file_type", "a shard is JSONL")
    fmt = pick_formats([format_name])[0]
    gatherer = Gatherer([fmt], options)
    losses = gatherer.tallies[fmt.name].losses
    erased = frozenset(without)
    entries: list[Entry] = []
    waiting: dict[bytes, Waiting] = {}
    for document in documents:
        if (document.session.tenant_id, document.session.id) in erased:
            continue
        for made in gatherer.rows(document):
            entries.append(made.entry)
            waiting[made.entry.row_id] = made.row

    def drop(entry: Entry, reason: str) -> None:
        losses.add(Dropped(reason, fault=False))

    stay = {entry.row_id for entry in kept_of(entries, options.caps.per_prompt, drop)}
    for row_id in sorted(stay):
        sink.write(waiting[row_id].data + b"\n")
        if provenance is not None and waiting[row_id].side:
            provenance.write(waiting[row_id].side + b"\n")
    return ShardReport(gatherer.documents, len(stay), losses.table())
