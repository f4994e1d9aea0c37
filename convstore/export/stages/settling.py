"""Which rows of a format stay, and in which file each goes: told from small entries.

What looks across rows happens here and nowhere else: duplicates and contradictions,
caps, near duplicates, the balance of lengths, the split of a prompt, and where one file
ends and the next begins. So whoever makes rows, or writes them, needs none of the
others.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convstore.export.choosing.balance import balanced
from convstore.export.choosing.near import add_bands, near_duplicates
from convstore.export.choosing.settlement import (
    Walk,
    ids_of,
    listed,
    settled,
    staying,
)
from convstore.export.dataset.parts import Part
from convstore.export.dataset.previous import previous_export, row_ids
from convstore.export.dataset.statistics import Losses
from convstore.export.formats import pick_formats
from convstore.export.formats.base import Format
from convstore.export.options import ExportOptions
from convstore.export.stages.entries import PICTURED, Packed, Staying
from convstore.export.stages.spool import Spool


class WaitingEntries:
    """The entries of one format, on disk."""

    def __init__(self, index: Spool, near: Spool, options: ExportOptions) -> None:
        self.index, self.near, self._least = index, near, options.near_duplicates

    def add(self, row: Packed) -> None:
        """Put the entry of a row on disk; its record is not looked at."""
        self.index.add(row.prompt, row.entry)
        if row.signature and self._least is not None:
            add_bands(self.near, row.signature, self._least, row.at_us, row.row_id)


class Settling:
    """What stays of the entries of one format. Made once all of them are there."""

    def __init__(
        self,
        fmt: Format,
        options: ExportOptions,
        waiting: WaitingEntries,
        folder: Path,
        losses: Losses,
    ) -> None:
        self._fmt, self._options, self._losses = fmt, options, losses
        self._stay = settled(waiting.index, options.caps, losses, folder)
        self._near = Spool(folder / "near")
        if options.near_duplicates is not None:
            for row_id in near_duplicates(waiting.near, options.near_duplicates):
                self._near.add(row_id, row_id)

    def rows(self) -> Iterable[Staying]:
        """The rows that stay, in order; counts what does not. Call it once."""
        return self._rows(self._losses)

    def pictures(self, previous: Path | None) -> bool:
        """Whether a row that will be written holds an image."""
        known = Walk(row_ids(previous))
        return any(
            flags & PICTURED and not known.is_at(row_id)
            for row_id, _, flags, _ in self._rows(Losses())
        )

    def parts(self, rows: Iterable[Staying], *, pictures: bool) -> Iterator[Part]:
        """The files that these rows go into, as each is full.

        A new one begins in a split when `shard_bytes` are in the one before. Without
        rows there is one in each split: readers need a file to find the columns by.
        """
        names, most = list(self._options.splits), self._options.shard_bytes
        ids = [bytearray() for _ in names]
        sizes, counts = [0] * len(names), [0] * len(names)

        def part(split: int) -> Part:
            made = Part(
                self._fmt.name, names[split], counts[split], pictures, bytes(ids[split])
            )
            counts[split] += 1
            sizes[split] = 0
            ids[split].clear()
            return made

        for row_id, split, _, size in rows:
            if sizes[split] >= most:
                yield part(split)
            ids[split] += row_id
            sizes[split] += size + 1
        left = [split for split in range(len(names)) if ids[split]]
        for split in left if any(counts) or left else range(len(names)):
            yield part(split)

    def _rows(self, losses: Losses) -> Iterable[Staying]:
        share = None
        if self._fmt.kind == "pair":
            share = self._options.max_length_bias

        def stay(losses: Losses) -> Iterable[Staying]:
            return staying(self._stay, ids_of(self._near), losses)

        if share is None:
            return stay(losses)
        # The first time for counting only.
        return balanced(stay(Losses()), stay(losses), share, losses)


@dataclass(frozen=True, slots=True)
class Routing:
    """Says which part a row goes to: for whoever deals rows out to those who write.

    `ends` has the highest row id of each part and its number, by split.
    """

    ends: tuple[tuple[tuple[bytes, int], ...], ...]

    def part_of(self, row: Packed) -> int | None:
        """The number of the part, among `Settlement.parts`; None where nobody writes
        the row. A row that goes may have one too: the part passes it over."""
        ends = self.ends[row.split]
        place = bisect_left(ends, (row.row_id, 0))
        return ends[place][1] if place < len(ends) else None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What `settle` decided about the rows of one format.

    Attributes:
        format: Name of the format.
        parts: The files to be written, each with the ids of its rows.
        ids: The ids of all rows that stay, in order; those of a former export too.
        gone: Ids of rows of the former export that no longer exist.
        dropped: How many rows go, by reason.
        splits: Names of the splits.
    """

    format: str
    parts: tuple[Part, ...]
    ids: bytes = field(repr=False)
    gone: tuple[bytes, ...] = field(repr=False)
    dropped: dict[str, int]
    splits: tuple[str, ...]

    @property
    def routing(self) -> Routing:
        """Which part each row goes to; without the ids, and so small."""
        ends: dict[str, list[tuple[bytes, int]]] = {name: [] for name in self.splits}
        for number, part in enumerate(self.parts):
            ends[part.split].append((part.last, number))
        return Routing(tuple(tuple(sorted(each)) for each in ends.values()))


def settle(
    entries: Iterable[Packed], format_: str, options: ExportOptions | None = None
) -> Settlement:
    """Decide which rows of a format stay, and which file each goes into.

    The entries wait in a temporary folder, in flat memory, and may come in any order;
    what is given back takes some 32 bytes a row. The same entries give the same
    answer.

    Args:
        entries: Those of all rows of the format, as `Rows.entries` gives them.
        format_: Name of the format.
        options: Those with which the rows were made.

    Raises:
        InvalidInputError: No such format, or `since` names no export of it.
    """
    options = options or ExportOptions()
    (fmt,) = pick_formats([format_])
    previous, losses = previous_export(fmt, options), Losses()
    with tempfile.TemporaryDirectory(prefix="convstore-export-") as name:
        folder = Path(name)
        waiting = WaitingEntries(
            Spool(folder / "index"), Spool(folder / "bands"), options
        )
        for entry in entries:
            waiting.add(entry)
        settling = Settling(fmt, options, waiting, folder, losses)
        pictures = settling.pictures(previous)
        ids, gone = bytearray(), list[bytes]()
        new = listed(settling.rows(), row_ids(previous), ids.extend, gone.append)
        parts = tuple(settling.parts(new, pictures=pictures))
    dropped = dict(sorted(losses.choices.items()))
    splits = tuple(options.splits)
    return Settlement(fmt.name, parts, bytes(ids), tuple(gone), dropped, splits)
