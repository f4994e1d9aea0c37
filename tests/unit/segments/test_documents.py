"""The line of one session: exact, and refused when a field is not what it should be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from convstore.errors import CorruptionError, NewerFormatError
from convstore.vocabulary.documents import decode_document, encode_document
from tests.unit.segments.made import MARKER, odd


def test_odd_documents_come_back_the_same() -> None:
    for document in odd():
        line = encode_document(document)

        assert decode_document(line) == document
        assert encode_document(decode_document(line)) == line
        assert b"\n" not in line


def test_an_indented_document_is_the_same_document() -> None:
    for document in odd():
        assert decode_document(encode_document(document, indent=True)) == document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("session", []),
        ("session.id", 7),
        ("session.id", None),
        ("session.version", "3"),
        ("session.version", True),
        ("session.tags", "abc"),
        ("session.metadata", []),
        ("session.created_at", None),
        ("session.created_at", "yesterday"),
        ("session.created_at", "2026-01-31T23:59:59"),
        ("session.created_at", 1_700_000_000),
        ("session.branched", 1),
        ("turns", None),
        ("turns", {}),
        ("turns.0", "turn"),
        ("turns.0.seq", 1.0),
        ("turns.0.content", ["text"]),
        ("turns.0.parts", {}),
        ("turns.0.slots", []),
        ("interactions.1.choice", 2),
        ("interactions.1.choice", {"chosen": 2}),
        ("interactions.1.choice.rejected", "3"),
        ("interactions.1.score", "high"),
        ("graph_states", 0),
        ("ledger", 0),
        ("ledger", []),
        ("ledger.recent_hashes", None),
        ("holds.0.placed_at", ""),
        ("tool_sets", []),
        ("tool_sets", {"f00": {}}),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_without_telling_content(
    path: str, value: Any
) -> None:
    data: Any = json.loads(encode_document(odd()[0]))
    target = data
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    for part in parents:
        target = target[part]
    target[last] = value

    with pytest.raises(CorruptionError) as caught:
        decode_document(json.dumps(data))
    assert MARKER not in str(caught.value)


@pytest.mark.parametrize("section", ["session", "turns.0", "interactions.0", "ledger"])
def test_a_field_missing_or_renamed_is_refused(section: str) -> None:
    for change in ("missing", "renamed"):
        data: Any = json.loads(encode_document(odd()[0]))
        target = data
        for part in section.split("."):
            target = target[int(part) if part.isdigit() else part]
        target.pop(list(target)[-2])
        if change != "missing":
            target["other"] = None

        with pytest.raises(CorruptionError):
            decode_document(json.dumps(data))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format":"convstore.session"}',
        b'{"format":"convstore.session","format_version":"1"}',
        b'{"format":"convstore.session","format_version":0}',
        b'{"format":"convstore.session","format_version":1,"requires":"x"}',
        b'{"format":"convstore.session","format_version":1}',
    ],
)
def test_what_is_not_a_document_is_refused(line: bytes) -> None:
    with pytest.raises(CorruptionError):
        decode_document(line)


@pytest.mark.parametrize(
    "path", ["session", "turns.0", "interactions.1", "graph_states.0"]
)
def test_an_optional_field_of_a_later_version_is_kept_where_it_was(path: str) -> None:
    data: Any = json.loads(encode_document(odd()[0]))
    target = at(data, path)
    target["sentiment"] = {"deep": [1, None]}
    target["weather"] = None
    line = dumps(data)

    document = decode_document(line)

    assert encode_document(document) == line
    found: Any = document
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    kept = {"sentiment": {"deep": [1, None]}, "weather": None}
    assert found.metadata == {"convstore:unknown": kept, **at(data, path)["metadata"]}


@pytest.mark.parametrize(
    "metadata",
    [
        {"convstore:unknown": 1},
        {"convstore:unknown": {}},
        {"convstore:unknown": {"role": "x"}},
        {"k": 1, "convstore:unknown": {"x": 1}},
        {"convstore:unknown": {"x": 1}, "k": 1},
    ],
)
def test_metadata_of_an_application_comes_back_whatever_its_keys(metadata: Any) -> None:
    document = odd()[0]
    turns = (replace(document.turns[0], metadata=metadata), *document.turns[1:])
    document = replace(document, turns=turns)

    again = decode_document(encode_document(document))

    assert again == document
    assert list(again.turns[0].metadata) == list(metadata)


@pytest.mark.parametrize("path", ["", "ledger", "holds.0", "interactions.1.choice"])
def test_a_field_that_cannot_be_kept_is_of_a_newer_format_and_no_damage(
    path: str,
) -> None:
    data: Any = json.loads(encode_document(odd()[0]))
    at(data, path)["later"] = MARKER

    with pytest.raises(NewerFormatError) as caught:
        decode_document(dumps(data))
    assert MARKER not in str(caught.value)


@pytest.mark.parametrize("more", [{"format_version": 2}, {"requires": ["voices"]}])
def test_a_document_that_asks_for_more_is_newer(more: dict[str, Any]) -> None:
    data = json.loads(encode_document(odd()[0])) | more

    with pytest.raises(NewerFormatError):
        decode_document(dumps(data))


def at(data: Any, path: str) -> Any:
    for part in path.split(".") if path else ():
        data = data[int(part) if part.isdigit() else part]
    return data


def dumps(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
