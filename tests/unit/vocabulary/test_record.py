"""How a record travels: copied, changed, pickled, shown, told and read back."""

import base64
import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pprint import pformat
from typing import Any

import msgspec
import pytest

from convstore.vocabulary import documents
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.documents import (
    KEPT,
    decode_document,
    document_from_json,
    encode_document,
)
from convstore.vocabulary.errors import ConvstoreError
from convstore.vocabulary.record import Record, Value
from convstore.vocabulary.records import (
    Interaction,
    Judgement,
    SessionDocument,
    Turn,
)
from tests.unit.segments.made import plain

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = b"what was said"


def a_turn(**given: Any) -> Turn:
    fields = dict.fromkeys(Turn.__struct_fields__)
    said = {"session_id": "s-1", "seq": 1, "role": "user", "metadata": {"a": [1]}}
    return Turn(**{**fields, **said, "created_at": AT, **given})


def test_a_record_is_changed_by_making_another() -> None:
    turn = a_turn()

    for other in (
        dataclasses.replace(turn, content="Ja."),
        msgspec.structs.replace(turn, content="Ja."),
        turn.__replace__(content="Ja."),
    ):
        assert (other.content, other.metadata) == ("Ja.", turn.metadata)
        assert type(other) is Turn
    assert turn.content is None


def test_a_record_is_copied_and_pickled() -> None:
    turn = a_turn(payload=SECRET, payload_format="x")

    assert copy.copy(turn) == turn
    deep = copy.deepcopy(turn)
    assert deep == turn
    assert deep.metadata is not turn.metadata
    assert pickle.loads(pickle.dumps(turn)) == turn  # noqa: S301 our own bytes


def test_dataclasses_tell_of_a_record_as_of_a_dataclass() -> None:
    assert dataclasses.is_dataclass(Turn)
    names = [field.name for field in dataclasses.fields(Judgement)]
    assert names == [*Interaction.__struct_fields__, "meaning", "rating"]
    assert dataclasses.asdict(a_turn())["metadata"] == {"a": [1]}


def test_what_a_record_shows_leaves_the_payload_out() -> None:
    turn = a_turn(payload=SECRET, payload_format="x", content="long " * 40)

    assert "payload_format='x'" in repr(turn)
    for shown in (repr(turn), pformat(turn)):
        assert SECRET.decode() not in shown


def test_records_of_plain_values_are_hashed_by_them() -> None:
    one, same = (documents.Choice(1, (2,)) for _ in range(2))

    assert len({one, same}) == 1
    with pytest.raises(TypeError):
        hash(a_turn())


def test_a_record_is_told_as_a_dict_of_copies() -> None:
    document = plain(1)

    told: Any = document.to_dict()

    assert told["session"]["created_at"] == document.session.created_at
    assert [turn["seq"] for turn in told["turns"]] == [1, 2]
    told["turns"][0]["metadata"]["new"] = 1
    assert "new" not in document.turns[0].metadata


def test_a_record_is_told_as_json() -> None:
    told = json.loads(a_turn(payload=b"\xff", payload_format="x").to_json())

    assert list(told) == list(Turn.__struct_fields__)
    assert told["created_at"] == "2026-01-01T12:00:00+00:00"
    assert told["payload"] == {"base64": base64.b64encode(b"\xff").decode()}


def line_of(change: Callable[[dict[str, Any]], object]) -> bytes:
    data = json.loads(encode_document(plain(1)))
    change(data)
    return json.dumps(data).encode()


def turn_with(**given: Any) -> Callable[[dict[str, Any]], object]:
    return lambda data: data["turns"][0].update(given)


UNUSUAL: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing": lambda data: None,
    "an unknown field": turn_with(mood="glad"),
    "a payload": turn_with(payload="AAAA", payload_format="x"),
    "a time without a zone": turn_with(created_at="2026-01-01T12:00:00"),
    "a time before the first": turn_with(created_at="0001-01-01T00:00:00+02:00"),
    "a time after the last": turn_with(created_at="9999-12-31T23:59:59-02:00"),
    "a large integer": turn_with(metadata={"n": 2**70}),
    "a large count": turn_with(tokens_in=2**70),
    "a number for text": turn_with(content=1),
    "a fraction for a count": turn_with(tokens_in=1.5),
    "null for a number": turn_with(seq=None),
    "another state": lambda data: data["session"].update(state="frozen"),
    "a requirement": lambda data: data.update(requires=["x"]),
    "a newer version": lambda data: data.update(format_version=2),
    "a section more": lambda data: data.update(more=[]),
    "a section less": lambda data: data.pop("holds"),
    "a field less": lambda data: data["turns"][0].pop("role"),
    "adapters in disorder": lambda data: data.update(adapter_state={"b": {}, "a": {}}),
}


@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL)
def test_the_fast_way_of_reading_finds_what_the_careful_way_finds(
    change: Callable[[dict[str, Any]], object],
) -> None:
    line = line_of(change)

    def read(by: Callable[[], SessionDocument]) -> object:
        try:
            found = by()
        except ConvstoreError as error:
            return type(error), str(error)
        return found, list(found.adapter_state), encode_document(found)

    careful = read(lambda: document_from_json(decode_json(line)))
    assert read(lambda: decode_document(line)) == careful


def test_a_usual_line_is_read_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    document = plain(1)
    monkeypatch.setattr(documents, "document_from_json", None)

    assert decode_document(encode_document(document)) == document


def test_an_unknown_field_is_kept_and_written_where_it_was() -> None:
    found = decode_document(line_of(turn_with(mood="glad")))

    assert found.turns[0].metadata[KEPT] == {"mood": "glad"}
    assert decode_document(encode_document(found)) == found
    assert json.loads(encode_document(found))["turns"][0]["mood"] == "glad"


def test_a_record_has_neither_dictionary_nor_mutable_field() -> None:
    class Small(Record, frozen=True):
        n: int = 1

    with pytest.raises(AttributeError):
        Small().n = 2  # type: ignore[misc]
    assert not hasattr(Small(), "__dict__")


class Place(Value, frozen=True):
    name: str
    steps: tuple[int, ...] = ()


def test_the_functions_of_dataclasses_take_a_value() -> None:
    place = Place("a", (1, 2))

    assert dataclasses.replace(place, name="b") == Place("b", (1, 2))
    assert dataclasses.asdict(place) == {"name": "a", "steps": (1, 2)}
    assert [field.name for field in dataclasses.fields(Place)] == ["name", "steps"]
    assert len({place, Place("a", (1, 2))}) == 1
    with pytest.raises(AttributeError):
        place.name = "b"  # type: ignore[misc]
