"""Where what a tool says beside its messages is found, and what is counted of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convstore.imports.material import LeftOut
from convstore.imports.model import ImportedSession
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import load_format
from tests.unit.imports.tools.samples import ASKED, AT, SAID

CHAT = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]


def session_of(
    name: str, path: Path, *records: Any
) -> tuple[ImportedSession, list[str]]:
    """The one session of a file, and what was left out beside it."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    items = list(read_sessions(load_format(name), path))
    (session,) = [item.session for item in items if isinstance(item, Imported)]
    return session, [item.kind for item in items if isinstance(item, LeftOut)]


def item(**payload: Any) -> dict[str, Any]:
    return {"type": "response_item", "timestamp": AT, "payload": payload}


def test_what_a_command_of_codex_ended_with_is_kept(tmp_path: Path) -> None:
    output = json.dumps({"output": "14", "metadata": {"exit_code": 1}})
    session, _ = session_of(
        "codex",
        tmp_path / "rollout-1.jsonl",
        {"id": "s", "timestamp": AT, "git": {"branch": "main"}, "plan": "x"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": output},
    )

    assert session.turns[1].content == "14"
    assert session.turns[1].metadata == {"outputs": [{"metadata": {"exit_code": 1}}]}
    assert session.metadata["plan"] == "x"


def test_what_codex_is_told_for_each_turn_is_kept_once(tmp_path: Path) -> None:
    told = {"model": "m", "cwd": "/a", "effort": "low"}
    session, _ = session_of(
        "codex",
        tmp_path / "rollout-1.jsonl",
        {"type": "session_meta", "timestamp": AT, "payload": {"id": "s"}},
        {"type": "turn_context", "payload": told},
        item(role="user", content=ASKED),
        {"type": "turn_context", "payload": {**told, "effort": "high"}},
        {**item(role="assistant", content=SAID), "metadata": {"k": 1}},
        {"type": "event_msg", "payload": {"type": "token_count"}},
    )

    assert session.metadata["turn_context"] == {"cwd": "/a", "effort": "low"}
    assert session.left_out == ("turn_context.effort", "event:token_count")
    assert session.turns[1].metadata == {"rows": [{"metadata": {"k": 1}}]}


def test_an_aspect_of_ultrafeedback_without_a_rating_stays_with_its_answer(
    tmp_path: Path,
) -> None:
    truth = {"Rating": "N/A", "Rationale": "Er is geen feit."}
    answer = {
        "response": SAID,
        "model": "m",
        "annotations": {"truth": truth, "honesty": {"Rating": "4"}},
        "critique": "Kort.",
    }
    session, _ = session_of(
        "ultrafeedback",
        tmp_path / "x.jsonl",
        {"instruction": ASKED, "models": ["m"], "completions": [answer]},
    )

    kept = {"annotations": {"truth": truth}, "critique": "Kort."}
    assert session.turns[1].metadata == kept
    assert [act.score for act in session.interactions] == [4.0]
    assert "models" not in session.metadata


def test_fields_of_argilla_that_are_not_said_are_kept_with_what_they_say(
    tmp_path: Path,
) -> None:
    session, _ = session_of(
        "argilla",
        tmp_path / "x.json",
        {
            "id": "r",
            "fields": {"talk": CHAT, "note": "Kort.", "picture": {"url": "/a"}},
            "responses": {"q": [{"value": 4, "user_id": "u", "draft": True}]},
        },
    )

    fields = {"note": "Kort.", "picture": {"url": "/a"}}
    assert session.metadata["fields"] == fields
    assert session.interactions[0].metadata["draft"] is True


def test_slots_of_rasa_that_are_of_no_turn_are_counted(tmp_path: Path) -> None:
    session, _ = session_of(
        "rasa",
        tmp_path / "x.json",
        {
            "sender_id": "s",
            "slots": {"place": "Enschede"},
            "events": [
                {"event": "slot", "name": "place", "value": "Enschede"},
                {"event": "user", "text": ASKED},
                {"event": "action", "name": "action_listen"},
                {"event": "restart"},
                {"event": "user", "text": SAID},
            ],
        },
    )

    assert session.left_out == ("event:slot", "event:action")
    assert session.metadata["slots"] == {"place": "Enschede"}
    assert [turn.parent_seq for turn in session.turns] == [None, 0]


def test_what_stands_around_the_history_of_a_trace_is_kept(tmp_path: Path) -> None:
    session, _ = session_of(
        "langfuse",
        tmp_path / "x.json",
        {
            "trace": {"id": "t", "name": "n", "latency": 2, "input": CHAT[0]},
            "observations": [
                {"type": "SPAN"},
                {
                    "type": "GENERATION",
                    "input": {"messages": CHAT[:1], "tools": [{"name": "find"}]},
                    "output": CHAT[1],
                },
            ],
        },
    )

    assert [turn.content for turn in session.turns] == [ASKED, SAID]
    assert session.metadata["input"] == {"tools": [{"name": "find"}]}
    assert session.metadata["latency"] == 2
    assert session.left_out == ("observation:SPAN", "trace.input")


def test_runs_of_langsmith_that_are_not_read_are_counted(tmp_path: Path) -> None:
    run = {"trace_id": "t", "start_time": AT}
    session, _ = session_of(
        "langsmith",
        tmp_path / "x.jsonl",
        {**run, "id": "1", "run_type": "chain", "inputs": {"q": ASKED}, "error": "e"},
        {**run, "id": "2", "run_type": "tool", "parent_run_id": "1"},
        {
            **run,
            "id": "3",
            "run_type": "llm",
            "parent_run_id": "1",
            "inputs": {"messages": CHAT[:1]},
            "outputs": CHAT[1],
        },
    )

    assert session.metadata["run"] == {"error": "e"}
    assert session.left_out == ("run.inputs", "run:tool")


def test_a_judgement_of_open_webui_has_what_both_files_say(tmp_path: Path) -> None:
    message = {"id": "a", "role": "assistant", "content": SAID}
    message |= {"annotation": {"rating": 1}, "feedbackId": "f"}
    chat = {"id": "c", "chat": {"history": {"messages": {"a": message}}}}
    vote = {
        "id": "f",
        "data": {"rating": 1, "tags": ["t"]},
        "meta": {"message_id": "a", "chat_id": "c", "arena": True},
        "version": 2,
        "snapshot": {"chat": chat},
    }
    (tmp_path / "feedback.json").write_text(json.dumps([vote]))
    (tmp_path / "chats.json").write_text(json.dumps([chat]))

    items = list(read_sessions(load_format("open-webui"), tmp_path))

    (session,) = [item.session for item in items if isinstance(item, Imported)]
    (act,) = session.interactions
    assert act.metadata == {"tags": ["t"], "version": 2, "meta": {"arena": True}}
    assert LeftOut("snapshot", 1) in items


def test_a_field_of_a_chatgpt_node_is_kept_or_named(tmp_path: Path) -> None:
    message = {"author": {"role": "user"}, "content": {"parts": [ASKED]}}
    nodes = {
        "root": {"id": "root", "message": None, "draft": True},
        "u": {"id": "u", "parent": "root", "message": message, "draft": True},
    }
    session, _ = session_of("chatgpt", tmp_path / "x.json", {"mapping": nodes})

    assert session.turns[0].metadata["node"] == {"draft": True}
    assert session.left_out == ("node.draft",)


@pytest.mark.parametrize(
    ("winner", "actions", "left_out"),
    [
        ("model_b", ["choose"], ()),
        ("tie", ["choose"], ()),
        ("tie (bothbad)", ["choose", "feedback", "feedback"], ()),
        ("both_bad", ["choose", "feedback", "feedback"], ()),
        ("model_c", [], ("winner",)),
    ],
)
def test_a_winner_that_is_none_of_the_two_is_no_tie_by_that(
    tmp_path: Path, winner: str, actions: list[str], left_out: tuple[str, ...]
) -> None:
    other = {"role": "assistant", "content": "Elders."}
    row = {"winner": winner, "conversation_a": CHAT, "conversation_b": [CHAT[0], other]}
    session, _ = session_of("arena", tmp_path / "x.jsonl", row)

    assert [act.action for act in session.interactions] == actions
    assert session.left_out == left_out


def test_a_user_title_or_time_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    chat = {
        "id": "c",
        "user_id": 7,
        "title": ["T"],
        "created_at": "gisteren",
        "chat": {
            "tags": "t",
            "messages": [
                {"id": "1", "role": "user", "content": ASKED, "timestamp": "net"}
            ],
        },
    }
    session, _ = session_of("open-webui", tmp_path / "x.jsonl", chat)

    assert sorted(session.left_out) == ["created_at", "tags", "title", "user"]
    assert json.loads(session.turns[0].payload or b"")["timestamp"] == "net"
