"""What of a record is understood, and what is counted because it was not."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from convstore.errors import InvalidInputError
from convstore.imports import source
from convstore.imports.fields import time_or_none
from convstore.imports.mapping.file import Mapping
from convstore.imports.model import ImportedSession, ImportReport, Rejected
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import load_format
from convstore.imports.source import SourceLimits
from tests.unit.imports.inverse.formats import mapped, to_record

AT = datetime(2023, 5, 1, 10, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        1_682_935_200.5,
        1_682_935_200_500,
        1_682_935_200_500_000,
        "1682935200.5",
        "1682935200500",
        "2023-05-01T10:00:00.5Z",
        "2023-05-01T12:00:00.500000+02:00",
    ],
)
def test_times_since_1970_are_told_by_their_size(value: Any) -> None:
    assert time_or_none(value) == AT


@pytest.mark.parametrize(
    "value", [True, 0, 12.5, -1, 1e30, 10**18, float("1e12") * 1e9, "12", None, [], {}]
)
def test_other_numbers_are_no_times(value: Any) -> None:
    assert time_or_none(value) is None


def parsed(record: Any, name: str = "messages") -> ImportedSession:
    format_ = load_format(name)
    session = format_.parse(record)
    assert to_record(format_, session) == record
    return session


def test_model_user_feedback_and_time_of_a_record_are_taken() -> None:
    session = parsed(
        {
            "messages": [
                {"role": "user", "content": "Q", "timestamp": 1_682_935_200_500},
                {"role": "assistant", "content": "A", "feedback": "thumbs_up"},
                {"role": "assistant", "content": "B", "model": "m-2"},
            ],
            "model": "m-1",
            "user": "u-7",
            "feedback": "good",
            "create_time": 1_682_935_200.5,
        }
    )

    assert (session.user_id, session.created_at) == ("u-7", AT)
    assert [turn.model for turn in session.turns] == [None, "m-1", "m-2"]
    assert session.turns[0].created_at == AT
    acts = [(act.turn_seq, act.feedback) for act in session.interactions]
    assert acts == [(None, "good"), (2, "thumbs_up")]
    assert session.left_out == ()


SHAREGPT = {
    "conversations": [
        {"from": "human", "value": "Q"},
        {"from": "gpt", "value": "A", "feedback": "thumbs_down"},
    ]
}
ALPACA = {"instruction": "Q", "output": "A"}


@pytest.mark.parametrize(
    ("name", "record", "acts"),
    [
        ("sharegpt", SHAREGPT, [(None, "good"), (2, "thumbs_down")]),
        ("alpaca", ALPACA, [(None, "good")]),
    ],
)
def test_a_label_of_a_record_is_feedback_in_data_sets_too(
    name: str, record: Any, acts: Any
) -> None:
    session = parsed({**record, "feedback": "good"}, name)

    told = [(act.turn_seq, act.feedback) for act in session.interactions]
    assert told == acts
    assert session.left_out == ()


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("sharegpt", SHAREGPT),
        ("alpaca", ALPACA),
        ("messages", {"messages": [{"role": "user", "content": "Q", "feedback": "x"}]}),
        ("kto", {"prompt": "Q", "completion": "A", "label": True}),
        ("preference", {"prompt": "Q", "chosen": "A", "rejected": "B"}),
    ],
)
def test_feedback_of_no_kind_that_is_understood_is_named(
    name: str, record: Any
) -> None:
    session = parsed({**record, "feedback": {"stars": 4}}, name)

    assert session.left_out == ("feedback",)


def test_what_is_not_understood_is_named() -> None:
    session = parsed(
        {
            "messages": [{"role": "user", "content": "Q"}],
            "model": {"name": "m"},
            "user": 7,
            "feedback": [1],
            "created_at": "gisteren",
        }
    )

    assert sorted(session.left_out) == ["created_at", "feedback", "model", "user"]


def test_messages_of_parts_have_their_text() -> None:
    session = parsed(
        {
            "messages": [
                {"role": "user", "parts": ["Hoi", {"type": "image", "url": "x"}]},
                {"role": "model", "parts": [{"text": "Dag"}, {"text": "!"}]},
            ]
        }
    )

    assert [turn.content for turn in session.turns] == ["Hoi", "Dag!"]
    assert session.turns[0].parts == [
        {"type": "text", "text": "Hoi"},
        {"type": "image", "url": "x"},
    ]


def test_a_message_that_says_nothing_at_all_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="content"):
        load_format("messages").parse({"messages": [{"role": "user", "text": "Hoi"}]})


def test_answers_that_a_mapping_took_are_not_in_the_metadata_too() -> None:
    mapping = Mapping.model_validate(
        {
            "name": "m",
            "turn": [{"role": "user", "text": "q"}],
            "answers": {"text": ["answers.0.text", "answers.1.text"]},
        }
    )
    format_ = mapped(mapping)
    record = {"q": "Q", "answers": [{"text": "one", "k": 1}, {"text": "two"}]}

    session = format_.parse(record)

    assert [turn.content for turn in session.turns] == ["Q", "one", "two"]
    assert "one" not in json.dumps(dict(session.metadata))
    assert to_record(format_, session) == record


def read(path: Path, name: str = "messages", **more: Any) -> list[Any]:
    return list(read_sessions(load_format(name), path, **more))


def test_a_first_record_of_too_many_values_is_rejected_as_one(tmp_path: Path) -> None:
    good = json.dumps({"messages": [{"role": "user", "content": "Q"}]})
    huge = json.dumps({"messages": [], "n": list(range(200))})
    (tmp_path / "in").write_text("\n".join([huge, good, huge, good]))

    found = read(tmp_path / "in", limits=SourceLimits(max_pieces=100))

    assert [type(item) for item in found] == [Rejected, Imported] * 2
    assert {item.code for item in found[::2]} == {"too_long"}


@pytest.mark.parametrize("blank", [b"\n", b" \n", b"\r\n", b"\t \n"])
def test_blank_lines_cost_no_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: bytes
) -> None:
    record = json.dumps({"messages": [{"role": "user", "content": "Q"}]}).encode()
    blanks = blank * 3_000_000
    (tmp_path / "in").write_bytes(gzip.compress(blanks + record + b"\n" + blanks))
    made = []
    monkeypatch.setattr(
        source, "Line", lambda *given: made.append(given) or LINE(*given)
    )

    (only,) = read(tmp_path / "in")

    assert (only.number, len(made)) == (3_000_001, 1)


LINE = source.Line


def row(message_id: str, parent_id: str | None) -> dict[str, Any]:
    return {
        "message_tree_id": "t",
        "message_id": message_id,
        "parent_id": parent_id,
        "role": "prompter",
        "text": message_id,
    }


def test_a_loop_among_messages_is_counted() -> None:
    rows = [row("a", None), row("b", "c"), row("c", "b"), row("d", "d")]
    rows += [row("e", "gone"), row("f", "g"), row("g", "a")]

    session = parsed(rows, "oasst")

    assert sorted(session.left_out) == [
        "parent_absent",
        "parent_later",
        "parent_loop",
        "parent_loop",
    ]


def test_names_of_fields_do_not_grow_without_end() -> None:
    report = ImportReport()

    report.note_left_out(f"record.{number}" for number in range(1_000))
    report.note_left_out(["record." + "x" * 10_000, "record.1"])

    assert len(report.left_out) == 201
    assert (report.left_out["others"], report.left_out["record.1"]) == (801, 2)
    assert max(map(len, report.left_out)) <= 100
