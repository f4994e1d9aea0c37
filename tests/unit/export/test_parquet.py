"""Parquet in both profiles: types, values, determinism."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convstore.errors import InvalidInputError
from convstore.export.formats import FORMATS
from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from convstore.export.writers.arrays import JsonCells, values
from tests.summary import needs
from tests.unit.export.samples import (
    WEATHER_TOOLS,
    Chat,
    documents,
    read_rows,
    tree,
)

pq = needs("pyarrow.parquet")

JSON = ExportOptions(file_type="parquet")
TEXT = ExportOptions(file_type="parquet", profile="text")


def with_tools() -> Chat:
    chat = Chat("tools")
    chat.user("Weather in Paris?", tools=WEATHER_TOOLS)
    chat.call("get_weather", '{"city": "Paris"}', tools=WEATHER_TOOLS)
    chat.turn("tool", "sunny", tool_call_id="c1", name="get_weather")
    chat.up(chat.assistant("Sunny.", tools=WEATHER_TOOLS))
    return chat


def table(folder: Path) -> Any:
    (file,) = (folder / "data").iterdir()
    return pq.read_table(file)


def test_the_json_profile_holds_what_the_jsonl_holds(tmp_path: Path) -> None:
    found = [*documents(20), with_tools().document()]
    run_export(found, ["kto"], tmp_path / "jsonl")
    run_export(found, ["kto"], tmp_path / "parquet", JSON)

    read = table(tmp_path / "parquet").to_pylist()

    for row in read:
        for column in ("prompt", "completion", "tools"):
            if row[column] is None:
                del row[column]
            else:
                row[column] = [json.loads(text) for text in row[column]]
    assert read == read_rows(tmp_path / "jsonl")


def test_the_json_profile_types_messages_as_arrow_json(tmp_path: Path) -> None:
    run_export(documents(), ["kto"], tmp_path / "out", JSON)

    schema = table(tmp_path / "out").schema

    assert str(schema.field("prompt").type) == "list<element: extension<arrow.json>>"
    assert str(schema.field("label").type) == "bool"
    assert schema.metadata is None
    assert not any("null" in str(field.type) for field in schema)


def test_the_text_profile_is_plain_structs_and_drops_tool_rows(tmp_path: Path) -> None:
    found = [*documents(20), with_tools().document()]

    report = run_export(found, ["kto"], tmp_path / "out", TEXT).formats[0]

    read = table(tmp_path / "out")
    assert report.dropped == {"needs-json-profile": 1}
    assert str(read.schema.field("prompt").type) == (
        "list<element: struct<role: string, content: string>>"
    )
    assert "tools" not in read.column_names


@pytest.mark.parametrize("options", [JSON, TEXT])
def test_the_same_rows_give_the_same_bytes(
    tmp_path: Path, options: ExportOptions
) -> None:
    names = [name for name, fmt in FORMATS.items() if fmt.parquet]

    run_export(documents(), names, tmp_path / "a", options)
    run_export(reversed(documents()), names, tmp_path / "b", options)

    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_formats_that_are_read_as_lines_refuse_parquet(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="openai-sft is read as JSONL only"):
        run_export(documents(1), ["openai-sft"], tmp_path / "out", JSON)


def test_row_groups_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convstore.export.writers.parquet.GROUP_ROWS", 7)

    run_export(documents(20), ["kto"], tmp_path / "out", JSON)

    (file,) = (tmp_path / "out" / "data").iterdir()
    metadata = pq.read_metadata(file)
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sizes == [7, 7, 6]


_ALONE = """
import sys
from convstore.export.writers.parquet import load_pyarrow_alone, load_pyarrow

load_pyarrow_alone()
print("numpy" in sys.modules, load_pyarrow()[0].array(["a"]).to_pylist())
import numpy
print(numpy.zeros(1).tolist())
"""


def test_numpy_is_there_for_others_when_pyarrow_was_loaded_without_it() -> None:
    pytest.importorskip("numpy")
    done = subprocess.run(
        [sys.executable, "-c", _ALONE], capture_output=True, text=True, check=True
    )

    assert done.stdout == "False ['a']\n[0.0]\n"


_EXPORT = """
import sys
from pathlib import Path
from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from tests.unit.export.samples import documents

options = ExportOptions(file_type="parquet")
run_export(documents(5), ["kto", "preference"], Path(sys.argv[1]), options)
print("pyarrow.parquet" in sys.modules, "pyarrow.compute" in sys.modules)
"""


def test_an_export_does_without_what_reckons_with_arrays(tmp_path: Path) -> None:
    """Importing it takes as long as writing a thousand rows."""
    done = subprocess.run(
        [sys.executable, "-c", _EXPORT, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["True", "False"]


def test_json_cells_may_be_null_between_others() -> None:
    pa = needs("pyarrow")
    one, many = JsonCells(pa.json_()), JsonCells(pa.list_(pa.json_()))
    at = 0
    for text in (b'{"a":1}', None, b"[2]"):
        at = one.add(text and len(text), b'{"a":1}[2]', at)
    at = 0
    for cell in (None, [1, 3], [], None, [4]):
        at = many.add(cell, b'1"b"null', at)

    assert one.array(pa).to_pylist() == ['{"a":1}', None, "[2]"]
    assert many.array(pa).to_pylist() == [None, ["1", '"b"'], [], None, ["null"]]
    assert one.array(pa).to_pylist() == []


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["a", "", "é\u2028🎉"], "string"),
        ([1, -(2**63), 2**63 - 1], "int64"),
        ([0.5, 1.0, -0.0], "float64"),
        ([True, False, True], "bool_"),
        ([False, True, True, False, False, True, False, True, True], "bool_"),
        ([], "bool_"),
        ([None, "a"], "string"),
        ([], "string"),
    ],
)
def test_arrays_made_of_buffers_equal_those_that_pyarrow_makes(
    cells: list[Any], kind: str
) -> None:
    pa = needs("pyarrow")

    made = values(pa, cells, getattr(pa, kind)())

    made.validate(full=True)
    assert made.equals(pa.array(cells, getattr(pa, kind)()))


@pytest.mark.parametrize(
    "cells",
    [
        [[], [{"kind": "EMAIL", "count": 2}, {"kind": "IP", "count": 1}], []],
        [[], []],
        [],
        [[{"kind": "EMAIL", "count": None}], None],
    ],
)
def test_lists_of_structs_made_of_buffers_equal_those_that_pyarrow_makes(
    cells: list[Any],
) -> None:
    pa = needs("pyarrow")
    kind = pa.list_(pa.struct([("kind", pa.string()), ("count", pa.int64())]))

    made = values(pa, cells, kind)

    made.validate(full=True)
    assert made.equals(pa.array(cells, kind))
