"""Mappings of trees, nests and rows, and the guess that a mapping begins with."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from convstore.errors import ConfigError, CorruptionError, InvalidInputError
from convstore.imports.mapping.file import read_mapping
from convstore.imports.mapping.records import mapped_format
from convstore.imports.mapping.suggest import suggest
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.reading import Imported, read_sessions


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def sessions(toml: str, path: Path) -> list[ImportedSession]:
    format_ = mapped_format(read_mapping(tomllib.loads(toml)))
    found = list(read_sessions(format_, path))
    assert all(isinstance(one, Imported) for one in found), found
    return [one.session for one in found if isinstance(one, Imported)]


def told(session: ImportedSession) -> list[tuple[str, str | None, int | None]]:
    return [(t.role, t.content, t.parent_seq) for t in session.turns]


TREE = """
name = "tree"
[session]
id = "chat.id"
[messages]
path = "chat.nodes"
parent = "after"
head = "chat.now"
role = "by.kind"
roles = { human = "user", bot = "assistant" }
name = "by.name"
text = "body.text"
created_at = "at"
model = "run.model"
finish_reason = "run.why"
tokens_in = "run.usage.in"
tokens_out = "run.usage.out"
cost_micros = "run.cost"
language = "lang"
resolved_question = "meant"
template_id = "form"
slots = "slots"
results = "found"
parts = "calls"
tool_call_id = "of_call"
skip = [{ field = "kind", values = ["note"] }]
[[judgements]]
inside = "messages"
path = "votes"
id = "id"
label = "how"
labels = { good = "thumbs_up", bad = "thumbs_down" }
scores = { good = 1.0 }
actor = "who"
reason = "why"
content = "said"
created_at = "at"
surface = "place"
node_id = "step"
[[judgements]]
path = "chat.choices"
action = "choose"
id = "id"
on = "best"
chosen = "best"
rejected = "rest"
"""


def test_an_object_of_nodes_keeps_branches_head_and_every_field(tmp_path: Path) -> None:
    call = {"type": "function", "id": "c", "function": {"name": "f", "arguments": "{}"}}
    record = {
        "chat": {
            "id": "c-1",
            "now": "b",
            "choices": [{"id": "v-9", "best": "b", "rest": ["c"]}],
            "nodes": {
                "c": {"after": "n", "body": {"text": "No."}, "by": {"kind": "bot"}},
                "n": {"after": "a", "kind": "note", "body": {"text": "aside"}},
                "a": {"body": {"text": "Q"}, "by": {"kind": "human", "name": "Ann"}},
                "b": {
                    "after": "n",
                    "at": 1772355600,
                    "body": {"text": "Yes."},
                    "by": {"kind": "bot"},
                    "run": {
                        "model": "m",
                        "why": "stop",
                        "usage": {"in": 3, "out": 4},
                        "cost": 5,
                    },
                    "lang": "nl",
                    "meant": "Q?",
                    "form": "t-1",
                    "slots": {"n": 1},
                    "found": [{"a": 1}],
                    "calls": [call],
                    "of_call": "c-0",
                    "extra": {"x": 1},
                    "votes": [
                        {"id": "v-1", "how": "good", "who": "ann", "why": "w",
                         "said": "s", "at": "2026-03-01", "place": "p", "step": "n-1"},
                        {"how": "odd"},
                    ],
                },
            },
        }
    }  # fmt: skip
    (session,) = sessions(TREE, lines(tmp_path / "a.jsonl", record))

    assert session.session_id == "c-1"
    assert told(session) == [
        ("user", "Q", None),
        ("assistant", "No.", None),
        ("assistant", "Yes.", 1),
    ]
    assert [t.external_id for t in session.turns] == ["a", "c", "b"]
    assert session.head_seq is None  # the last
    turn = session.turns[2]
    assert (turn.model, turn.finish_reason) == ("m", "stop")
    assert (turn.tokens_in, turn.tokens_out, turn.cost_micros) == (3, 4, 5)
    assert (turn.language, turn.resolved_question) == ("nl", "Q?")
    assert (turn.template_id, turn.slots, turn.results) == (
        "t-1",
        {"n": "1"},
        [{"a": 1}],
    )
    assert (turn.parts, turn.tool_call_id) == ([call], "c-0")
    assert turn.created_at is not None
    assert turn.created_at.year == 2026
    assert turn.metadata["extra"] == {"x": 1}
    vote, choice = session.interactions
    assert (vote.feedback, vote.score, vote.actor_id) == ("thumbs_up", 1.0, "ann")
    assert (vote.reason, vote.content, vote.surface) == ("w", "s", "p")
    assert (vote.node_id, vote.turn_seq, vote.external_id) == ("n-1", 3, "v-1")
    assert choice.choice is not None
    assert (choice.choice.chosen, choice.choice.rejected) == (3, (2,))
    assert session.left_out == ("message_skipped",)


def test_what_is_nested_is_walked_and_what_says_nothing_is_passed_over(
    tmp_path: Path,
) -> None:
    toml = """
    [session]
    id = "id"
    [messages]
    path = "roots"
    children = "replies"
    id = "mid"
    role = "mine"
    roles = { true = "user", false = "assistant" }
    text = ["text", "more"]
    """
    record = {
        "id": 7,
        "roots": [
            {"mid": 1, "mine": True, "text": "Q", "replies": [
                {"mid": 2, "mine": False, "replies": [
                    {"mid": 3, "mine": False, "text": "A", "more": "B"}]},
                {"mid": 4, "mine": False, "text": [{"type": "text", "text": "C"}]},
            ]},
        ],
    }  # fmt: skip
    (session,) = sessions(toml, lines(tmp_path / "a.jsonl", record))

    assert told(session) == [
        ("user", "Q", None),
        ("assistant", "C", None),
        ("assistant", "A\n\nB", 1),
    ]
    assert session.left_out == ("message_without_text",)


GROUPS = """
[group]
by = ["room", "thread"]
order = "at"
[session]
id = ["room", "thread"]
user_id = "customer"
[messages]
id = "mid"
text = "body"
role = "from"
created_at = "at"
"""


def test_rows_that_lie_apart_are_grouped_and_sorted(tmp_path: Path) -> None:
    rows = [
        {"room": "a", "thread": n % 3, "mid": n, "from": "user", "body": str(n),
         "at": 1772355600 - n, "customer": None if n < 3 else f"u-{n % 3}"}
        for n in range(9)
    ]  # fmt: skip
    path = lines(tmp_path / "rows.jsonl", *rows)

    found = sessions(GROUPS, path)

    assert [s.session_id for s in found] == ["a/0", "a/1", "a/2"]
    assert [s.user_id for s in found] == ["u-0", "u-1", "u-2"]
    assert [t.content for t in found[1].turns] == ["7", "4", "1"]
    assert [t.external_id for t in found[1].turns] == ["7", "4", "1"]


def test_a_row_of_no_group_is_set_aside(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", {"body": "x"}, [1], {"room": 1, "thread": 2})
    format_ = mapped_format(read_mapping(tomllib.loads(GROUPS)))

    found = list(read_sessions(format_, path))

    assert [isinstance(one, Rejected) for one in found] == [True, True, False]
    assert "room and thread" in str(found[0])


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ('[group]\nby = "a"\n[[turn]]\nrole = "user"\ntext = "t"', "need [messages]"),
        ('[messages]\ntext = "t"\nparent = "p"\nchildren = "c"', "either parent"),
        ('[messages]\ntext = "t"\n[[turn]]\nrole = "user"\ntext = "t"', "without"),
        ('[messages]\npath = "p"', "text"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(toml: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem.replace("[", r"\[")):
        read_mapping(tomllib.loads(toml))


def test_what_no_message_has_is_told(tmp_path: Path) -> None:
    toml = '[messages]\npath = "m"\ntext = "t"\nmodel = "nodel"\nhead = "x"'
    format_ = mapped_format(read_mapping(tomllib.loads(toml)))
    list(read_sessions(format_, lines(tmp_path / "a", {"m": [{"t": "hi"}]})))

    assert format_.absent is not None
    assert format_.absent() == ["x", "m[].nodel"]


@pytest.mark.parametrize("broken", [{"m": 1}, {"m": [1]}, {"m": {"a": "x"}}])
def test_broken_messages_are_refused(broken: Any, tmp_path: Path) -> None:
    format_ = mapped_format(read_mapping({"messages": {"path": "m", "text": "t"}}))
    with pytest.raises(InvalidInputError):
        format_.parse(broken)


# Tables


def test_rows_of_csv_are_records(tmp_path: Path) -> None:
    path = tmp_path / "chat.csv"
    path.write_bytes(
        b"\xef\xbb\xbfroom,thread,mid,from,body,at\r\n"
        b'a,1,1,user,"Hoi, ""jij""\nen ik",2026-03-01\r\n'
        b"a,1,2,assistant,Dag,2026-03-02\r\n"
    )

    (session,) = sessions(GROUPS, path)

    assert told(session) == [
        ("user", 'Hoi, "jij"\nen ik', None),
        ("assistant", "Dag", None),
    ]


def test_broken_rows_of_csv_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "chat.tsv"
    path.write_bytes(b'prompt\tcompletion\nQ\tA\nQ\tA\ttoo\tmany\nQ\t"A" b\nR\tS\n')
    format_ = mapped_format(
        read_mapping({"turn": [{"role": "user", "text": "prompt"}]})
    )

    found = list(read_sessions(format_, path))

    assert [isinstance(one, Rejected) for one in found] == [False, True, True, False]
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(InvalidInputError):
        list(read_sessions(format_, path))
    path.write_bytes(b"a\ta\n1\t2\n")
    with pytest.raises(InvalidInputError):
        list(read_sessions(format_, path))


def test_rows_of_parquet_are_records(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from datetime import UTC, datetime

    import pyarrow.parquet as pq

    at = datetime(2026, 3, 1, tzinfo=UTC)
    messages = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    rows = [{"id": "c-1", "at": at, "messages": messages, "none": None}] * 3
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    toml = """
    session = { id = "id", created_at = "at" }
    messages = { path = "messages", role = "role", text = "content" }
    """

    found = sessions(toml, path)

    assert len(found) == 3
    assert told(found[0]) == [("user", "Q", None), ("assistant", "A", None)]
    assert found[0].created_at == at
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorruptionError):
        sessions(toml, path)


# Guesses


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        (
            [{"thread_id": "t", "sender": "agent", "text": "Hi", "created_at": 1.7e9},
             {"thread_id": "t", "sender": "customer", "text": "Yo", "rating": 5}],
            [[("assistant", "Hi"), ("user", "Yo")]],
        ),
        (
            [{"id": "c", "title": "T", "data": {"msgs": [
                {"author": {"role": "user"}, "content": {"text": "Q"}},
                {"author": {"role": "assistant"}, "content": {"text": "A"}}]}}],
            [[("user", "Q"), ("assistant", "A")]],
        ),
        (
            [{"uuid": "c", "nodes": {
                "y": {"parent": "x", "role": "assistant", "content": "A"},
                "x": {"parent": None, "role": "user", "content": "Q"}}}],
            [[("user", "Q"), ("assistant", "A")]],
        ),
        (
            [{"q_id": 1, "question": "Q", "answer": "A"}],
            [[("user", "Q"), ("assistant", "A")]],
        ),
    ],
)  # fmt: skip
def test_a_guess_reads_the_file_that_it_was_made_of(
    records: list[Any], wanted: Any, tmp_path: Path
) -> None:
    path = lines(tmp_path / "a.jsonl", *records)

    toml = suggest(path)

    found = sessions(toml, path)
    assert [[(t.role, t.content) for t in s.turns] for s in found] == wanted


def test_there_is_no_guess_for_what_is_no_talk(tmp_path: Path) -> None:
    for name, records in (("a", [{"n": 1}]), ("b", [1, 2]), ("c", [{"l": [{"x": 1}]}])):
        with pytest.raises(InvalidInputError):
            suggest(lines(tmp_path / f"{name}.jsonl", *records))


def test_a_guess_tells_nothing_that_was_said(tmp_path: Path) -> None:
    secret = "what nobody should read"
    record = {"id": secret, "title": secret, "messages": [
        {"role": "user", "content": secret, "name": secret}]}  # fmt: skip

    assert secret not in suggest(lines(tmp_path / "a.jsonl", record))
