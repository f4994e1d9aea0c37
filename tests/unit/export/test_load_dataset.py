"""The exports as `datasets.load_dataset` reads them: every row, unchanged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from convstore.export.formats import FORMATS
from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from tests.summary import needs
from tests.unit.export.histories import histories
from tests.unit.export.samples import read_rows

datasets = needs("datasets", minversion="4.7")

pytestmark = pytest.mark.filterwarnings("ignore")

SPLITS = {"train": 0.8, "validation": 0.2}
HUGGING_FACE = [name for name, fmt in FORMATS.items() if fmt.parquet]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setitem(os.environ, name, "1")
    datasets.disable_progress_bars()


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.mostly_slow("preference-jsonl-json", "messages-parquet-json")
@pytest.mark.parametrize("profile", ["json", "text"])
@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
@pytest.mark.parametrize("name", HUGGING_FACE)
def test_a_data_set_loads_as_it_was_written(
    tmp_path: Path, name: str, file_type: Any, profile: Any
) -> None:
    options = ExportOptions(splits=SPLITS, file_type=file_type, profile=profile)
    plain = ExportOptions(splits=SPLITS, profile=profile)
    run_export(histories(120), [name], tmp_path / "out", options)
    run_export(histories(120), [name], tmp_path / "lines", plain)

    loaded = datasets.load_dataset(
        str(tmp_path / "out"), cache_dir=str(tmp_path / "cache")
    )

    read = [without_nulls(row) for split in sorted(loaded) for row in loaded[split]]
    assert set(loaded) == {"train", "validation"}
    assert read == read_rows(tmp_path / "lines")


@pytest.mark.mostly_slow("openai-sft")
@pytest.mark.parametrize(
    "name", [n for n, f in FORMATS.items() if not f.parquet and n != "convstore"]
)
def test_lines_for_others_load_too(tmp_path: Path, name: str) -> None:
    run_export(histories(60), [name], tmp_path / "out")

    loaded = datasets.load_dataset(
        str(tmp_path / "out"), cache_dir=str(tmp_path / "cache")
    )

    assert len(loaded["train"]) == len(read_rows(tmp_path / "out"))
