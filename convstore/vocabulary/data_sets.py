"""A data set that an export wrote, as its manifest tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

DataSetState: TypeAlias = Literal["whole", "partial"]


@dataclass(frozen=True, slots=True)
class DataSetFile:
    """One file of a data set; `rows` is None where it has none."""

    path: str
    size_bytes: int
    sha256: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class WrittenDataSet:
    """A data set in a folder.

    Attributes:
        name: Of its folder, below the one that was asked for; with `/` where one export
            wrote several formats.
        state: `whole`, or `partial`: an export is writing it, or was cut short, and the
            same call goes on. Nothing below is known of a partial one.
        written_at: When its manifest was written; of a partial one, when it was last
            touched.
        format: Name of the format.
        exporter: Release that wrote it.
        documents: Sessions that were read.
        rows: Rows of all splits.
        splits: Rows by split.
        rules: Rows by rule.
        dropped: What was left out, by reason.
        tombstones: Rows of the export before it that no longer exist.
        files: In the order of their paths.
    """

    name: str
    state: DataSetState
    written_at: datetime
    format: str = ""
    exporter: str = ""
    documents: int = 0
    rows: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    tombstones: int = 0
    files: tuple[DataSetFile, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Of the files of rows."""
        return sum(f.size_bytes for f in self.files if f.path.startswith("data/"))
