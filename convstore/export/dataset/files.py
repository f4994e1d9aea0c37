"""The files of one data set: its parts named, what was listed, card and manifest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path

from convstore.export.choosing.keys import KEY_BYTES
from convstore.export.dataset.card import card, lengths_of, rules_of, warnings_of
from convstore.export.dataset.folder import seal_folder, write_file
from convstore.export.dataset.parts import DATA, SIDE, WrittenPart
from convstore.export.dataset.plots import bar_chart
from convstore.export.dataset.statistics import Stats, Tally
from convstore.export.formats.base import Format
from convstore.export.formats.schemas import schema_of
from convstore.export.options import ExportOptions
from convstore.export.reading.language import detector_version
from convstore.export.report import FormatReport
from convstore.export.stages.gather import columns_of
from convstore.export.writers.base import FileRecord, HashedFile
from convstore.export.writers.jsonl import JsonlShard
from convstore.export.writers.parquet import load_pyarrow
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json

ROW_IDS = "row-ids.bin"
TOMBSTONES = "tombstones.jsonl"
SCHEMA = "schema.json"
_NOTED_BYTES = 64 * 1024


class DataSet:
    """One data set in a folder that is not published yet: its parts, and what tells of
    them."""

    def __init__(
        self, root: Path, fmt: Format, options: ExportOptions, *, pictures: bool
    ) -> None:
        self.root, self.fmt, self.options = root, fmt, options
        self.pictures = pictures
        self.columns = columns_of(fmt, options, pictures=pictures)
        self.stats = Stats()
        self.files: list[FileRecord] = []
        self._names = list(options.splits)
        self._parts: dict[str, list[WrittenPart]] = {name: [] for name in self._names}
        self.tombstones = 0

    def list_rows(self, ids: Iterable[bytes], gone: Iterable[bytes]) -> None:
        """Write down the ids of all rows that stay, and of those that no longer do."""
        with closing(Listing(self)) as listing:
            for row_id in ids:
                listing.note(row_id)
            for row_id in gone:
                listing.lose(row_id)
            listing.finish()

    def take(self, part: WrittenPart) -> None:
        """Make a part that is written one of the data set."""
        self.stats.merge(part.stats)
        self._parts[part.split].append(part)

    def finish(self, tally: Tally, facts: dict[str, Json]) -> None:
        """Give the shards their names and write card, plots and manifest."""
        for parts in self._parts.values():
            self._name(sorted(parts, key=attrgetter("index")))
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

    def warnings(self) -> list[str]:
        """What a team must know before it trains on this."""
        return warnings_of(self.fmt, self.stats)

    def _name(self, parts: Sequence[WrittenPart]) -> None:
        """The number of a split's files is known only now, and is part of each name."""
        suffix = "parquet" if self.options.file_type == "parquet" else "jsonl"
        for part in parts:
            stem = f"{part.split}-{part.index:05}-of-{len(parts):05}"
            for folder, end, file in (
                (DATA, suffix, part.data),
                (SIDE, "jsonl", part.side),
            ):
                if file is not None:
                    path = f"{folder}/{stem}.{end}"
                    os.rename(self.root / folder / file.path, self.root / path)
                    self.files.append(replace(file, path=path))

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


class Listing:
    """The files that say which rows there are, and which no longer exist."""

    def __init__(self, data: DataSet) -> None:
        self._data, self._noted = data, bytearray()
        self._ids: HashedFile | None = None
        if data.options.dry_run:
            self._lost = _Lines(None)
            return
        folder = data.root / SIDE
        folder.mkdir(parents=True, exist_ok=True)
        self._lost = _Lines(folder / TOMBSTONES)
        self._ids = HashedFile(folder / ROW_IDS)

    def note(self, row_id: bytes) -> None:
        """A row that stays; in order."""
        self._noted += row_id
        if len(self._noted) >= _NOTED_BYTES:
            self._put_down()

    def _put_down(self) -> None:
        if self._ids is not None:
            self._ids.write(bytes(self._noted))
        self._noted.clear()

    def lose(self, row_id: bytes) -> None:
        """A row of the former export that no longer exists; in order."""
        self._lost.add(dumps({"row_id": row_id.hex()}))

    def finish(self) -> None:
        """Make the files durable, and part of the data set."""
        self._put_down()
        self._data.tombstones = self._lost.count
        if self._ids is not None:
            self._ids.close()
            listed = self._ids.record(f"{SIDE}/{ROW_IDS}", None)
            lost = self._lost.record(f"{SIDE}/{TOMBSTONES}")
            self._data.files += [listed, *lost]

    def close(self) -> None:
        """Let go of files that are not finished, after an error. Idempotent."""
        self._lost.abandon()
        if self._ids is not None:
            self._ids.abandon()


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


def report_of(data: DataSet, tally: Tally, path: Path) -> FormatReport:
    """What there is to tell of a data set; `path` is its folder."""
    return FormatReport(
        format=data.fmt.name,
        path=path,
        candidates=tally.rows,
        rows=data.stats.rows,
        splits={name: data.stats.splits[name] for name in data.options.splits},
        dropped=tally.losses.table(),
        faulty=tally.losses.faults.total(),
        tombstones=data.tombstones,
        size_bytes=sum(f.size_bytes for f in data.files if f.path[:5] == "data/"),
        warnings=tuple(data.warnings()),
        not_understood=dict(sorted(tally.unclear.items())),
        agreement=tally.agreement.agreement(),
    )


def read_row_ids(path: Path) -> Iterator[bytes]:
    """The row ids that an export wrote down, in order."""
    with path.open("rb") as file:
        while row_id := file.read(KEY_BYTES):
            yield row_id
