"""What was redacted, as every reader is told it: kinds and counts, never null."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convstore.export.formats import FORMATS
from convstore.export.formats.schemas import schema_of
from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from convstore.vocabulary.records import SessionDocument
from tests.summary import needs
from tests.unit.export.samples import Chat, exported, one_exchange, read_rows

REGEX = ExportOptions(redact="regex")


def personal(number: int = 0) -> SessionDocument:
    """A session with four e-mail addresses, one of them twice, and an IP address."""
    chat = Chat(f"p-{number}")
    chat.user(f"Mail b@example.org, a@example.org or c{number}@example.org, please.")
    chat.up(chat.assistant(f"From 192.168.0.1 to a@example.org, number {number}?"))
    return chat.document()


COUNTS = [{"kind": "EMAIL", "count": 4}, {"kind": "IP", "count": 1}]


def test_rows_say_what_was_redacted_by_kind_in_order() -> None:
    (row,) = exported([personal()], "kto", REGEX)

    assert row["convstore"]["redactions"] == COUNTS


@pytest.mark.parametrize("options", [REGEX, ExportOptions()])
def test_rows_without_redactions_have_an_empty_list(options: ExportOptions) -> None:
    (row,) = exported([one_exchange(1)], "kto", options)

    assert row["convstore"]["redactions"] == []


def test_a_session_does_not_tell_the_redactions_of_the_one_before() -> None:
    rows = exported([personal(), one_exchange(1)], "kto", REGEX)

    told = {r["convstore"]["session_id"]: r["convstore"]["redactions"] for r in rows}
    assert told == {"p-0": COUNTS, "s-1": []}


def test_a_sidecar_says_it_too(tmp_path: Path) -> None:
    run_export([personal()], ["openai-sft"], tmp_path / "out", REGEX)

    (side,) = (tmp_path / "out" / "provenance").glob("*.jsonl")
    assert json.loads(side.read_bytes())["redactions"] == COUNTS


def test_the_schema_takes_a_kind_with_its_count_and_nothing_else() -> None:
    jsonschema = needs("jsonschema")
    told = schema_of("kto")["properties"]["convstore"]["properties"]["redactions"]
    checker = jsonschema.Draft202012Validator(told)

    assert checker.is_valid(COUNTS)
    assert checker.is_valid([])
    for wrong in (2, None, {"EMAIL": 2}, [{"kind": "IP"}], [{"kind": "", "count": 1}]):
        assert not checker.is_valid(wrong)


@pytest.mark.parametrize("profile", ["json", "text"])
def test_parquet_has_one_type_with_and_without_redactions(
    tmp_path: Path, profile: Any
) -> None:
    pq = needs("pyarrow.parquet")
    names = [name for name, fmt in FORMATS.items() if fmt.parquet]
    found = [personal(), one_exchange(1)]
    options = replace(REGEX, file_type="parquet", profile=profile)
    plain = replace(options, redact=None)
    run_export(found, names, tmp_path / "redacted", options)
    run_export(found, names, tmp_path / "plain", plain)

    for name in ("kto", "messages", "sharegpt-kto"):
        (redacted,) = (tmp_path / "redacted" / name / "data").iterdir()
        (without,) = (tmp_path / "plain" / name / "data").iterdir()
        read = pq.read_table(redacted)
        assert read.schema == pq.read_schema(without)
        told = [row["redactions"] for row in read["convstore"].to_pylist()]
        assert sorted(told, key=len) == [[], COUNTS]


_LOADING = """
import os, sys, warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")
import datasets

datasets.disable_progress_bars()
loaded = datasets.load_dataset(sys.argv[1], cache_dir=sys.argv[2], split="train")
report([row["convstore"] for row in loaded])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file_type", "profile"),
    [("jsonl", "json"), ("parquet", "json"), ("parquet", "text")],
)
def test_a_redacted_data_set_loads_as_it_was_written(
    tmp_path: Path,
    start_process: Callable[..., Any],
    file_type: Any,
    profile: Any,
) -> None:
    # A shard each: the reader must not take the type of the first one for all.
    found = [one_exchange(1), *map(personal, range(3))]
    options = replace(REGEX, profile=profile, shard_bytes=1)
    run_export(found, ["kto"], tmp_path / "lines", options)
    run_export(found, ["kto"], tmp_path / "out", replace(options, file_type=file_type))

    process = start_process(_LOADING, tmp_path / "out", tmp_path / "cache")

    (told,) = process.reports()
    assert told == [row["convstore"] for row in read_rows(tmp_path / "lines")]
    assert [row["redactions"] for row in told].count(COUNTS) == 3
