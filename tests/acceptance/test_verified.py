"""The verifier takes every format of every real data set, and no broken export.

It loads each export with `datasets`, runs the chat templates, the types of the client
libraries and LLaMA-Factory's converter over the rows, and trains a step with TRL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, open_store
from convstore.export.formats import FORMATS
from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from tests.acceptance.verifying import (
    IN_FULL,
    NAMES,
    Verdict,
    Verifier,
    find_verifier,
)
from tests.real_files import REAL
from tests.unit.export.histories import histories

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.timeout(3_600 if IN_FULL else 900),
]

MAPS = Path(__file__).resolve().parents[1] / "unit" / "imports" / "maps"
SPLITS = {"train": 0.9, "validation": 0.1}
# jsonl, and the two profiles of Parquet.
KINDS: dict[str, dict[str, Any]] = {
    "jsonl": {},
    "json": {"file_type": "parquet"},
    "text": {"file_type": "parquet", "profile": "text"},
}
# Format, or mapping, and files of each set.
SETS: dict[str, list[tuple[str, str]]] = {
    "oasst1-en": [("oasst", "messages")],
    "oasst1-zh": [("alpaca", "dialogues"), ("alpaca", "ranked")],
    "preference-demos": [
        ("preference", "dpo-en"),
        ("preference", "dpo-zh"),
        ("kto", "kto-en"),
    ],
    "pandalm-human-preference": [("pandalm-human-preference", "pairs")],
    "finegrained-qa-feedback": [("finegrained-qa-feedback", "feedback")],
    "topical-chat-ratings": [("topical-chat-ratings", "conversations")],
    "bigbench-mistake": [("bigbench-mistake", "traces")],
    "tau-bench-airline": [("messages", "trajectories")],
    "tree-of-thoughts": [
        ("tree-of-thoughts", "game24-bfs"),
        ("tree-of-thoughts", "text-votes"),
        ("tree-of-thoughts", "game24-cot-samples"),
        ("tree-of-thoughts-crosswords", "crosswords-dfs-prune"),
        ("tree-of-thoughts-crosswords", "crosswords-dfs-noprune"),
    ],
}
# What lets the verifier accept where it would not, and more of what there is. Of pairs
# of the ranked Chinese answers 76 % have the longer one chosen, which is what people
# said, and worth a warning. Nine in ten of the conversations with tools do not say
# which were on offer; where that is inferred, no shape of a native call fits the
# templates of Gemma and DeepSeek.
OPTIONS: dict[str, dict[str, Any]] = {
    "oasst1-zh": {"max_length_bias": 0.65},
    "tau-bench-airline": {"undefined_tools": "infer", "tool_calls": "text"},
}
# A byte is a token to the verifier's model, and attention takes their square: 8 GB for
# these conversations of up to 33,000. Trainers take the shorter ones; in full, all.
SHORTER: dict[str, dict[str, Any]] = {
    "tau-bench-airline": {} if IN_FULL else {"filters": {"max_chars": 10_000}},
}
WHOLE = {"messages", "prompt", "openai-sft", "sharegpt", "oasst"}
PAIRS = {"preference", "reward", "openai-dpo", "sharegpt-dpo", "axolotl-dpo"}
LABELS = {"kto", "sharegpt-kto"}
DEMOS = {"prompt-completion"}
STEPS = {"stepwise"}
# The formats for which each set has judgements; the others give no row.
SIGNALS = {
    "oasst1-en": WHOLE | PAIRS | LABELS | DEMOS,
    "oasst1-zh": WHOLE | PAIRS,
    "preference-demos": WHOLE | PAIRS | LABELS | DEMOS,
    "pandalm-human-preference": WHOLE | PAIRS,
    "finegrained-qa-feedback": WHOLE | PAIRS | DEMOS,
    "topical-chat-ratings": WHOLE | LABELS,
    "bigbench-mistake": WHOLE | STEPS,
    "tau-bench-airline": WHOLE,
    "tree-of-thoughts": WHOLE,
}


@pytest.fixture(scope="session")
def verifier(pytestconfig: pytest.Config) -> Iterator[Verifier]:
    with closing(find_verifier(pytestconfig)) as found:
        yield found


def formats_of(kind: str) -> list[str]:
    return [name for name in NAMES if kind == "jsonl" or FORMATS[name].parquet]


def refused(verdicts: list[Verdict]) -> dict[str, tuple[str, ...]]:
    return {
        "/".join(verdict.folder.parts[-3:]): verdict.why
        for verdict in verdicts
        if not verdict.accepted
    }


@pytest.mark.parametrize("name", SETS)
async def test_every_format_of_a_real_data_set_is_accepted(
    verifier: Verifier, real_data: Path, tmp_path: Path, name: str
) -> None:
    sets: list[tuple[Path, str]] = []
    trained = list(KINDS)[list(SETS).index(name) % len(KINDS)]
    shorter = SHORTER.get(name)
    async with open_store(f"sqlite:///{tmp_path}/chat.db") as store:
        await fill(store, real_data, name)
        for kind in KINDS:
            options = OPTIONS.get(name, {})
            sets += await exported(store, name, tmp_path / kind, kind, options)
            if shorter and kind in (trained, "jsonl"):
                to = tmp_path / "shorter" / kind
                sets += await exported(store, name, to, kind, options | shorter)
            if IN_FULL and options:
                to = tmp_path / "by-default" / kind
                sets += await exported(store, name, to, kind, {})

    # Every set is loaded and compared value for value in each kind. As all three hold
    # the same rows, a trainer takes its step on one of them, on another with each set.
    train = {
        folder
        for folder, format_ in sets
        if folder.parent.name == trained or not FORMATS[format_].parquet
        if folder.is_relative_to(tmp_path / "shorter") == bool(shorter)
    }
    found = refused(verifier.judge(sets, train=train))
    if IN_FULL and name == "oasst1-zh":
        for kind in KINDS:
            for format_ in PAIRS & set(formats_of(kind)):
                (why,) = found.pop(f"by-default/{kind}/{format_}")
                assert "length bias: chosen is longer in 76% of" in why
    assert found == {}


async def fill(store: Store, real_data: Path, name: str) -> None:
    """Import everything that a set of real data holds."""
    if real_data != REAL:
        pytest.skip("judges whole data sets: CONVSTORE_TEST_DATA names their folder")
    for format_, file in SETS[name]:
        mapping = MAPS / f"{format_}.toml"
        given = {"mapping": mapping} if mapping.exists() else {}
        await store.import_(
            "map" if given else format_,
            real_data / name / f"{file}.jsonl.gz",
            strict=True,
            **given,  # type: ignore[arg-type]
        )


async def exported(
    store: Store, name: str, to: Path, kind: str, options: dict[str, Any]
) -> list[tuple[Path, str]]:
    """Folders and formats: one of each format for which the set has judgements."""
    report = await store.export(
        formats_of(kind), to=to, splits=SPLITS, **KINDS[kind], **options
    )
    told = {fmt.format for fmt in report.formats if fmt.rows}
    assert told == SIGNALS[name] & set(formats_of(kind))
    return [(fmt.path, fmt.format) for fmt in report.formats if fmt.rows]


@pytest.mark.parametrize("kind", KINDS)
def test_sessions_of_every_kind_are_accepted(
    verifier: Verifier, tmp_path: Path, kind: str
) -> None:
    options = ExportOptions(splits=SPLITS, tool_calls="text", **KINDS[kind])
    names = formats_of(kind)

    report = run_export(histories(240), names, tmp_path / kind, options)

    assert all(fmt.rows for fmt in report.formats)
    sets = [(fmt.path, fmt.format) for fmt in report.formats]
    assert refused(verifier.judge(sets)) == {}


def rewritten(folder: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    """Change the rows of the first file, as a broken exporter would write them."""
    for name in ("manifest.json", "README.md", "schema.json"):
        (folder / name).unlink()
    path = min((folder / "data").iterdir())
    rows = change([json.loads(line) for line in path.read_bytes().splitlines()])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def each(change: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [change(row) for row in rows]


_CITY = re.compile(r'\{"city": "\w+"\}')


def _quoted(found: re.Match[str]) -> str:
    return json.dumps(found.group())


# How the exporter is broken, and what the verifier must say.
BROKEN: dict[str, tuple[str, Callable[[list[Any]], list[Any]], str]] = {
    "numbers for labels": (
        "kto",
        each(lambda row: {**row, "label": 1 if row["label"] else -1}),
        "must be a boolean",
    ),
    "one class only": (
        "kto",
        lambda rows: [row for row in rows if row["label"]],
        "KTO needs both",
    ),
    "the prompt again in chosen": (
        "preference",
        each(lambda row: {**row, "chosen": row["prompt"] + row["chosen"]}),
        "repeats the prompt",
    ),
    "chosen equals rejected": (
        "preference",
        each(lambda row: {**row, "rejected": row["chosen"]}),
        "chosen equals rejected",
    ),
    "the prompt as text": (
        "preference",
        each(lambda row: {**row, "prompt": row["prompt"][-1]["content"]}),
        "message-list columns",
    ),
    "pairs of other contexts": (
        "reward",
        lambda rows: [
            {**row, "rejected": other["rejected"]} for row, other in pairwise(rows)
        ],
        "implicit prompt is empty",
    ),
    "no margin where nothing was scored": (
        "reward",
        each(lambda row: {**row, "margin": row["margin"] or None}),
        "margin must be a number",
    ),
    "a conversation that ends with the user": (
        "messages",
        each(lambda row: {**row, "messages": row["messages"][:-1]}),
        "ends with",
    ),
    "rows in order of their prompt": (
        "kto",
        lambda rows: sorted(rows * 2, key=lambda row: json.dumps(row["prompt"])),
        "write rows in hash order",
    ),
    "arguments as text": (
        "kto",
        each(lambda row: json.loads(_CITY.sub(_quoted, json.dumps(row)))),
        "need an object",
    ),
    "steps without their labels": (
        "stepwise",
        each(lambda row: {**row, "labels": row["labels"][1:]}),
        "lists of one length",
    ),
    "provenance in a provider's file": (
        "openai-sft",
        each(lambda row: {**row, "session_id": "s-1"}),
        "not allowed by the provider",
    ),
    "a tag that is a number": (
        "sharegpt-kto",
        each(lambda row: {**row, "kto_tag": int(row["kto_tag"])}),
        "must be a boolean",
    ),
}


def test_an_exporter_broken_on_purpose_is_found_out(
    verifier: Verifier, tmp_path: Path
) -> None:
    sets = []
    for number, (name, change, _) in enumerate(BROKEN.values()):
        folder = tmp_path / str(number)
        run_export(histories(120), [name], folder)
        rewritten(folder, change)
        sets.append((folder, name))

    verdicts = verifier.judge(sets)

    for (what, (_, _, said)), verdict in zip(BROKEN.items(), verdicts, strict=True):
        assert not verdict.accepted, what
        assert any(said in line for line in verdict.why), (what, verdict.why)


def test_a_file_that_changed_after_the_export_is_found_out(
    verifier: Verifier, tmp_path: Path
) -> None:
    run_export(histories(120), ["kto"], tmp_path / "kto")
    path = min((tmp_path / "kto" / "data").iterdir())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[1:], lines[0]]))

    (verdict,) = verifier.judge([(tmp_path / "kto", "kto")])

    assert any("sha256 differs" in line for line in verdict.why)


def test_a_missing_shard_is_found_out(verifier: Verifier, tmp_path: Path) -> None:
    options = ExportOptions(shard_bytes=10_000)
    run_export(histories(120), ["messages"], tmp_path / "messages", options)
    max((tmp_path / "messages" / "data").iterdir()).unlink()

    (verdict,) = verifier.judge([(tmp_path / "messages", "messages")])

    assert any("lacks shard" in line for line in verdict.why)


def test_a_session_in_two_splits_is_found_out(
    verifier: Verifier, tmp_path: Path
) -> None:
    options = ExportOptions(splits=SPLITS)
    run_export(histories(240), ["messages"], tmp_path / "messages", options)
    train, validation = sorted((tmp_path / "messages" / "data").iterdir())
    with validation.open("ab") as file:
        file.write(train.read_bytes().splitlines(keepends=True)[0])

    (verdict,) = verifier.judge([(tmp_path / "messages", "messages")])

    assert any("in more than one split" in line for line in verdict.why)
