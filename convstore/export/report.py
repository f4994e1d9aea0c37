"""What an export tells when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from convstore.vocabulary.agreement import RaterAgreement


@dataclass(frozen=True, slots=True)
class FormatReport:
    """One data set of an export.

    Attributes:
        format: Name of the format.
        path: Its folder.
        candidates: Rows that were made, before duplicates, contradictions and caps.
        rows: Rows written (or that would be, in a dry run).
        splits: Rows by split.
        dropped: Losses by reason, filters and caps included.
        faulty: Losses for faults in the data, of all of them.
        tombstones: Rows of the former export that no longer exist.
        size_bytes: Bytes of the data files.
        warnings: What a team must know before it trains on this.
        not_understood: Feedback in force that says nothing to the rules, by name:
            labels that the settings do not know, scores outside their scale.
        agreement: How far people agree who judged the same answers, or chose between
            the same, in the sessions that were read.
    """

    format: str
    path: Path
    candidates: int
    rows: int
    splits: dict[str, int]
    dropped: dict[str, int]
    faulty: int
    tombstones: int
    size_bytes: int
    warnings: tuple[str, ...]
    not_understood: dict[str, int] = field(default_factory=dict)
    agreement: RaterAgreement = field(
        default_factory=lambda: RaterAgreement(0, None, None)
    )


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did; `formats` in the order asked for."""

    to: Path
    dry_run: bool
    documents: int
    formats: tuple[FormatReport, ...]

    @property
    def rows(self) -> int:
        """Rows over all formats."""
        return sum(fmt.rows for fmt in self.formats)
