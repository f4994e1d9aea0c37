"""Parquet as releases of `datasets` read it that other trainers still pin.

Each release has an environment of its own. Heavy, and so run with the trainers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convstore.export.formats import FORMATS
from convstore.export.options import ExportOptions, Profile
from convstore.export.stages.job import run_export
from tests.summary import note_tested
from tests.unit.export.histories import histories
from tests.unit.export.samples import read_rows

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).resolve().parents[3]
HUGGING_FACE = [name for name, fmt in FORMATS.items() if fmt.parquet]
PROFILES: tuple[Profile, ...] = ("text", "json")

_LOAD = """
import json, sys
import datasets

datasets.disable_progress_bars()
told = {"release": datasets.__version__, "sets": []}
for folder in sys.argv[2:]:
    try:
        found = datasets.load_dataset(folder, cache_dir=sys.argv[1])
        told["sets"].append({name: list(rows) for name, rows in found.items()})
    except Exception as error:
        told["sets"].append(f"{type(error).__name__}: {error}"[:300])
json.dump(told, sys.stdout)
"""

Loaded = dict[str, dict[str, list[Any]] | str]
"""By format what was read, as rows by split, or the complaint."""


@dataclass(frozen=True)
class Reader:
    """A release of `datasets`, what it was given in each profile, and what it read."""

    release: str
    folder: Path
    read: dict[Profile, Loaded]


@pytest.fixture(scope="module", params=["3.6", "4.5", "5"])
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Reader:
    """The old ones in environments of their own, the last one in that of the tests."""
    folder = tmp_path_factory.mktemp("reader")
    sets = [
        data_set
        for profile in PROFILES
        for data_set in written(folder / profile, profile)
    ]
    environment = [str(ROOT / "scripts" / "environment"), f"datasets-{request.param}"]
    python = [sys.executable] if request.param == "5" else [*environment, "python"]
    done = subprocess.run(
        [*python, "-c", _LOAD, str(folder / "cache"), *map(str, sets)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["release"].startswith(f"{request.param}.")
    note_tested(request.config, f"datasets {request.param}", told["release"])
    found = iter(told["sets"])
    read = {
        profile: dict(zip(HUGGING_FACE, found, strict=False)) for profile in PROFILES
    }
    return Reader(request.param, folder, read)


def written(folder: Path, profile: Profile) -> list[Path]:
    """A data set of each format, and under `lines` the same as JSON to compare with."""
    splits = {"train": 0.8, "validation": 0.2}
    for kind, file_type in (("sets", "parquet"), ("lines", "jsonl")):
        options = ExportOptions(splits=splits, file_type=file_type, profile=profile)
        run_export(histories(60), HUGGING_FACE, folder / kind, options)
    return [folder / "sets" / name for name in HUGGING_FACE]


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def unlike(reader: Reader, profile: Profile) -> dict[str, object]:
    """What was not read as it was written: the complaint, or the wrong rows."""
    found: dict[str, object] = {}
    for name, splits in reader.read[profile].items():
        if isinstance(splits, str):
            found[name] = splits
            continue
        rows = [without_nulls(row) for split in sorted(splits) for row in splits[split]]
        if rows != read_rows(reader.folder / profile / "lines" / name):
            found[name] = rows
    return found


def test_the_text_profile_is_read_as_it_was_written(reader: Reader) -> None:
    assert unlike(reader, "text") == {}


def test_the_json_profile_needs_4_7_and_is_refused_before(reader: Reader) -> None:
    told = unlike(reader, "json")

    with_json = [
        name
        for name in HUGGING_FACE
        if any(c.keys is None and c.type == "messages" for c in FORMATS[name].columns)
    ]
    assert list(told) == ([] if reader.release == "5" else with_json)
    assert all(isinstance(complaint, str) for complaint in told.values())
