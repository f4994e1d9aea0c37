"""From a source to sessions: each record is given or set aside, and nothing stops."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
import zipfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from convstore.errors import InvalidInputError
from convstore.imports.model import ImportReport, Rejected
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import FORMATS, Format, load_format
from convstore.imports.source import SourceLimits

MESSAGES = load_format("messages")
OASST = load_format("oasst")


def talk(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def row(tree: str, message: str, **fields: Any) -> dict[str, Any]:
    return {
        "message_tree_id": tree,
        "message_id": message,
        "role": "prompter",
        "text": "x",
        **fields,
    }


def outcome(
    folder: Path,
    data: bytes | list[Any],
    format_: Format = MESSAGES,
    limits: SourceLimits | None = None,
) -> list[tuple[int, str]]:
    """For each item its number and the first turn's text, or why it was set aside."""
    path = folder / "in.jsonl"
    if isinstance(data, list):
        data = b"".join(json.dumps(record).encode() + b"\n" for record in data)
    path.write_bytes(data)
    return [
        (item.number, item.code)
        if isinstance(item, Rejected)
        else (item.number, item.session.turns[0].content or "")
        for item in read_sessions(format_, path, limits or SourceLimits())
    ]


def test_bad_records_are_set_aside_and_stop_nothing(tmp_path: Path) -> None:
    good = json.dumps(talk("hoi")).encode()
    lines = [
        good,
        b"",
        b"{broken",
        b'{"messages": 1}',
        b'{"messages": [], "messages": []}',
        b'{"a": ' + b"9" * 300 + b"}",
        b"\xff\xfe",
        b'{"messages":' + b"[" * 900,
        b" " * 10,
        good.replace(b"hoi", b"dag"),
    ]

    found = outcome(tmp_path, b"\n".join(lines) + b"\n")

    assert found == [
        (1, "hoi"),
        (3, "bad_json"),
        (4, "invalid_input"),
        (5, "bad_json"),
        (6, "bad_json"),
        (7, "bad_json"),
        (8, "bad_json"),
        (10, "dag"),
    ]


def test_a_record_set_aside_is_told_with_its_bytes_and_without_content(
    tmp_path: Path,
) -> None:
    path = tmp_path / "in.jsonl"
    bad = b'{"messages": [{"role": "user", "content": {"MARKER": 1}}]}'
    path.write_bytes(bad + b"\n")

    (item,) = read_sessions(MESSAGES, path)

    reason = "messages[0].content: must be text, null or a list, not an object"
    assert item == Rejected(1, "invalid_input", reason, bad)


def test_a_last_line_without_newline_counts_when_it_is_whole(tmp_path: Path) -> None:
    whole = json.dumps(talk("a")).encode()

    assert outcome(tmp_path, whole + b"\n" + whole) == [(1, "a"), (2, "a")]
    assert outcome(tmp_path, whole + b"\n" + whole[:-3]) == [(1, "a"), (2, "truncated")]


def test_a_line_over_the_limit_is_set_aside_without_its_bytes(tmp_path: Path) -> None:
    limits = SourceLimits(max_line_bytes=100)

    found = outcome(tmp_path, [talk("a"), talk("b" * 100), talk("c")], limits=limits)

    assert found == [(1, "a"), (2, "too_long"), (3, "c")]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("first", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_that_is_one_json_list_holds_records(
    tmp_path: Path, indent: int | None, first: bytes
) -> None:
    data = json.dumps([talk("a"), {"bad": 1}, talk("b")], indent=indent).encode()

    found = outcome(tmp_path, first + data)

    assert found == [(1, "a"), (2, "invalid_input"), (3, "b")]


def test_a_file_that_is_one_json_object_is_one_record(tmp_path: Path) -> None:
    data = json.dumps(talk("a"), indent=2).encode()

    assert outcome(tmp_path, data) == [(1, "a")]


def test_a_first_line_that_is_a_list_hides_no_later_one(tmp_path: Path) -> None:
    said = json.dumps([{"role": "user", "content": "a"}]).encode()
    lines = said + b"\n" + json.dumps(talk("b")).encode() + b"\n" + said

    found = outcome(tmp_path, lines)

    assert found == [(1, "invalid_input"), (2, "b"), (3, "invalid_input")]


def test_a_file_in_another_encoding_is_not_told_to_be_cut_off(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="text in UTF-16"):
        outcome(tmp_path, "{}".encode("utf-16"))


def test_lines_after_a_bad_first_one_are_not_lost(tmp_path: Path) -> None:
    lines = b'{"bad\n' + json.dumps(talk("a")).encode() + b"\n{}\n"

    found = outcome(tmp_path, lines)

    assert found == [(1, "bad_json"), (2, "a"), (3, "invalid_input")]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_list_may_be_longer_than_a_record(
    tmp_path: Path, indent: int | None
) -> None:
    data = json.dumps([talk("a")] * 10, indent=indent).encode()

    found = outcome(tmp_path, data, limits=SourceLimits(max_line_bytes=200))

    assert found == [(number, "a") for number in range(1, 11)]


def test_an_item_of_a_list_over_the_limit_is_set_aside(tmp_path: Path) -> None:
    long = {"messages": [{"role": "user", "content": str(n)} for n in range(90)]}
    data = json.dumps([talk("a"), long, talk("c")], indent=1).encode()

    found = outcome(tmp_path, data, limits=SourceLimits(max_line_bytes=200))

    assert found == [(1, "a"), (2, "too_long"), (3, "c")]


def test_a_list_that_is_cut_off_gives_what_came_before(tmp_path: Path) -> None:
    data = json.dumps([talk("a"), talk("b")], indent=1).encode()

    assert outcome(tmp_path, data[:-20]) == [(1, "a"), (2, "truncated")]
    assert outcome(tmp_path, data + b"x") == [(1, "a"), (2, "b"), (3, "truncated")]


def test_a_record_of_too_many_values_is_set_aside(tmp_path: Path) -> None:
    many = b'{"messages": [' + b"{}," * 100 + b"{}]}\n"
    good = json.dumps(talk("a")).encode() + b"\n"

    found = outcome(tmp_path, good + many + good, limits=SourceLimits(max_pieces=100))

    assert found == [(1, "a"), (2, "too_long"), (3, "a")]


def test_memory_does_not_grow_with_a_list(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    record = json.dumps(talk("x" * 9_000)).encode()
    path.write_bytes(b"[" + b",".join([record] * 2_000) + b"]")
    tracemalloc.start()

    count = sum(isinstance(item, Imported) for item in read_sessions(MESSAGES, path))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2_000
    assert peak < 16_000_000


def test_a_long_file_with_a_bad_first_line_is_read_as_lines(tmp_path: Path) -> None:
    limits = SourceLimits(max_line_bytes=200)
    data = b'{"bad\n' + (json.dumps(talk("a")).encode() + b"\n") * 10

    found = outcome(tmp_path, data, limits=limits)

    assert found == [(1, "bad_json"), *((n, "a") for n in range(2, 12))]


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    assert outcome(tmp_path, b"") == outcome(tmp_path, b"\n \n") == []


@pytest.mark.parametrize("name", ["messages", "chatgpt"])
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_folder_or_zip_with_no_file_to_read_is_refused(
    tmp_path: Path, kind: str, name: str
) -> None:
    source = tmp_path / "in"
    if kind == "folder":
        source.mkdir()
        (source / "notes.txt").write_text("{}")
    else:
        with zipfile.ZipFile(source, "w") as packed:
            packed.writestr("notes.txt", "{}")

    with pytest.raises(InvalidInputError) as refused:
        next(read_sessions(load_format(name), source))

    assert refused.value.field == "source"


def test_a_database_is_refused_by_a_format_that_reads_files(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "in.db")) as connection:
        connection.execute("CREATE TABLE talks (said TEXT)")

    with pytest.raises(InvalidInputError) as refused:
        next(read_sessions(MESSAGES, tmp_path / "in.db"))

    assert refused.value.field == "source"


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    for name in ("b.json", "a.jsonl"):
        (tmp_path / name).write_text(json.dumps(talk(name)))

    found = read_sessions(MESSAGES, tmp_path)

    assert [
        item.session.turns[0].content for item in found if isinstance(item, Imported)
    ] == ["a.jsonl", "b.json"]


def test_rows_next_to_each_other_form_a_session(tmp_path: Path) -> None:
    rows = [
        row("t1", "a", text="one"),
        row("t1", "b", parent_id="a"),
        {"message_tree_id": "t2", "prompt": row("t2", "c", text="two", replies=[])},
        row("t3", "d", text="three"),
    ]

    found = outcome(tmp_path, rows, OASST)

    assert found == [(1, "one"), (3, "two"), (4, "three")]


def test_groups_beside_an_unreadable_row_are_set_aside(tmp_path: Path) -> None:
    rows = [row("t1", "a"), row("t2", "b"), None, row("t3", "c"), row("t4", "d")]
    data = b"".join(
        b"{broken\n" if row is None else json.dumps(row).encode() + b"\n"
        for row in rows
    )

    found = outcome(tmp_path, data, OASST)

    assert found == [
        (1, "x"),
        (3, "bad_json"),
        (2, "broken_group"),
        (4, "broken_group"),
        (5, "x"),
    ]


@pytest.mark.parametrize(
    "limits", [SourceLimits(max_group=3), SourceLimits(max_line_bytes=400)]
)
def test_a_group_over_the_limit_is_set_aside(
    tmp_path: Path, limits: SourceLimits
) -> None:
    rows = [row("t1", str(n)) for n in range(50)] + [row("t2", "z")]

    found = outcome(tmp_path, rows, OASST, limits)

    assert found == [(1, "too_long"), (51, "x")]


def test_memory_does_not_grow_with_the_source(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    line = json.dumps(talk("x" * 9_000)).encode() + b"\n"
    path.write_bytes(line * 2_000)
    tracemalloc.start()

    count = sum(isinstance(item, Imported) for item in read_sessions(MESSAGES, path))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2_000
    assert peak < 3_000_000


def test_a_report_counts_what_was_set_aside() -> None:
    report = ImportReport(records=3)

    for code in ("bad_json", "bad_json", "too_long"):
        report.reject(Rejected(1, code, "", None))

    assert report.rejected == Counter({"bad_json": 2, "too_long": 1})
    assert report.rejected_total == 3


def test_every_format_is_described_and_loads() -> None:
    for name, entry in FORMATS.items():
        assert entry.description
        assert load_format(name).name == name


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInputError, match="'nope' is not one of convstore, mess"):
        load_format("nope")
