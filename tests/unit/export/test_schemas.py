"""Every exported row is as the JSON Schema of its format says, and no other one is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from convstore.export.formats import FORMATS
from convstore.export.formats.schemas import schema_of
from convstore.export.options import ExportOptions
from tests.unit.export.histories import histories
from tests.unit.export.samples import exported

DOCS = Path(__file__).resolve().parents[3] / "docs"


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(name), format_checker=FormatChecker())


@pytest.mark.parametrize("name", FORMATS)
def test_a_schema_is_one_itself_and_names_every_column(name: str) -> None:
    schema = schema_of(name)

    Draft202012Validator.check_schema(schema)
    columns = {column.name for column in FORMATS[name].columns}
    assert schema["properties"].keys() - {"convstore"} == columns
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("tool_calls", ["keep", "text"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_row_is_as_its_schema_says(name: str, tool_calls: Any) -> None:
    options = ExportOptions(tool_calls=tool_calls)
    checker = validator(name)

    rows = exported(histories(120), name, options)

    assert rows
    for row in rows:
        checker.validate(row)


def test_a_copy_is_as_the_schema_of_the_archive_says() -> None:
    text = (DOCS / "session-document.schema.json").read_text("utf-8")
    checker = Draft202012Validator(json.loads(text))

    for row in exported(histories(24), "convstore"):
        checker.validate(row)


BROKEN: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("kto", lambda row: row.update(label=1)),
    ("kto", lambda row: row.pop("convstore")),
    ("kto", lambda row: row["convstore"].update(language=None)),
    ("preference", lambda row: row.update(labels=[1])),
    ("preference", lambda row: row.update(chosen=[])),
    ("preference", lambda row: row.update(prompt="text")),
    ("messages", lambda row: row["messages"][-1].update(content="")),
    ("messages", lambda row: row["messages"][-1].update(tool_calls=[])),
    ("messages", lambda row: row["messages"][-1].update(tool_calls=None)),
    ("messages", lambda row: row["messages"][0].update(role="developer")),
    ("messages", lambda row: row.update(tools=[])),
    ("reward", lambda row: row.update(margin=None)),
    ("stepwise", lambda row: row.update(labels=[None])),
    ("openai-sft", lambda row: row.update(session_id="s-1")),
    ("openai-dpo", lambda row: row["preferred_output"].append({})),
    ("sharegpt-dpo", lambda row: row.update(chosen="text")),
    ("sharegpt-kto", lambda row: row.update(kto_tag=0)),
    ("axolotl-dpo", lambda row: row["chosen"].update(content=" ")),
    ("oasst", lambda row: row["prompt"].update(role="user")),
    ("rlhf-json", lambda row: row.update(created_at=1)),
]


@pytest.mark.parametrize(("name", "change"), BROKEN)
def test_a_broken_row_is_not(
    name: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    row = exported(histories(24), name)[0]
    checker = validator(name)
    assert checker.is_valid(row)

    change(row)

    assert not checker.is_valid(row)
