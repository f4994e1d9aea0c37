"""An export without rows is a data set all the same: its readers find the columns."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from convstore.export.formats import FORMATS
from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from tests.summary import needs
from tests.unit.export.histories import histories

SPLITS = {"train": 0.8, "validation": 0.2}
FILES = [
    (name, file_type)
    for name, fmt in FORMATS.items()
    for file_type in ("jsonl", "parquet")
    if file_type == "jsonl" or fmt.parquet
]


def exported(to: Path, name: str, file_type: Any) -> Path:
    run_export([], [name], to, ExportOptions(splits=SPLITS, file_type=file_type))
    return to


@pytest.mark.parametrize(("name", "file_type"), FILES)
def test_every_split_has_a_file_and_the_manifest_says_that_it_holds_nothing(
    tmp_path: Path, name: str, file_type: str
) -> None:
    folder = exported(tmp_path / "out", name, file_type)

    listed = json.loads((folder / "manifest.json").read_bytes())["files"]
    rows = {file["path"]: file["rows"] for file in listed if "data/" in file["path"]}
    assert rows == {f"data/{split}-00000-of-00001.{file_type}": 0 for split in SPLITS}
    assert all((folder / path).is_file() for path in rows)


@pytest.mark.parametrize("profile", ["json", "text"])
@pytest.mark.parametrize("name", [name for name, fmt in FORMATS.items() if fmt.parquet])
def test_parquet_without_rows_has_the_columns_of_one_with_rows(
    tmp_path: Path, name: str, profile: Any
) -> None:
    parquet = needs("pyarrow.parquet")
    options = ExportOptions(file_type="parquet", profile=profile)
    for to, documents in (("none", []), ("some", list(histories(60)))):
        run_export(documents, [name], tmp_path / to, options)

    none, some = (
        parquet.read_table(tmp_path / to / "data/train-00000-of-00001.parquet")
        for to in ("none", "some")
    )

    assert none.num_rows == 0 < some.num_rows
    assert none.schema == some.schema


def test_pandas_reads_a_file_without_rows(tmp_path: Path) -> None:
    pandas = needs("pandas")
    needs("pyarrow")
    folder = exported(tmp_path / "out", "kto", "parquet")

    frame = pandas.read_parquet(folder / "data/train-00000-of-00001.parquet")

    assert len(frame) == 0
    assert [*frame] == ["prompt", "completion", "label", "tools", "convstore"]


@pytest.mark.mostly_slow("kto-jsonl", "preference-parquet")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "file_type"), FILES)
def test_a_data_set_without_rows_is_streamed_with_its_columns(
    tmp_path: Path, name: str, file_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = needs("datasets", minversion="4.7")
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setitem(os.environ, variable, "1")
    folder = exported(tmp_path / "out", name, file_type)

    streamed = datasets.load_dataset(str(folder), streaming=True)

    assert set(streamed) == set(SPLITS)
    for split in streamed.values():
        assert list(split) == []
        columns = {column: [] for column in split.features}
        made = datasets.Dataset.from_dict(columns, features=split.features)
        assert (made.num_rows, made.features) == (0, split.features)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_split_without_rows_does_not_keep_the_others_from_being_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = needs("datasets", minversion="4.7")
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    options = ExportOptions(splits={"train": 0.999999, "test": 0.000001})
    run_export(histories(30), ["kto"], tmp_path / "out", options)

    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "c"))

    assert set(loaded) == {"train"}
