"""The rows that an export would make of a few sessions, in memory: no files.

The rules, the formats and what settles between rows are those of `job`; only where rows
wait is another place. So a preview has the very lines that an export of the same
sessions writes.
"""

from __future__ import annotations

from collections.abc import Iterable

from convstore.export.choosing.settlement import settled_ids
from convstore.export.dataset.card import lengths_of, rules_of, warnings_of
from convstore.export.dataset.statistics import Stats, Tally
from convstore.export.formats import FORMATS, pick_formats
from convstore.export.options import ExportOptions
from convstore.export.rules import RULES, pick_rules
from convstore.export.stages.entries import Entry, Waiting
from convstore.export.stages.gather import Gatherer
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.previews import Preview, PreviewRow
from convstore.vocabulary.records import SessionDocument

_OF_WHOLE_EXPORTS = ("since", "near_duplicates", "max_length_bias")


def check_preview(format_: str, options: ExportOptions) -> None:
    """Refuse what a preview cannot tell.

    Raises:
        InvalidInputError: No such format, or an option that needs files or all rows.
    """
    (fmt,) = pick_formats([format_])
    options.check()
    for name in _OF_WHOLE_EXPORTS:
        if getattr(options, name) is not None:
            raise InvalidInputError(name, "is told of whole exports, not of a preview")
    if options.file_type != "jsonl":
        raise InvalidInputError("file_type", "a preview shows the lines of jsonl")
    if options.redaction_cache is not None:
        raise InvalidInputError("redaction_cache", "a preview writes no file")
    if not any(fmt.kind in rule.kinds for rule in pick_rules(options.rules)):
        named = ", ".join(r.name for r in RULES.values() if fmt.kind in r.kinds)
        raise InvalidInputError("rules", f"none makes rows of {fmt.name}: {named} do")


def preview_of(
    documents: Iterable[SessionDocument],
    format_: str,
    options: ExportOptions,
    limit: int,
) -> Preview:
    """The rows of these sessions as `run_export` would write them.

    All rows are held in memory: give it a bounded number of documents.
    """
    gatherer = Gatherer([FORMATS[format_]], options)
    entries: list[Entry] = []
    waiting: dict[bytes, Waiting] = {}
    for document in documents:
        for made in gatherer.rows(document):
            entries.append(made.entry)
            waiting.setdefault(made.entry.row_id, made.row)
    tally: Tally = gatherer.tallies[format_]
    ids = settled_ids(entries, options.caps, tally.losses)
    stay = [waiting[row_id] for row_id in sorted(ids)]
    names = list(options.splits)
    stats = Stats()
    for row in stay:
        stats.add(row, names[row.split])
    return Preview(
        format_,
        tuple(_row(row, names) for row in stay[:limit]),
        row_count=len(stay),
        splits={name: stats.splits[name] for name in names},
        left_out=tally.losses.table(),
        not_understood=dict(sorted(tally.unclear.items())),
        agreement=tally.agreement.agreement(),
        session_count=gatherer.documents,
        complete=len(stay) <= limit,
        rules=dict(rules_of(stats)),
        lengths=dict(lengths_of(stats)),
        warnings=tuple(warnings_of(FORMATS[format_], stats)),
    )


def _row(row: Waiting, splits: list[str]) -> PreviewRow:
    body = decode_json(row.data)
    told = decode_json(row.side) if row.side else body.get("convstore", {})
    return PreviewRow(
        row_id=row.row_id.hex(),
        session_id=told.get("session_id", ""),
        turn_seqs=tuple(int(seq) for seq in told.get("turn_ids", ())),
        interaction_seqs=tuple(int(seq) for seq in told.get("feedback_ids", ())),
        rule=told.get("rule", ""),
        split=splits[row.split],
        row=body,
    )
