"""What a source says beside what was said is kept with the turn, of any tool."""

from __future__ import annotations

import base64
import json
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from convstore.imports.detection import choose_format
from convstore.imports.model import ImportedSession
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import load_format
from convstore.imports.talk import Said, Talk
from convstore.messages.parts import kind_of
from tests.unit.imports.tools.samples import ASKED, SAID, SAMPLES, Sample
from tests.unit.imports.tools.test_expected_counts import _CASES, FOLDER, unpacked

IDS = [f"{n}-{sample.name}" for n, sample in enumerate(SAMPLES)]
# What the table of formats asks for, of that what the files have: branches and head,
# calls with results, thinking, bytes of attachments or pointers, judgements with rater
# and reason, times, titles, models, system prompts, users, usage.
CELLS = {
    "chatgpt": "branches calls results thinking attachments times title model system",
    "claude-ai": "branches calls results thinking attachments times title user",
    "open-webui": "branches head calls results thinking bytes votes rater reason times "
    "title model system user usage",
    "librechat": "branches calls results thinking attachments votes reason times title "
    "model system usage",
    "llm": "branches head calls results thinking bytes times title model system usage",
    "openai-agents": "branches calls results thinking bytes times usage",
    "google-adk": "branches calls results thinking bytes times user usage",
    "langgraph": "branches head calls results thinking bytes times model user usage",
    "langchain": "calls results thinking bytes model system usage",
    "chainlit": "calls results attachments votes rater reason times title model system "
    "user usage",
    "agno": "calls results thinking bytes times model system user",
    "pydantic-ai": "calls results thinking bytes times model system usage",
    "uimessage": "calls results thinking bytes times",
    "claude-code": "branches calls results thinking bytes times title model usage",
    "codex": "calls results thinking times model system usage",
    "sillytavern": "branches thinking attachments times title model system user",
    "arena": "branches votes rater times model",
    "ultrafeedback": "branches votes reason model",
    "wildchat": "times model",
    "langfuse": "calls results votes reason times title model system usage",
    "langsmith": "calls times system usage",
    "label-studio": "votes rater reason times",
    "argilla": "branches votes rater",
}


def sessions(name: str, path: Path) -> list[ImportedSession]:
    found = read_sessions(load_format(name), path)
    return [item.session for item in found if isinstance(item, Imported)]


def marked(value: Any, numbers: Any) -> Any:
    """The value with a field of no tool in each object that says something."""
    if isinstance(value, list | tuple):
        return type(value)(marked(item, numbers) for item in value)
    if not isinstance(value, dict):
        return value
    own = {key: marked(item, numbers) for key, item in value.items()}
    said = [
        item
        for held in value.values()
        for item in (held if isinstance(held, list) else [held])
        if isinstance(item, str)
    ]
    if any(ASKED in text or SAID in text for text in said):
        own["x_of_their_own"] = f"iets-van-henzelf-{next(numbers)}"
    return own


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_what_a_tool_says_beside_what_was_said_is_kept_with_the_turn(
    sample: Sample, tmp_path: Path
) -> None:
    numbers = count()
    tables = sample.tables
    changed = Sample(
        sample.name,
        sample.turns,
        marked(sample.records, numbers),
        marked(sample.document, numbers),
        None if tables is None else _alike(marked(tables, numbers)),
    )

    kept = ""
    for session in sessions(sample.name, changed.written(tmp_path)):
        kept += str(session.metadata)
        for turn in session.turns:
            kept += f"{turn.content} {turn.metadata} "
            kept += (turn.payload or b"").decode() if turn.payload_format else ""

    marks = [f"iets-van-henzelf-{number}" for number in range(next(numbers))]
    assert marks
    assert [mark for mark in marks if mark not in kept] == []


def _alike(tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Tables of which each row has all columns."""
    alike = {}
    for name, rows in tables.items():
        columns = {key: None for row in rows for key in row}
        alike[name] = [columns | row for row in rows]
    return alike


def test_a_message_that_a_turn_tells_whole_is_not_kept_twice(tmp_path: Path) -> None:
    usual = ("chatgpt", "langchain", "uimessage", "openai-agents", "open-webui")
    for sample in SAMPLES:
        if sample.name in usual:
            for session in sessions(sample.name, sample.written(tmp_path)):
                assert {turn.payload for turn in session.turns} == {None}


def test_the_bytes_of_a_file_are_in_the_parts_alone() -> None:
    data = base64.b64encode(bytes(range(256)) * 64).decode()
    url = f"data:image/png;base64,{data}"
    talk = Talk("chatgpt", "c")
    part = {"type": "image_url", "image_url": {"url": url}}
    said = talk.say(Said("1", "user", "hm", parts=[part]))
    talk.source([said], {"content": "hm", "image": data, "latency": 0.5})
    lost = talk.say(Said("2", "user", "hm"))
    talk.source([lost], {"image": data})

    first, second = talk.session().turns

    assert isinstance(first.payload, bytes)
    assert isinstance(second.payload, bytes)
    assert first.payload_format == second.payload_format == "chatgpt"
    told = json.loads(first.payload)
    assert (told["latency"], told["image"][:7]) == (0.5, "sha256:")
    assert json.loads(second.payload) == {"image": data}


@pytest.mark.parametrize(
    ("content", "raw"), [("hm", "x" * 5_000_000), ("y" * 15_500_000, "x" * 300_000)]
)
def test_a_source_for_which_there_is_no_room_is_told(content: str, raw: str) -> None:
    talk = Talk("chatgpt", "c")
    said = talk.say(Said("1", "user", content))
    talk.source([said], {"raw": raw})

    session = talk.session()

    assert (session.turns[0].content, session.turns[0].payload) == (content, None)
    assert session.left_out == ("source_too_large",)


def test_each_format_keeps_what_its_files_have(tmp_path: Path) -> None:
    """Of the real files; the one that stands in for them has little."""
    found: dict[str, set[str]] = {}
    for file in _CASES:
        source = unpacked(FOLDER / file, tmp_path)
        name = choose_format("auto", source).format.name
        for session in sessions(name, source):
            found.setdefault(name, set()).update(cells(session))

    assert "chatgpt" in found
    lost = {name: set(CELLS[name].split()) - found.get(name, set()) for name in CELLS}
    assert len(_CASES) == 1 or not any(lost.values())


def cells(session: ImportedSession) -> set[str]:
    found: set[str] = set()
    children: Counter[int] = Counter()
    for seq, turn in enumerate(session.turns, 1):
        children[seq - 1 if turn.parent_seq is None else turn.parent_seq] += 1
        kinds = {kind_of(part) for part in turn.parts or ()}
        told = {
            "calls": "call" in kinds,
            "results": turn.role == "tool" and turn.tool_call_id,
            "thinking": "thought" in kinds,
            "attachments": kinds & {"image", "audio", "file", "document"},
            "bytes": ";base64," in str(turn.parts),
            "times": turn.created_at,
            "model": turn.model,
            "system": turn.role == "system",
            "usage": turn.tokens_out,
        }
        found |= {key for key, value in told.items() if value}
    acts = session.interactions
    told = {
        "branches": max(children.values(), default=0) > 1,
        "head": session.head_seq,
        "votes": acts,
        "rater": any(act.actor_id for act in acts),
        "reason": any(act.reason or act.content for act in acts),
        "title": session.title,
        "user": session.user_id,
        "times": session.created_at,
    }
    return found | {key for key, value in told.items() if value}
