"""Every tool: recognised by what it writes, read, and never the end of an import."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from convstore.errors import ConvstoreError, CorruptionError, InvalidInputError
from convstore.imports.detection import choose_format
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import FORMATS, load_format
from tests.unit.imports.tools.samples import ASKED, SAID, SAMPLES, Sample

IDS = [f"{n}-{sample.name}" for n, sample in enumerate(SAMPLES)]
NASTY: list[Any] = [
    None, True, 0, -1, 10**12, 1.5, "", "x", "\ud800", "a" * 300, "{", "[]", "\0",
    [], [[]], [None], {}, {"id": {}}, {"type": []}, {"role": 1}, [{"a": 1}],
]  # fmt: skip


def sessions(name: str, path: Path) -> list[Any]:
    found = read_sessions(load_format(name), path)
    return [item.session for item in found if isinstance(item, Imported)]


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_tool_is_recognised_and_read(sample: Sample, tmp_path: Path) -> None:
    path = sample.written(tmp_path)

    choice = choose_format("auto", path)
    (session,) = sessions(sample.name, path)

    assert choice.format.name == sample.name
    assert choice.why
    assert len(session.turns) == sample.turns
    texts = [turn.content for turn in session.turns]
    assert ASKED in texts
    if sample.name != "langgraph":
        assert SAID in texts
    assert session.own_ids


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_reading_twice_gives_the_same(sample: Sample, tmp_path: Path) -> None:
    path = sample.written(tmp_path)

    assert sessions(sample.name, path) == sessions(sample.name, path)


def test_every_tool_has_a_sample() -> None:
    tools = {name for name in FORMATS if load_format(name).read is not None}

    assert tools == {sample.name for sample in SAMPLES}


def mutated(value: Any, chance: random.Random) -> Any:
    """The value with a few of its parts replaced, repeated or left out."""
    if chance.random() < 0.06:
        return chance.choice(NASTY)
    if isinstance(value, list):
        items = [mutated(item, chance) for item in value if chance.random() > 0.04]
        return items * 2 if chance.random() < 0.04 else items
    if isinstance(value, dict):
        return {
            k: mutated(v, chance) for k, v in value.items() if chance.random() > 0.04
        }
    return value


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_whatever_is_broken_is_set_aside_by_name(
    sample: Sample, tmp_path: Path
) -> None:
    chance = random.Random(7)
    tables = None
    for _ in range(120):
        if sample.tables is not None:
            tables = {
                table: [{k: mutated(v, chance) for k, v in row.items()} for row in rows]
                for table, rows in sample.tables.items()
            }
        broken = Sample(
            sample.name,
            0,
            tuple(mutated(record, chance) for record in sample.records),
            None if sample.document is None else mutated(sample.document, chance) or [],
            tables,
        )
        if not broken.records and broken.document is None and tables is None:
            continue
        try:
            path = broken.written(tmp_path)
        except UnicodeEncodeError:
            continue  # SQLite takes no half of a surrogate pair
        for item in read_sessions(load_format(sample.name), path):
            if isinstance(item, Imported):
                _check(item.session)


def _check(session: Any) -> None:
    """What a session refers to is there, before it."""
    count = len(session.turns)
    assert len({turn.external_id for turn in session.turns}) == count
    for seq, turn in enumerate(session.turns, 1):
        assert turn.parent_seq is None or 0 <= turn.parent_seq < seq
    for act in session.interactions:
        assert act.turn_seq is None or 1 <= act.turn_seq <= count
    assert session.head_seq is None or 0 <= session.head_seq <= count


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_source_that_is_cut_off_gives_a_typed_outcome(
    sample: Sample, tmp_path: Path
) -> None:
    path = sample.written(tmp_path)
    whole = path.read_bytes()
    for part in range(1, 12):
        path.write_bytes(whole[: len(whole) * part // 12])
        try:
            for item in read_sessions(load_format(sample.name), path):
                if isinstance(item, Imported):
                    _check(item.session)
        except (CorruptionError, InvalidInputError):
            pass


@pytest.mark.parametrize("name", ["agno", "chatgpt", "langgraph", "llm", "slack"])
def test_a_format_that_does_not_fit_says_so_or_finds_nothing(
    name: str, tmp_path: Path
) -> None:
    for sample in SAMPLES:
        if sample.name != name:
            path = sample.written(tmp_path)
            try:
                sessions(name, path)
            except ConvstoreError:
                continue


def test_a_pickle_in_a_database_is_named_and_left_alone(tmp_path: Path) -> None:
    rows = {
        "checkpoints": [
            {
                "thread_id": "t",
                "checkpoint_ns": "",
                "checkpoint_id": "1",
                "type": "pickle",
                "checkpoint": b"cos\nsystem\n(S'true'\ntR.",
                "metadata": {},
            }
        ],
        "writes": [{"thread_id": "t", "channel": "c"}],
    }
    path = Sample("langgraph", 0, tables=rows).written(tmp_path)

    (rejected,) = read_sessions(load_format("langgraph"), path)

    assert "pickled or encrypted" in rejected.reason  # type: ignore[union-attr]


def test_an_encrypted_session_is_named(tmp_path: Path) -> None:
    row = {"id": 1, "session_id": "s", "message_data": {"__enc__": 1}, "created_at": ""}
    path = Sample("openai-agents", 0, tables={"m": [row]}).written(tmp_path)

    (rejected,) = read_sessions(load_format("openai-agents"), path)

    assert "encrypted" in rejected.reason  # type: ignore[union-attr]
