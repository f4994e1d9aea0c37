"""From rows to records: what is made the fast way is what the class would make."""

import pickle
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from convstore.db.codec.records import TURN_COLUMNS, turn_from_row
from convstore.vocabulary.records import Turn

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROW = {
    "seq": 2,
    "parent_seq": 1,
    "role": "assistant",
    "content": "Drie.",
    "parts": '[{"type":"text"}]',
    "metadata": '{"b":1,"a":2}',
    "created_at": int(AT.timestamp()) * 1_000_000,
}


def a_turn() -> Turn:
    return turn_from_row("s-1", [ROW.get(column.name) for column in TURN_COLUMNS])


def test_a_turn_of_a_row_equals_one_made_by_its_class() -> None:
    empty = dict.fromkeys((field.name for field in fields(Turn)), None)
    given = {
        "session_id": "s-1",
        "parts": [{"type": "text"}],
        "metadata": {"b": 1, "a": 2},
        "created_at": AT,
    }
    expected = Turn(**(empty | ROW | given))  # type: ignore[arg-type]

    assert a_turn() == expected
    assert type(a_turn()) is Turn
    assert repr(a_turn()) == repr(expected)


def test_a_turn_of_a_row_is_frozen() -> None:
    turn = a_turn()

    with pytest.raises(AttributeError):
        turn.content = "Vier."  # type: ignore[misc]


def test_a_turn_of_a_row_can_be_sent_to_another_process() -> None:
    turn = a_turn()

    assert pickle.loads(pickle.dumps(turn)) == turn  # noqa: S301 our own bytes
