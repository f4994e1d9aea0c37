"""The data sets below a folder, by their manifests: what exports wrote there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.data_sets import DataSetFile, WrittenDataSet
from convstore.vocabulary.errors import CorruptionError, InvalidInputError, shown

_MANIFEST = "manifest.json"
_WORK = ".work"
_MOST_BYTES = 16 * 1024 * 1024
"""Of a manifest: a hundred thousand files."""
_MOST_FOLDERS = 10_000


def written_in(folder: Path, limit: int) -> list[WrittenDataSet]:
    """See `Store.data_sets`."""
    try:
        found = list(_found(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        told = f"{shown(str(folder))}: {error.strerror}"
        raise InvalidInputError("folder", told) from None
    found.sort(key=lambda one: (one.written_at, one.name), reverse=True)
    return found[:limit]


def _found(folder: Path) -> Iterator[WrittenDataSet]:
    for below in _folders(folder):
        if (below / _WORK).is_dir():
            yield WrittenDataSet(
                below.name.removesuffix(".partial"), "partial", _at(below)
            )
        elif (one := _written(below, below.name)) is not None:
            yield one
        else:
            # An export of several formats has a folder for each.
            for of_format in _folders(below):
                name = f"{below.name}/{of_format.name}"
                if (one := _written(of_format, name)) is not None:
                    yield one


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    return [folder / name for name in sorted(names)[:_MOST_FOLDERS]]


def _written(folder: Path, name: str) -> WrittenDataSet | None:
    """The data set of a folder; None where it holds something else."""
    path = folder / _MANIFEST
    if path.is_symlink() or not path.is_file():
        return None
    if path.stat().st_size > _MOST_BYTES:
        return None
    try:
        return _of(decode_json(path.read_bytes()), name, _at(path))
    except (CorruptionError, KeyError, TypeError, AttributeError):
        return None  # a manifest of something else


def _of(told: Any, name: str, at: datetime) -> WrittenDataSet:
    files = tuple(
        DataSetFile(
            str(one["path"]), int(one["bytes"]), str(one["sha256"]), one.get("rows")
        )
        for one in told["files"]
    )
    return WrittenDataSet(
        name,
        "whole",
        at,
        format=str(told["format"]),
        exporter=str(told["exporter"]),
        documents=int(told["documents"]),
        rows=int(told["rows"]),
        splits=dict(told["splits"]),
        rules=dict(told["rules"]),
        dropped=dict(told["dropped"]),
        tombstones=int(told["tombstones"]),
        files=files,
    )


def _at(path: Path) -> datetime:
    return from_micros(path.stat().st_mtime_ns // 1_000)
