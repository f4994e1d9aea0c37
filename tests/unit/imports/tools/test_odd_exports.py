"""Odd things that tools write, and that are easily read as something else."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import load_format
from convstore.vocabulary.records import JsonObject
from tests.unit.imports.tools.samples import Sample

AT = "2026-03-01T09:00:00+00:00"


def sessions(name: str, path: Path) -> list[ImportedSession]:
    found = list(read_sessions(load_format(name), path))
    assert not [item for item in found if isinstance(item, Rejected)]
    return [item.session for item in found if isinstance(item, Imported)]


def told(session: ImportedSession) -> list[tuple[str | None, int | None, str | None]]:
    return [(t.external_id, t.parent_seq, t.content) for t in session.turns]


def said(name: str, text: str = "") -> dict[str, Any]:
    if not text:
        return {"type": "remove", "id": name, "content": ""}
    return {"type": "human", "id": name, "content": text}


def packed(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def checkpoint(number: int, parent: int | None, messages: Any = None) -> dict[str, Any]:
    values = {} if messages is None else {"messages": messages}
    value = {
        "ts": AT,
        "channel_values": {"topic": "maps", **values},
        "channel_versions": {"messages": f"{number}", "topic": "1", "branch:to:x": "1"},
    }
    return {
        "thread_id": "t",
        "checkpoint_ns": "",
        "checkpoint_id": f"{number:03}",
        "parent_checkpoint_id": None if parent is None else f"{parent:03}",
        "type": "msgpack",
        "checkpoint": packed(value),
        "metadata": {},
    }


def write(number: int, place: int, value: Any) -> dict[str, Any]:
    return {
        "thread_id": "t",
        "checkpoint_ns": "",
        "checkpoint_id": f"{number:03}",
        "task_id": "task",
        "task_path": "",
        "idx": place,
        "channel": "messages",
        "type": "msgpack",
        "value": packed(value),
    }


def test_langgraph_lists_of_which_only_what_was_added_is_kept_are_whole(
    tmp_path: Path,
) -> None:
    snapshot = msgspec.msgpack.Ext(
        7, packed([said("a", "A"), said("b", "B"), said("c", "C")])
    )
    anew = msgspec.msgpack.Ext(
        2, packed(["langgraph.types", "Overwrite", {"value": [said("z", "Z")]}])
    )
    rows = {
        "checkpoints": [
            checkpoint(0, None),
            checkpoint(1, 0),
            checkpoint(2, 1),
            checkpoint(3, 2, snapshot),
            checkpoint(4, 3),
            checkpoint(5, 4),
            checkpoint(6, 2),
            checkpoint(7, 5),
        ],
        "writes": [
            write(0, 0, [said("a", "A")]),
            write(1, 1, said("c", "C")),
            write(1, 0, said("b", "B")),
            write(3, 0, [said("d", "D"), said("c")]),
            write(4, 0, said("d", "D again")),
            write(2, 9, [said("e", "E")]),
            write(5, 0, anew),
        ],
    }
    path = Sample("langgraph", 0, tables=rows).written(tmp_path)

    (session,) = sessions("langgraph", path)

    found = {t.external_id: (t.parent_seq, t.content) for t in session.turns}
    names = [t.external_id for t in session.turns]
    parents = {}
    for place, (name, (parent, _)) in enumerate(found.items()):
        above = place if parent is None else parent
        parents[name] = names[above - 1] if above else None
    assert parents["b"] == "a"
    assert parents["c"] == "b"
    assert parents["d"] == "b", "what was removed is no longer in front of it"
    assert parents["e"] == "c", "a branch from a checkpoint of before"
    assert [text for _, text in found.values()].count("D again") == 1
    assert session.turns[(session.head_seq or len(names)) - 1].content == "Z"


def test_rows_of_open_webui_count_where_they_are_later_than_their_chat(
    tmp_path: Path,
) -> None:
    def message(name: str, parent: str | None, text: str) -> dict[str, Any]:
        role = "user" if name[0] == "u" else "assistant"
        more = {"role": role, "timestamp": 1_772_355_600, "content": text}
        return {"id": name, "parentId": parent, **more}

    def row(name: str, text: str, at: int) -> dict[str, Any]:
        none = dict.fromkeys(("output", "files", "sources", "error", "usage"), "null")
        given = {"id": f"c-1-{name}", "chat_id": "c-1", "role": "assistant"}
        given |= {"parent_id": "u1", "content": json.dumps(text), "updated_at": at}
        return {**given, **none, "created_at": 1_772_355_600}

    history = {
        "messages": {"u1": message("u1", None, "Q"), "a1": message("a1", "u1", "Old")},
        "currentId": "a1",
    }
    chat = {"id": "c-1", "user_id": "u", "title": "T", "chat": {"history": history}}
    at = 1_772_400_000
    rows = {
        "chat": [{**chat, "updated_at": at}],
        "chat_message": [row("a1", "New", at + 60), row("a2", "Elsewhere", at + 61)],
        "feedback": [{"id": "f", "created_at": at}],
    }

    (later,) = sessions("open-webui", Sample("o", 0, tables=rows).written(tmp_path))
    rows["chat_message"][0]["updated_at"] = at
    (other,) = sessions("open-webui", Sample("o", 0, tables=rows).written(tmp_path))

    assert [t.content for t in later.turns] == ["Q", "New", "Elsewhere"]
    assert [t.content for t in other.turns] == ["Q", "Old", "Elsewhere"]
    assert not any("error" in t.metadata for t in later.turns)


def test_judgements_of_langsmith_tell_who_judged_and_on_any_run(tmp_path: Path) -> None:
    trace = {"trace_id": "t", "run_type": "chain", "start_time": AT, "end_time": AT}
    asked = [{"role": "user", "content": "Q"}]
    by_model = {"type": "model", "user_id": None}
    by_ann = {"type": "app", "user_id": "ann"}
    first = {"id": "f1", "key": "k", "score": 1, "feedback_source": by_ann}
    second = {"id": "f2", "score": 0, "feedback_source": by_model}
    answered = {"role": "assistant", "content": "A"}
    runs = [
        {**trace, "id": "1", "inputs": {}, "outputs": {}, "feedback": [first]},
        {**trace, "id": "2", "parent_run_id": "1", "run_type": "tool"}
        | {"feedback": [second]},
        {**trace, "id": "3", "parent_run_id": "1", "run_type": "llm"}
        | {"inputs": {"messages": asked}, "outputs": answered},
    ]
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(run) + "\n" for run in runs))

    (session,) = sessions("langsmith", path)

    acts = [(a.external_id, a.actor_kind, a.actor_id) for a in session.interactions]
    assert acts == [("f1", "human", "ann"), ("f2", "model", None)]


def test_a_file_of_the_ai_sdk_comes_with_its_bytes(tmp_path: Path) -> None:
    url = "data:application/pdf;base64,JVBERi0="
    file = {"type": "file", "mediaType": "application/pdf", "filename": "i.pdf"}
    parts = [{"type": "text", "text": "Q"}, {**file, "url": url}]
    path = tmp_path / "chat.json"
    message = {"id": "1", "role": "user", "parts": parts}
    path.write_text(json.dumps({"id": "c", "messages": [message]}))

    (session,) = sessions("uimessage", path)

    part = (session.turns[0].parts or [])[-1]
    assert part == {"type": "file", "file": {"file_data": url, "filename": "i.pdf"}}
    assert session.without_bytes == 0


def test_a_database_whose_program_ended_while_it_wrote_is_read_as_it_was(
    tmp_path: Path,
) -> None:
    source, copy = tmp_path / "live.db", tmp_path / "copy.db"
    connection = sqlite3.connect(source, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("CREATE TABLE m (session_id, message, id INTEGER PRIMARY KEY)")
    row = json.dumps({"type": "human", "data": {"content": "Q"}})
    connection.execute("INSERT INTO m (session_id, message) VALUES ('s', ?)", [row])
    connection.execute("BEGIN")
    for number in range(2_000):
        more = [f"{number}", row]
        connection.execute("INSERT INTO m (session_id, message) VALUES (?, ?)", more)
    journal = source.with_name("live.db-journal")
    assert journal.stat().st_size, "what was written did not fit the cache"
    copy.write_bytes(source.read_bytes())
    copy.with_name("copy.db-journal").write_bytes(journal.read_bytes())
    before = copy.read_bytes()

    found = sessions("langchain", copy)

    assert [told(session) for session in found] == [[("1", None, "Q")]]
    assert copy.read_bytes() == before
    connection.close()


@pytest.mark.parametrize(
    ("format_name", "message"),
    [
        ("uimessage", {"role": "assistant", "parts": [{"type": "text", "text": "A"}]}),
        ("openai-agents", {"role": "assistant", "content": "A"}),
        ("langchain", {"type": "ai", "data": {"content": "A"}}),
        (
            "pydantic-ai",
            {"kind": "response", "parts": [{"part_kind": "text", "content": "A"}]},
        ),
    ],
)
def test_what_stands_around_a_list_of_messages_is_taken_or_kept(
    tmp_path: Path, format_name: str, message: JsonObject
) -> None:
    around = {
        "id": "c",
        "user": "ann",
        "model": "m-1",
        "create_time": 1_690_000_000,
        "feedback": "thumbs_up",
        "tags": ["t"],
        "userId": 7,
        "import": "x",
        "plan": {"b": 1},
    }
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({**around, "messages": [message]}))

    (session,) = sessions(format_name, path)

    assert (session.session_id, session.user_id, session.tags) == ("c", "ann", ("t",))
    assert session.created_at == datetime.fromtimestamp(1_690_000_000, UTC)
    assert [turn.model for turn in session.turns] == ["m-1"]
    assert [(a.turn_seq, a.feedback) for a in session.interactions] == [
        (None, "thumbs_up")
    ]
    assert session.metadata == {
        "userId": 7,
        "plan": {"b": 1},
        "import": {"format": format_name, "field": "x"},
    }


def test_what_a_message_of_the_ai_sdk_says_beside_its_parts_is_taken(
    tmp_path: Path,
) -> None:
    parts = [{"type": "text", "text": "A"}]
    message = {"role": "assistant", "parts": parts, "model": "m", "feedback": "down"}
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({"id": "c", "messages": [message]}))

    (session,) = sessions("uimessage", path)

    assert [turn.model for turn in session.turns] == ["m"]
    assert [(a.turn_seq, a.feedback) for a in session.interactions] == [(1, "down")]


@pytest.mark.parametrize(
    ("format_name", "chat", "told"),
    [
        (
            "claude-ai",
            {
                "uuid": "c",
                "chat_messages": [{"uuid": "1", "sender": "human", "text": "Q"}],
                "plan": {"b": 1},
                "empty": [],
            },
            {"plan": {"b": 1}},
        ),
        (
            "librechat",
            {
                "conversationId": "c",
                "exportAt": "today",
                "messages": [{"messageId": "1", "isCreatedByUser": True, "text": "Q"}],
                "plan": {"b": 1},
            },
            {"plan": {"b": 1}},
        ),
        (
            "open-webui",
            {
                "id": "c",
                "pinned": True,
                "chat": {
                    "params": {"system": "S", "seed": 7},
                    "messages": [{"id": "1", "role": "user", "content": "Q"}],
                    "plan": {"b": 1},
                },
            },
            {"chat": {"params": {"seed": 7}, "plan": {"b": 1}}, "pinned": True},
        ),
    ],
)
def test_what_a_tool_says_of_a_chat_and_we_have_no_place_for_is_kept(
    tmp_path: Path, format_name: str, chat: JsonObject, told: JsonObject
) -> None:
    path = tmp_path / "chats.json"
    path.write_text(json.dumps([chat] if format_name != "librechat" else chat))

    (session,) = sessions(format_name, path)

    assert session.metadata == {**told, "import": {"format": format_name}}


@pytest.mark.parametrize("odd", [{"type": "text"}, {"type": "input_text", "text": [1]}])
@pytest.mark.parametrize("name", ["codex", "openai-agents"])
def test_a_part_that_is_called_text_and_has_none_stays_a_part(
    tmp_path: Path, name: str, odd: JsonObject
) -> None:
    plain = {"type": "input_text", "text": "Q"}
    item = {"type": "message", "role": "user", "content": [plain, odd]}
    path = tmp_path / "rollout-1.jsonl"
    path.write_text(json.dumps(item))

    (session,) = sessions(name, path)

    (turn,) = session.turns
    assert (turn.content, (turn.parts or [])[1:]) == ("Q", [odd])
