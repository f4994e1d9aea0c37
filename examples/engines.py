"""What the two examples of this folder are asked: the same as `convstore export`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from convstore import StoreConfig
from convstore.export import ExportOptions


@dataclass(frozen=True)
class Asked:
    """The store, the formats, the folder, and how to export."""

    config: StoreConfig
    formats: list[str]
    to: Path
    options: ExportOptions
    tasks: int


def asked(name: str) -> Asked:
    """What the command line says; the settings of the store come from the environment
    where it does not."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("formats", nargs="+", metavar="FORMAT")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--url", default="")
    parser.add_argument("--archive-dir")
    parser.add_argument("--parquet", action="store_true")
    parser.add_argument("--split", action="append", default=[], metavar="NAME=SHARE")
    parser.add_argument("--tasks", type=int, default=2, help="that run at a time")
    given = parser.parse_args()
    named = {"url": given.url, "archive_dir": given.archive_dir}
    config = StoreConfig(**{name: value for name, value in named.items() if value})
    shares = {name: float(share) for name, share in (s.split("=") for s in given.split)}
    options = ExportOptions(
        file_type="parquet" if given.parquet else "jsonl",
        splits=shares or {"train": 1.0},
    )
    # The words that mean good and bad are a setting of the store.
    options = options.on(config.feedback)
    return Asked(config, given.formats, given.to, options, given.tasks)
