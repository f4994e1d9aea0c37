"""What an export would make of some sessions, told and not written."""

from __future__ import annotations

from dataclasses import dataclass, field

from convstore.vocabulary.agreement import RaterAgreement
from convstore.vocabulary.records import JsonObject


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One row of a data set that was not written.

    Attributes:
        row_id: As it would be in the data set.
        session_id: Whose row it is.
        turn_seqs: The judged turns; of a pair, the chosen one first.
        interaction_seqs: The judgements that it rests on.
        rule: Name and version of the rule that made it, as `R1/1`.
        split: The split that it would be in.
        row: The line of the file, provenance and all.
    """

    row_id: str
    session_id: str
    turn_seqs: tuple[int, ...]
    interaction_seqs: tuple[int, ...]
    rule: str
    split: str
    row: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class Preview:
    """What an export would make of some sessions; nothing was written.

    Attributes:
        format: Name of the format.
        rows: The first of them, in the order of the file.
        row_count: All rows of the sessions that were read.
        splits: Rows by split, of `row_count`.
        left_out: Losses by reason, as an export's `dropped` tells them.
        not_understood: Feedback in force that says nothing to the rules, by name.
        agreement: How far people agree who judged the same, in these sessions.
        session_count: How many sessions were read.
        complete: False where sessions were left unread, or `rows` are not all.
        rules: Rows by rule, of `row_count`.
        lengths: Rows by length class, of `row_count`, the shortest class first.
        warnings: What a team must know before it trains on such rows.
    """

    format: str
    rows: tuple[PreviewRow, ...]
    row_count: int
    splits: dict[str, int]
    left_out: dict[str, int]
    not_understood: dict[str, int]
    session_count: int
    complete: bool
    agreement: RaterAgreement = field(
        default_factory=lambda: RaterAgreement(0, None, None)
    )
    rules: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
