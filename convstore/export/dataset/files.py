"""From sorted rows to the files of one data set: shards, sidecars, card, manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Protocol

from convstore.export.choosing.keys import KEY_BYTES
from convstore.export.dataset.card import card, lengths_of, rules_of, warnings_of
from convstore.export.dataset.folder import seal_folder, write_file
from convstore.export.dataset.plots import bar_chart
from convstore.export.dataset.statistics import Stats, Tally
from convstore.export.formats.base import Format
from convstore.export.formats.schemas import schema_of
from convstore.export.options import ExportOptions
from convstore.export.reading.language import detector_version
from convstore.export.stages.entries import PICTURED, Waiting, flags_of, unpack_waiting
from convstore.export.stages.gather import columns_of
from convstore.export.writers.base import FileRecord, HashedFile, ShardWriter
from convstore.export.writers.jsonl import JsonlShard
from convstore.export.writers.parquet import ParquetShard, load_pyarrow
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json

ROW_IDS = "provenance/row-ids.bin"
TOMBSTONES = "provenance/tombstones.jsonl"
SCHEMA = "schema.json"


@dataclass(slots=True)
class _Split:
    """The shards of one split so far, and the one that is open."""

    shards: list[tuple[HashedFile, HashedFile | None, int]] = field(
        default_factory=list
    )
    writer: ShardWriter | None = None
    side: JsonlShard | None = None
    rows: int = 0
    size: int = 0


class DataSet:
    """Writes one data set into a folder that is not published yet."""

    def __init__(
        self, root: Path, fmt: Format, options: ExportOptions, *, pictures: bool
    ) -> None:
        self.root, self.fmt, self.options = root, fmt, options
        self.columns = columns_of(fmt, options, pictures=pictures)
        self.stats = Stats()
        self.files: list[FileRecord] = []
        self.tombstones = 0
        self._names = list(options.splits)
        self._splits = [_Split() for _ in self._names]
        self._open: list[_Open] = []

    def write(
        self,
        rows: Iterable[tuple[bytes, bytes]],
        previous: Iterable[bytes],
        step: Callable[[int], None],
    ) -> None:
        """Write all rows; with a former export, only what is new.

        Args:
            rows: Example id and packed row, in order.
            former: Example ids of the former export, in order.
            step: Called now and then with the rows written since.
        """
        dry = self.options.dry_run
        if not dry:
            (self.root / "provenance").mkdir(parents=True)
        known, lost = _Walk(previous), _Lines(None if dry else self.root / TOMBSTONES)
        ids = None if dry else HashedFile(self.root / ROW_IDS)
        self._open += [lost, *([ids] if ids is not None else [])]
        done = 0
        for row_id, record in rows:
            for old in known.before(row_id):
                lost.add(dumps({"row_id": old.hex()}))
            if ids is not None:
                ids.write(row_id)
            if not known.has(row_id):
                self._add(unpack_waiting(record))
            done += 1
            if done % 1_000 == 0:
                step(1_000)
        for old in known.rest():
            lost.add(dumps({"row_id": old.hex()}))
        step(done % 1_000)
        self.tombstones = lost.count
        if ids is not None:
            ids.close()
            self.files.append(ids.record(ROW_IDS, None))
            self.files += lost.record(TOMBSTONES)

    def finish(self, tally: Tally, facts: dict[str, Json]) -> None:
        """Give the shards their names and write card, plots and manifest."""
        if not self.stats.rows:
            # Readers need a file to find the columns by, be there rows or not.
            for number, split in enumerate(self._splits):
                self._open_shard(number, split)
        for name, split in zip(self._names, self._splits, strict=True):
            self._close_shard(split)
            self._name_shards(name, split)
        readme = card(
            self.fmt, self.options, self.columns, self.stats, tally, self.warnings()
        )
        plots = {"lengths": lengths_of(self.stats), "rules": rules_of(self.stats)}
        self.files.append(write_file(self.root, "README.md", readme))
        schema = dumps(schema_of(self.fmt.name), indent=True) + b"\n"
        self.files.append(write_file(self.root, SCHEMA, schema))
        for name, bars in plots.items():
            drawn = bar_chart(f"Rows by {name[:-1]}", bars)
            self.files.append(write_file(self.root, f"plots/{name}.svg", drawn))
        if self.fmt.name.startswith("sharegpt") and self.stats.rows:
            info = dumps(self._dataset_info(), indent=True) + b"\n"
            self.files.append(write_file(self.root, "dataset_info.json", info))
        seal_folder(self.root, self.files, {**self._facts(tally), **facts})

    def close(self) -> None:
        """Let go of what is still open, after an error. Idempotent."""
        for split in self._splits:
            self._open += filter(None, (split.writer, split.side))
        for file in self._open:
            file.abandon()

    def warnings(self) -> list[str]:
        """What a team must know before it trains on this."""
        return warnings_of(self.fmt, self.stats)

    def _add(self, row: Waiting) -> None:
        self.stats.add(row, self._names[row.split])
        if self.options.dry_run:
            return
        split = self._splits[row.split]
        if split.writer is not None and split.size >= self.options.shard_bytes:
            self._close_shard(split)
        if split.writer is None:
            self._open_shard(row.split, split)
        assert split.writer is not None
        split.writer.add(row.data)
        if split.side is not None:
            split.side.add(row.side)
        split.rows += 1
        split.size += len(row.data) + 1

    def _open_shard(self, number: int, split: _Split) -> None:
        stem = f"{self._names[number]}-{len(split.shards):05}.part"
        path = self.root / "data" / stem
        path.parent.mkdir(exist_ok=True)
        if self.options.file_type == "parquet":
            inline = self.fmt.provenance == "column"
            split.writer = ParquetShard(
                path, self.columns, self.options.profile, inline
            )
        else:
            split.writer = JsonlShard(path)
        if self.fmt.provenance == "sidecar":
            split.side = JsonlShard(self.root / "provenance" / stem)

    def _close_shard(self, split: _Split) -> None:
        if split.writer is None:
            return
        side = split.side.close() if split.side else None
        split.shards.append((split.writer.close(), side, split.rows))
        split.writer, split.side, split.rows, split.size = None, None, 0, 0

    def _name_shards(self, name: str, split: _Split) -> None:
        """The total is known only now, and it is part of each name."""
        suffix = "parquet" if self.options.file_type == "parquet" else "jsonl"
        for index, (file, side, rows) in enumerate(split.shards):
            stem = f"{name}-{index:05}-of-{len(split.shards):05}"
            for folder, end, one in (
                ("data", suffix, file),
                ("provenance", "jsonl", side),
            ):
                if one is not None:
                    path = f"{folder}/{stem}.{end}"
                    part = self.root / folder / f"{name}-{index:05}.part"
                    os.rename(part, self.root / path)
                    self.files.append(one.record(path, rows))

    def _facts(self, tally: Tally) -> dict[str, Json]:
        facts: dict[str, Json] = {
            "format": self.fmt.name,
            "file_type": self.options.file_type,
            "profile": self.options.profile,
            "candidates": tally.rows,
            "rows": self.stats.rows,
            "splits": {name: self.stats.splits[name] for name in self._names},
            "rules": dict(rules_of(self.stats)),
            "dropped": tally.losses.table(),
            "redactions": dict(sorted(tally.redactions.items())),
            "tombstones": self.tombstones,
        }
        facts["libraries"] = self._libraries()
        return facts

    def _libraries(self) -> dict[str, Json]:
        used: dict[str, Json] = {}
        if self.options.file_type == "parquet":
            used["pyarrow"] = load_pyarrow()[0].__version__
        if self.options.detect_language:
            used["detector"] = detector_version()
        if self.options.near_duplicates is not None:
            used["rensa"] = version("rensa")
        if self.options.redact == "presidio":
            used["presidio"] = version("presidio-analyzer")
        if self.options.tokenizer is not None:
            used["tokenizers"] = version("tokenizers")
        return used

    def _dataset_info(self) -> dict[str, Json]:
        columns = {column.name: column.name for column in self.fmt.columns}
        columns["messages"] = columns.pop("conversations")
        entry: dict[str, Json] = {"formatting": "sharegpt", "columns": columns}
        if self.fmt.name == "sharegpt-dpo":
            entry["ranking"] = True
        info: dict[str, Json] = {}
        for name in self._names:
            shards = [f.path for f in self.files if f.path.startswith(f"data/{name}-")]
            for number, path in enumerate(shards):
                # Its loader takes one file for an entry.
                shard = f"_{number:05}" if len(shards) > 1 else ""
                info[f"{self.fmt.name}_{name}{shard}"] = {"file_name": path, **entry}
        return info


class _Open(Protocol):
    def abandon(self) -> None: ...


class _Walk:
    """Goes along sorted ids beside another sorted walk."""

    def __init__(self, ids: Iterable[bytes]) -> None:
        self._ids = iter(ids)
        self._next = next(self._ids, None)

    def before(self, row_id: bytes) -> Iterator[bytes]:
        while self._next is not None and self._next < row_id:
            yield self._next
            self._next = next(self._ids, None)

    def has(self, row_id: bytes) -> bool:
        if self._next != row_id:
            return False
        self._next = next(self._ids, None)
        return True

    def rest(self) -> Iterator[bytes]:
        if self._next is not None:
            yield from chain([self._next], self._ids)


class _Lines:
    """A file of lines that exists only if there is one."""

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._path = path
        self._shard: JsonlShard | None = None

    def add(self, line: bytes) -> None:
        self.count += 1
        if self._path is None:
            return
        if self._shard is None:
            self._shard = JsonlShard(self._path)
        self._shard.add(line)

    def abandon(self) -> None:
        if self._shard is not None:
            self._shard.abandon()

    def record(self, name: str) -> list[FileRecord]:
        if self._shard is None:
            return []
        return [self._shard.close().record(name, self.count)]


def holds_pictures(
    rows: Iterable[tuple[bytes, bytes]], previous: Iterable[bytes]
) -> bool:
    """Whether a row that will be written holds an image."""
    known = _Walk(previous)
    for row_id, record in rows:
        for _ in known.before(row_id):
            pass
        if not known.has(row_id) and flags_of(record) & PICTURED:
            return True
    return False


def read_row_ids(path: Path) -> Iterator[bytes]:
    """The row ids that an export wrote down, in order."""
    with path.open("rb") as file:
        while row_id := file.read(KEY_BYTES):
            yield row_id


def without(
    rows: Iterable[tuple[bytes, bytes]], gone: Iterable[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """The rows whose ids are not gone, each id once; both in order."""
    walk = _Walk(gone)
    last = b""
    for row_id, record in rows:
        for _ in walk.before(row_id):
            pass  # Cannot be: only rows that exist go. Harmless, and skipped.
        if walk.has(row_id):
            continue
        if row_id != last:
            yield row_id, record
        last = row_id
