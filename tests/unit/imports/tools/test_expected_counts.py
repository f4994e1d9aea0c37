"""Exports of tools, and what an independent reader counted in them.

The files are not part of the repository; where there are none, a small one of ours
stands in, and the tests beside this one have samples for each tool.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from convstore.imports.detection import choose_format
from convstore.imports.material import LeftOut
from convstore.imports.reading import Imported, read_sessions
from tests.real_files import REAL
from tests.unit.imports.tools.counting import counts

_OURS = Path(__file__).resolve().parents[3] / "data" / "chat-exports"
FOLDER = REAL / "chat-exports" if (REAL / "chat-exports").is_dir() else _OURS
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "EXPECT.json").read_text())

_SNAPSHOTS = {
    "empty": 0,
    "turns": 15,
    "roles": {"assistant": 8, "system": 2, "tool": 1, "user": 4},
    "forks": 3,
    "branches": 6,
    "tool_calls": 1,
    "thinking": 1,
    "attachments": 1,
    "with_model": 8,
    "titles": 2,
    "chars": 196,
}
# Where we read otherwise than that reader, and why.
OTHERWISE: dict[str, dict[str, Any]] = {
    # It took no model that stands beside the message.
    "chainlit/chainlit.db.gz": {"with_model": 1},
    "codex/rollout-0.171.jsonl": {"with_model": 3, "chars": 552},
    "langchain/message_store.db.gz": {"with_model": 1},
    # The code of a call is an argument of it, and no content.
    "chatgpt/code-interpreter.json": {"chars": 3_711},
    # What was thought is a part, and what the user asked to be remembered is content.
    "chatgpt/thoughts.json": {"chars": 234},
    # A circle is broken, and has an end then; what was heard is content.
    "chatgpt/traps.json": {"branches": 5, "chars": 237},
    # Of two rows with one id the first stays.
    "claude-code/edge-cases.jsonl": {"chars": 2_646},
    # What stands for a model where none spoke is none.
    "claude-code/session.jsonl": {"with_model": 4},
    # What a command gave back is content, and not the JSON around it.
    "codex/rollout-bare.jsonl": {"chars": 114},
    # A fragment and the prompt behind it are two lines.
    "llm/logs-0.27.db.gz": {"chars": 904},
    "llm/logs-upgraded.db.gz": {"chars": 958},
    # That reader did not open the snapshots.
    "open-webui/feedback-history-export.json": _SNAPSHOTS,
}


def _own(conversations: int, turns: int, roles: str, **more: int) -> dict[str, Any]:
    counted = zip(roles.split()[::2], map(int, roles.split()[1::2]), strict=True)
    told = {"conversations": conversations, "turns": turns, "roles": dict(counted)}
    return told | more


# Counted by ourselves, by hand.
OURS: dict[str, dict[str, Any]] = {
    "open-webui/webui.db.gz": EXPECTED.get("open-webui/all-chats-export.jsonl", {}),
    "chainlit/thread.json": _own(
        1, 7, "user 2 assistant 3 system 1 tool 1", tool_calls=1, feedback=2, forks=0
    ),
    "argilla/records.json": _own(1, 3, "user 1 assistant 2", forks=1, feedback=1),
    "langfuse/openai-agents.trace.json": _own(
        1, 5, "system 1 user 1 assistant 2 tool 1", tool_calls=1, feedback=2, forks=0
    ),
    "langsmith/runs.jsonl": _own(2, 6, "system 2 user 2 assistant 2", tool_calls=1),
    "rasa/tracker.json": _own(1, 2, "user 1 assistant 1"),
    "discord/channel.json": _own(1, 2, "user 1 assistant 1", forks=0, titles=1),
    "slack/2026-03-01.json": _own(1, 2, "user 1 assistant 1", forks=0),
    "data-sets/arena.jsonl": _own(
        5, 23, "user 9 assistant 14", forks=5, branches=10, with_model=14
    ),
    "data-sets/ultrafeedback.jsonl": _own(
        1, 5, "user 1 assistant 4", forks=1, branches=4, feedback=12, with_model=4
    ),
    "data-sets/wildchat.jsonl.gz": _own(
        4, 112, "user 56 assistant 56", with_model=56, forks=0
    ),
    "data-sets/hh-rlhf.jsonl": _own(
        2, 8, "user 3 assistant 5", forks=2, branches=4, feedback=0
    ),
    "data-sets/lmsys-chat-1m.jsonl": _own(1, 2, "user 1 assistant 1", with_model=1),
}
_NAMED = {
    "vercel-ai": "uimessage",
    "lmsys-chat-1m.jsonl": "wildchat",
    "hh-rlhf.jsonl": "preference",
}
_CASES = {
    name: want | OTHERWISE.get(name, {})
    for name, want in (EXPECTED | OURS).items()
    if (FOLDER / name).exists()
}


def _format_of(name: str) -> str:
    folder, _, file = name.partition("/")
    if folder == "data-sets":
        return _NAMED.get(file, file.partition(".")[0])
    return _NAMED.get(folder, folder)


@pytest.mark.parametrize("name", sorted(_CASES))
def test_an_export_has_what_was_counted_in_it(name: str, tmp_path: Path) -> None:
    source = unpacked(FOLDER / name, tmp_path)

    choice = choose_format("auto", source)
    items = list(read_sessions(choice.format, source))

    assert choice.format.name == _format_of(name)
    found = counts(item.session for item in items if isinstance(item, Imported))
    assert {key: found.get(key, 0) for key in _CASES[name]} == _CASES[name]


@pytest.mark.skipif(
    not (FOLDER / "chatgpt/message_feedback.json").exists(),
    reason="the files of tools are not here",
)
def test_votes_that_lie_beside_conversations_are_theirs(tmp_path: Path) -> None:
    for name, source in (("conversations", "traps"), ("message_feedback",) * 2):
        data = (FOLDER / "chatgpt" / f"{source}.json").read_bytes()
        (tmp_path / f"{name}.json").write_bytes(data)

    items = list(read_sessions(choose_format("auto", tmp_path).format, tmp_path))

    # Three, of which one is of a chat that is not there.
    found = counts(item.session for item in items if isinstance(item, Imported))
    left = [item.count for item in items if isinstance(item, LeftOut)]
    assert (found["feedback"], left) == (2, [1])


def unpacked(source: Path, folder: Path) -> Path:
    """The database in a compressed file; any other file as it is."""
    if not source.name.endswith(".db.gz"):
        return source
    path = folder / source.stem
    path.write_bytes(gzip.decompress(source.read_bytes()))
    return path
